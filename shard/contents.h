// Contents: the bytes of files as rows. Inodes change, contents do not: an inode names its current content
// and generation; what it named before is a past content until its retention ends.
//
//   ids reserved ──stage──► staged ──make──► current ──toPast──► past ──retention over──► dying ──steps──► gone
//                             └──deadline over──► dying   └──restore: current again
//
// Of every content that is not dying: spans in file order cover 0..size exactly (holes are spans too), each
// block is of this content and referenced once, and the on-service rows count the blocks (service 0: those
// owed or bad). A block that stops being referenced waits kSafeAge (replaced) or becomes a garbage row.
#pragma once

#include "shard/context.h"

namespace skua::shard::contents {

inline constexpr Generation kFirstGeneration{1}; // of every content; each edit counts up
inline constexpr u32 kSpansInOpen = 64;          // that come with Open
inline constexpr u32 kMostSpans = 1'024;         // in one answer of Spans
inline constexpr u32 kSpansPerStep = 16;         // of a dying content
inline constexpr u32 kMostReplaced = 16'384;     // spans that one edit may replace: TooLarge over it
inline constexpr u64 kStagedFor = 24 * kHour;    // of age, after the last StageSpans; longer while reserved
inline constexpr u32 kMostGarbage = 4'096;       // rows in one TakeGarbage, DoneGarbage, Fate, ReportBad

// --- checks -----------------------------------------------------------------------------------------------
// The leader's, before it proposes: every block that is there has a receipt by its service. Stale: the disk that gave one
// has appeared on another server since (another incarnation), perhaps as a copy without this block: write it anew.
Result<> checkProofs(const Reading&, const std::vector<SpanWithProofs>&);
Result<> checkProof(const Reading&, const BlockRef&, u32 length, const Proof&);
// What a span says for itself: geometry, ids, services, how many blocks are there.
Result<> checkSpan(ContentId, ReservationId, const SpanRecord&);

// --- a content comes ----------------------------------------------------------------------------------------
Result<StageSpans::Reply> stage(Context&, const StageSpans&);
// A whole new content, with what was staged of it, for `inode`: sets its content, generation, size, stored
// and inline bytes, and leaves the rest. The inode's row is the caller's to store.
Result<> make(Context&, ReservationId, const NewContent&, Inode& inode);
// EditContent on `inode`, the same way.
Result<> edit(Context&, const EditContent&, Inode& inode);

// --- and goes -------------------------------------------------------------------------------------------------
// What the inode names now becomes a past content (an empty one just goes). Then give it another.
void toPast(Context&, InodeId, const Inode&);
// The past content of that time becomes current; the current one takes its place in the past.
Result<> restore(Context&, InodeId, Wall until, Inode& inode);
// The inode is dead: its current content and its past ones go, in bounded steps.
void inodeDied(Context&, InodeId, const Inode&);
// Ends the retention, not the 30 minutes.
Result<> purgePast(Context&, InodeId, Wall until);

// --- blocks -----------------------------------------------------------------------------------------------------
Result<> replaceBlock(Context&, const ReplaceBlock&);
void reportBad(Context&, BlockServiceId, const std::vector<BlockId>&);
Result<std::vector<FateOf>> fates(const Reading&, BlockServiceId, const std::vector<BlockId>&);
void addGarbage(Context&, const std::vector<BlockRef>&); // those that are there

// --- reading ------------------------------------------------------------------------------------------------------
// The span that `offset` is in.
std::optional<SpanRecord> spanAt(const store::Reader&, ContentId, u64 offset);
// Spans from the one that `from` is in, at most `limit`; true: more follow.
bool readSpans(const store::Reader&, ContentId, u64 from, u32 limit, std::vector<SpanRecord>&);
Generation generationOf(const store::Reader&, ContentId);

} // namespace skua::shard::contents
