// Reservations: the right of one client to use ids of this shard (metadata.md, "Exactly once", rule 4).
//
//   (none) ──make──► alive until age + 1 h ──use, keep──► alive longer ──a logged Purge──► gone, for ever
//
// Ids, and blocks written under it, are usable only while the row is there and names the client, each
// content and each block once. Fate is `keep` as long: so erasing never races with committing.
#pragma once

#include "shard/context.h"

namespace skua::shard::reservations {

inline constexpr u64 kReservedFor = kHour; // of age, after the last use
inline constexpr u32 kMostIds = 10'000;    // in one reservation
inline constexpr u32 kMostKept = 4'096;    // in one KeepReservation

Result<ReserveIds::Reply> make(Context&, u32 count);
// It lives and is this client's; prolongs it. Expired with what to do if not.
Result<ReservationRow> use(Context&, ReservationId);
// Within the counters of the row, of this shard: an inode's or a content's id. Invalid if not.
Result<> checkInRange(const Context&, const ReservationRow&, u64 counter, ShardId shard);

// For an operation that makes an inode without content: use() and the range of its id.
Result<> useInode(Context&, ReservationId, InodeId);

// A content that never was before. Invalid if it was.
Result<> useContent(Context&, ReservationId, ContentId);
// Blocks that were never in any content before; all are of this reservation and content.
Result<> useBlocks(Context&, ReservationId, ContentId, const std::vector<BlockId>&);
// Marks those of `blocks` that were in no content yet as used, so that none will ever have them: these.
std::vector<BlockRef> useTheRest(Context&, ReservationId, ContentId, const std::vector<BlockRef>& blocks);

} // namespace skua::shard::reservations
