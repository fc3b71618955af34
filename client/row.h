// A row: the same range of bytes of several blocks of one span. The unit of reading, hedging and decoding.
//
//   Row row{span record, read key, from, to, want}       CO_TRY(cells, co_await readRow(client, row));
//
// Because the code works position by position, any `data` of the row's cells give all of them.
#pragma once

#include <vector>
#include "client/client.h"

namespace skua::client {

struct Row {
    SpanRecord span;
    ReadKey key{};
    u32 from = 0, to = 0;       // of every block: whole pages, at most kMaxPiece apart
    u64 want = 0;               // bit i: data block i
};

// Buffers by block (those not wanted may be empty), every page checked. Errors: Unavailable (services are
// away; worth repeating), NotFound (the blocks moved: fetch the spans again), Corrupt (too few good ones).
Task<Result<std::vector<Buffer>>> readRow(Client& client, Row row);

}  // namespace skua::client
