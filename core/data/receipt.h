// Receipts and read keys: what block services and shards prove to each other without talking.
//
// Keys come from core/net/keys.h: a receipt key per block service (derived from the cluster key and the
// service's id), one read-key key per cluster. Comparisons take constant time. Values only.
#pragma once

#include "core/base/hmac.h"
#include "core/data/rows.h"

namespace skua {

// Fills in receipt.mac: over service, incarnation, id, length and sum.
void sealReceipt(const MacKey& service_key, Receipt& receipt);
bool receiptHolds(const MacKey& service_key, const Receipt& receipt);

ReadKey readKeyOf(const MacKey& read_key_key, ContentId content);
bool readKeyHolds(const MacKey& read_key_key, ContentId content, const ReadKey& key);

} // namespace skua
