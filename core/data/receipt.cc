#include "core/data/receipt.h"

#include <string>

namespace skua {
namespace {

// What a receipt's mac covers. The first byte keeps it apart from anything else under the same key.
std::string covered(const Receipt& r) {
    std::string bytes = "R";
    wire::encode(r.service, bytes);
    wire::encode(r.incarnation, bytes);
    wire::encode(r.id, bytes);
    wire::encode(r.length, bytes);
    wire::encode(r.sum, bytes);
    return bytes;
}

} // namespace

void sealReceipt(const MacKey& service_key, Receipt& receipt) { receipt.mac = macOf(service_key, covered(receipt)); }

bool receiptHolds(const MacKey& service_key, const Receipt& receipt) {
    const Mac right = macOf(service_key, covered(receipt));
    return equalConstantTime(right, receipt.mac);
}

ReadKey readKeyOf(const MacKey& read_key_key, ContentId content) {
    std::string bytes = "r";
    wire::encode(content, bytes);
    return macOf(read_key_key, bytes);
}

bool readKeyHolds(const MacKey& read_key_key, ContentId content, const ReadKey& key) {
    const ReadKey right = readKeyOf(read_key_key, content);
    return equalConstantTime(right, key);
}

} // namespace skua
