// Every message and row that comes from a socket or a disk: decoding random bytes neither crashes nor
// allocates without bound, and what decodes encodes to the same bytes.
#include "blocks/messages.h"
#include "cdc/messages.h"
#include "cdc/schema.h"
#include "core/net/group.h"
#include "raft/entry.h"
#include "raft/messages.h"
#include "raft/peer_messages.h"
#include "registry/messages.h"
#include "registry/schema.h"
#include "shard/messages.h"
#include "shard/schema.h"

using namespace skua;

namespace {

template <class T>
void message(std::string_view in) {
    T value{};
    if (!wire::decode(in, value)) return;
    CHECK(wire::encode(value) == in);
}
template <class T>
void row(std::string_view in) {
    T value{};
    (void)wire::decodeRow(in, value);
}
template <class V>
struct Replies;
template <class... M>
struct Replies<std::variant<M...>> {
    static void tryAll(std::string_view in) { (row<typename M::Reply>(in), ...); }
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    if (size == 0) return 0;
    const std::string_view in(reinterpret_cast<const char*>(data) + 1, size - 1);
    switch (data[0] % 18) {
        case 0: message<shard::Request>(in); break;
        case 1: message<cdc::Request>(in); break;
        case 2: message<registry::Request>(in); break;
        case 3: message<blocks::Request>(in); break;
        case 4: message<raft::HostRequest>(in); break;
        case 5: message<net::GroupRequest>(in); break;
        case 6: message<net::GroupReply>(in); break;
        case 7: Replies<shard::Request>::tryAll(in); break;
        case 8: Replies<registry::Request>::tryAll(in); break;
        case 9: row<shard::Inode>(in); break;
        case 10: row<SpanRecord>(in); break;
        case 11: row<cdc::Txn>(in); break;
        case 12: row<registry::ClusterMap>(in); break;
        case 13: row<shard::OutboxRow>(in); break;
        case 14: Replies<blocks::Request>::tryAll(in); break;
        case 15: message<raft::PeerFrame>(in); break;
        case 16: row<raft::Entry>(in); break;
        default: message<shard::StepAction>(in); break;
    }
    return 0;
}
