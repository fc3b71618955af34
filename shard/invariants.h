// What is always true of a shard (metadata.md, "Invariants"), checked over its rows: by the simulator after
// every run (all shards at once), by tests, and by Check for `skua admin fsck`, a bounded part per call.
//
//   within one shard      3 (directories: entries; totals of links where no other shard can have a say)
//                         4 distinct services per span, each block once; spans cover 0..size
//                         5 no garbage row names a referenced block        9 totals        10 on-service rows
//   across shards         1, 2, 3: from facts, one line each, that whoever has those of all shards joins:
//
//     inode ID NLINK PINS PARENT CLOSED     every inode; PARENT 0 and CLOSED 0 but for directories
//     entry DIR TARGET                      every name that can be seen, and what it names
//     past DIR TARGET                       every past name
//     busy NUMBER                           messages still in the outbox, names locked: 1 and 3 may not hold yet
#pragma once

#include "shard/context.h"

namespace skua::shard::invariants {

using Problems = std::vector<std::string>;

// Everything within one shard, at once.
Problems checkShard(const store::Reader&);
// 1, 2 and 3 over the rows of all shards, at rest: no transaction in flight, empty outboxes.
Problems checkAcross(const std::vector<const store::Reader*>& shards);

// A part: goes on at `cursor` (empty: the start), which becomes empty at the end. Invalid for a cursor that
// is none of ours. All but what needs everything at once (9, and spans that nobody names).
Result<> checkPart(const store::Reader&, std::string& cursor, u32 rows, Problems& problems, std::vector<std::string>& facts);

} // namespace skua::shard::invariants
