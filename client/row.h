// A row: the same range of bytes of several blocks of one span. The unit of reading, hedging and decoding.
//
//   Row row{span record, read key, from, to, want};       CO_TRY(RowCells got, co_await readRow(client, row));
//
// Because the code works position by position, any `data` of the row's cells give all of them. Wanted
// blocks are asked first; others stand in for those that are missing, doubtful, wrong or late.
#pragma once

#include <vector>
#include "client/client.h"

namespace skua::client {

struct Row {
    SpanRecord span; // not a hole
    ReadKey key{};
    u32 from = 0, to = 0;   // of every block: whole pages, at most kMaxPiece apart, within the blocks
    u64 want = 0;           // bit i: data block i
    Monotonic until{~0ull}; // then it is Unavailable, whoever has not answered yet
};
struct RowCells {
    std::vector<Buffer> cells; // by block; those wanted are there, every page checked or decoded from checked ones
    u64 missing = 0;           // blocks that their services say they do not have: perhaps they moved
};

// Errors: Unavailable (services are away; worth repeating), NotFound (too few are where the span says; fetch
// it again), Corrupt (too few good ones are left).
Task<Result<RowCells>> readRow(Client& client, Row row);

} // namespace skua::client
