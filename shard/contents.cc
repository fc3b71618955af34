#include "shard/contents.h"

#include <algorithm>
#include "core/base/probe.h"
#include "core/data/geometry.h"
#include "core/data/receipt.h"
#include "shard/expiry.h"
#include "shard/holds.h"
#include "shard/reservations.h"
#include "shard/span_rows.h"
#include "shard/totals.h"

namespace skua::shard {

void SpanRowsOf::finish() {
    for (const auto& [service, difference] : counts_.all()) {
        if (difference == 0) continue;
        const OnServiceKey key{service, content_};
        const auto row = OnServices::get(ctx_.rows, key);
        const i64 blocks = (row ? row->blocks : 0) + difference;
        if (blocks > 0) OnServices::put(ctx_.rows, key, {static_cast<u32>(blocks)});
        else OnServices::erase(ctx_.rows, key);
    }
}

namespace contents {
namespace {

Error badSpan(const SpanRecord& s, std::string_view why) {
    return Error(Code::Invalid, "span at " + std::to_string(s.offset) + ": " + std::string(why));
}

// The blocks of spans that are not left out.
std::vector<BlockId> idsOf(const std::vector<SpanWithProofs>& spans) {
    std::vector<BlockId> ids;
    for (const SpanWithProofs& s : spans)
        for (const BlockRef& b : s.span.blocks)
            if (b.service.value != 0) ids.push_back(b.id);
    return ids;
}

// Puts `spans` behind `covered`, which it moves on; the caller has checked the reservation.
Result<> append(Context& ctx, ReservationId reservation, ContentId content, const std::vector<SpanWithProofs>& spans,
                u64& covered, u64& stored) {
    if (spans.size() > kMaxSpansPerCommit) return Error(Code::Invalid, "too many spans in one request: stage them in batches");
    SpanRowsOf rows(ctx, content);
    for (const SpanWithProofs& s : spans) {
        TRY_OK(checkSpan(content, reservation, s.span));
        if (s.span.offset != covered)
            return badSpan(s.span, "expected at " + std::to_string(covered) + ", without gap or overlap");
        covered = s.span.end();
        rows.put(s.span);
    }
    TRY_OK(reservations::useBlocks(ctx, reservation, content, idsOf(spans)));
    rows.finish();
    stored += rows.stored();
    return Ok{};
}

// Removes some spans of a content that nobody names any more. True: more are left.
bool dieALittle(Context& ctx, ContentId content) {
    SpanRowsOf rows(ctx, content);
    std::vector<SpanRecord> spans;
    SpanRows::scan(ctx.rows, ContentPrefix{content}, [&](const SpanKey&, const SpanRecord& s) {
        spans.push_back(s);
        return spans.size() < kSpansPerStep;
    });
    std::vector<BlockRef> blocks;
    for (const SpanRecord& s : spans) {
        rows.erase(s);
        addPresent(s, blocks);
    }
    rows.finish();
    addGarbage(ctx, blocks);
    if (spans.size() == kSpansPerStep) return true;
    if (Edited::has(ctx.rows, {content})) Edited::erase(ctx.rows, {content});
    return false;
}

void die(Context& ctx, ContentId content) {
    if (dieALittle(ctx, content)) expiry::file(ctx, Due::at(ctx.now.age), ExpiryKind::kDyingContent, content.value);
}

// The row goes, its content stays.
void erasePast(Context& ctx, InodeId inode, Wall until, const PastContentRow& row, bool filed) {
    PastContentRows::erase(ctx.rows, {inode, wire::Newest::of(until)});
    if (filed) expiry::unfile(ctx, row.filed, ExpiryKind::kPastContent, inode.value, until.value);
    totals::add(ctx, {.past_bytes = -static_cast<i64>(row.stored)});
}

// Some of a dead inode's past contents; files the rest.
void pastsDie(Context& ctx, InodeId inode) {
    constexpr std::size_t kPerStep = 8;
    std::vector<std::pair<Wall, PastContentRow>> pasts;
    PastContentRows::scan(ctx.rows, inode, [&](const PastContentKey& key, const PastContentRow& row) {
        pasts.emplace_back(key.until.wall(), row);
        return pasts.size() < kPerStep;
    });
    for (const auto& [until, row] : pasts) {
        erasePast(ctx, inode, until, row, true);
        die(ctx, row.content);
    }
    if (pasts.size() == kPerStep) expiry::file(ctx, Due::at(ctx.now.age), ExpiryKind::kDyingInode, inode.value);
}

Result<PastContentRow> loadPast(const Context& ctx, InodeId inode, Wall until) {
    return PastContentRows::find(ctx.rows, {inode, wire::Newest::of(until)},
                                 Error(Code::NotFound, show(inode) + " has no past content of that time"));
}

} // namespace

// --- checks -----------------------------------------------------------------------------------------------

Result<> checkProof(const Reading& r, const BlockRef& b, u32 length, const Proof& proof) {
    const Receipt receipt{b.service, proof.incarnation, b.id, length, b.sum, proof.mac};
    const auto named = [&] { return "block " + std::to_string(b.id.n) + " on service " + std::to_string(b.service.value); };
    if (!receiptHolds(r.keys.receiptKey(b.service), receipt))
        return Error(Code::Invalid, named() + ": its receipt is not by that service for these bytes");
    const Incarnation now = r.disks ? r.disks->current(b.service, proof.incarnation) : proof.incarnation;
    if (now != proof.incarnation)
        return Error(Code::Stale, named() + ": its receipt is of incarnation " + std::to_string(proof.incarnation.value) +
                                      " of that disk, now it is " + std::to_string(now.value) + "; write it anew");
    return Ok{};
}

Result<> checkProofs(const Reading& r, const std::vector<SpanWithProofs>& spans) {
    if (spans.size() > kMaxSpansPerCommit) return Error(Code::Invalid, "too many spans in one request: stage them in batches");
    for (const SpanWithProofs& s : spans) {
        if (s.proofs.size() != s.span.blocks.size()) return badSpan(s.span, "not one proof per block");
        if (s.span.geometry.hole()) continue;
        if (!geometry::valid(s.span.geometry, s.span.length)) return badSpan(s.span, "no such geometry");
        if (s.span.blocks.size() != s.span.geometry.blocks()) return badSpan(s.span, "not as many blocks as its geometry has");
        const u32 length = geometry::blockLength(s.span.geometry, s.span.length);
        for (std::size_t i = 0; i < s.proofs.size(); i++)
            if (s.span.blocks[i].service.value != 0) TRY_OK(checkProof(r, s.span.blocks[i], length, s.proofs[i]));
    }
    return Ok{};
}

Result<> checkSpan(ContentId content, ReservationId reservation, const SpanRecord& s) {
    if (s.offset > kMaxFileSize || s.bytes() > kMaxFileSize - s.offset)
        return Error(Code::TooLarge, "a file has at most 2^60 bytes");
    if (s.geometry.hole()) {
        if (s.hole_length == 0 || s.length != 0 || !s.blocks.empty() || s.geometry != Geometry{})
            return badSpan(s, "a hole has a hole_length and nothing else");
        return Ok{};
    }
    if (s.hole_length != 0) return badSpan(s, "has data and a hole_length");
    if (!geometry::valid(s.geometry, s.length)) return badSpan(s, "no such geometry");
    if (s.blocks.size() != s.geometry.blocks()) return badSpan(s, "not as many blocks as its geometry has");
    u32 there = 0;
    for (std::size_t i = 0; i < s.blocks.size(); i++) {
        const BlockRef& b = s.blocks[i];
        if (b.bad) return badSpan(s, "a block is marked bad");
        if (b.service.value == 0) {
            if (b.id != BlockId{}) return badSpan(s, "a block that was left out has an id");
            continue;
        }
        there++;
        if (b.id.content != content || b.id.reservation != reservation)
            return badSpan(s, "a block is not of this content and reservation");
        for (std::size_t j = 0; j < i; j++)
            if (s.blocks[j].service == b.service) return badSpan(s, "two blocks on one service");
    }
    const u32 least = std::min<u32>(s.geometry.blocks(), s.geometry.data + 1u);
    if (there < least)
        return badSpan(s, "only " + std::to_string(there) + " blocks are there, at least " + std::to_string(least) + " must be");
    return Ok{};
}

// --- a content comes ----------------------------------------------------------------------------------------

Result<StageSpans::Reply> stage(Context& ctx, const StageSpans& op) {
    if (!op.content.wellFormed() || op.content.none()) return Error(Code::Invalid, "no content id");
    if (op.spans.empty()) return Error(Code::Invalid, "nothing to stage");
    TRY(const ReservationRow reservation, reservations::use(ctx, op.reservation));
    TRY_OK(reservations::checkInRange(ctx, reservation, op.content.counter(), op.content.shard()));
    const Age deadline{ctx.now.age.value + kStagedFor};
    auto staged = Staged::get(ctx.rows, {op.content});
    if (!staged) {
        TRY_OK(reservations::useContent(ctx, op.reservation, op.content));
        staged.emplace();
        staged->reservation = op.reservation;
        expiry::file(ctx, Due::at(deadline), ExpiryKind::kStaged, op.content.value);
    }
    if (staged->reservation != op.reservation) return Error(Code::Invalid, "staged under another reservation");
    TRY_OK(append(ctx, op.reservation, op.content, op.spans, staged->covered, staged->stored));
    staged->spans += static_cast<u32>(op.spans.size());
    staged->deadline = deadline;
    Staged::put(ctx.rows, {op.content}, *staged);
    return StageSpans::Reply{staged->covered};
}

Result<> make(Context& ctx, ReservationId id, const NewContent& c, Inode& inode) {
    if (!c.content.wellFormed() || c.content.none()) return Error(Code::Invalid, "no content id");
    if (c.size > kMaxFileSize) return Error(Code::TooLarge, "a file has at most 2^60 bytes");
    TRY(const ReservationRow reservation, reservations::use(ctx, id));
    TRY_OK(reservations::checkInRange(ctx, reservation, c.content.counter(), c.content.shard()));
    // Whose id is not used is not staged either: one lookup for most.
    std::optional<StagedRow> staged;
    if (auto unused = reservations::useContent(ctx, id, c.content); !unused) {
        staged = Staged::get(ctx.rows, {c.content});
        if (!staged) return unused.error();
        if (staged->reservation != id) return Error(Code::Invalid, "staged under another reservation");
    }
    if (c.inline_bytes) {
        if (staged || !c.spans.empty() || c.span_count != 0) return Error(Code::Invalid, "inline bytes and spans at once");
        if (c.inline_bytes->value.size() > kMaxInline)
            return Error(Code::TooLarge, "more inline bytes than 64 KiB: write blocks");
        if (c.inline_bytes->value.size() != c.size) return Error(Code::Invalid, "size is not that of the inline bytes");
    }
    u64 covered = staged ? staged->covered : 0, stored = c.inline_bytes ? c.size : staged ? staged->stored : 0;
    const u64 count = (staged ? staged->spans : 0) + c.spans.size();
    TRY_OK(append(ctx, id, c.content, c.spans, covered, stored));
    if (!c.inline_bytes && covered != c.size)
        return Error(Code::Invalid, "spans cover " + std::to_string(covered) + " of " + std::to_string(c.size) + " bytes");
    if (count != c.span_count)
        return Error(Code::Invalid, std::to_string(count) + " spans are there, the request says " + std::to_string(c.span_count));
    if (staged) Staged::erase(ctx.rows, {c.content}); // its expiry row will find nothing
    inode.content = c.content;
    inode.generation = kFirstGeneration;
    inode.size = c.size;
    inode.stored = stored;
    inode.inline_bytes = c.inline_bytes;
    return Ok{};
}

// --- and goes -------------------------------------------------------------------------------------------------

void toPast(Context& ctx, InodeId id, const Inode& inode) {
    if (inode.content.none()) return;
    if (inode.size == 0) return die(ctx, inode.content);
    // The inode does not know its directory (it may have several), so the shard's own policy decides.
    const expiry::Fate fate = expiry::fateOf(ctx, ctx.config.policy);
    const Wall until = ctx.now.wall;
    PastContentRow row{inode.content, inode.generation, inode.size, inode.stored, inode.mtime, inode.inline_bytes,
                       fate.purge,    fate.not_before,  {}};
    row.filed = expiry::file(ctx, Due::at(fate.purge), ExpiryKind::kPastContent, id.value, until.value);
    PastContentRows::put(ctx.rows, {id, wire::Newest::of(until)}, row);
    totals::add(ctx, {.past_bytes = static_cast<i64>(row.stored)});
}

Result<> restore(Context& ctx, InodeId id, Wall until, Inode& inode) {
    TRY(PastContentRow row, loadPast(ctx, id, until));
    erasePast(ctx, id, until, row, true);
    toPast(ctx, id, inode);
    inode.content = row.content;
    inode.generation = row.generation;
    inode.size = row.size;
    inode.stored = row.stored;
    inode.mtime = row.mtime;
    inode.inline_bytes = std::move(row.inline_bytes);
    return Ok{};
}

void inodeDied(Context& ctx, InodeId id, const Inode& inode) {
    if (!inode.content.none()) die(ctx, inode.content);
    pastsDie(ctx, id);
}

Result<> purgePast(Context& ctx, InodeId id, Wall until) {
    TRY(PastContentRow row, loadPast(ctx, id, until));
    expiry::unfile(ctx, row.filed, ExpiryKind::kPastContent, id.value, until.value);
    row.purge = std::min(row.purge, ctx.now.wall);
    row.filed =
        expiry::file(ctx, Due::at(std::max(row.not_before, ctx.now.age)), ExpiryKind::kPastContent, id.value, until.value);
    PastContentRows::put(ctx.rows, {id, wire::Newest::of(until)}, row);
    return Ok{};
}

} // namespace contents

// --- when it is due ----------------------------------------------------------------------------------------------

namespace expiry {

template <>
void expire<ExpiryKind::kPastContent>(Context& ctx, const ExpiryKey& key, const Expiry&) {
    const InodeId inode{key.id};
    const PastContentKey at{inode, wire::Newest::of(key.extra)};
    auto row = PastContentRows::get(ctx.rows, at);
    if (!row) return;
    const auto held = holds::heldUntil(ctx, row->content);
    if (tooYoung(ctx, row->not_before) || held) {
        const Age later = std::max(row->not_before, held.value_or(Age{}));
        row->filed = file(ctx, Due::at(later), ExpiryKind::kPastContent, key.id, key.extra);
        PastContentRows::put(ctx.rows, at, *row);
        return;
    }
    contents::erasePast(ctx, inode, {key.extra}, *row, false);
    contents::die(ctx, row->content);
}

template <>
void expire<ExpiryKind::kStaged>(Context& ctx, const ExpiryKey& key, const Expiry&) {
    const ContentId content{key.id};
    auto row = Staged::get(ctx.rows, {content});
    if (!row) return;
    // Whoever keeps the reservation still wants it.
    if (row->deadline <= ctx.now.age && Reservations::has(ctx.rows, {row->reservation})) {
        row->deadline = {ctx.now.age.value + contents::kStagedFor};
        Staged::put(ctx.rows, {content}, *row);
    }
    if (row->deadline > ctx.now.age) {
        file(ctx, Due::at(row->deadline), ExpiryKind::kStaged, key.id);
        return;
    }
    PROBE("a staged content was given up");
    Staged::erase(ctx.rows, {content});
    contents::die(ctx, content);
}

template <>
void expire<ExpiryKind::kDyingContent>(Context& ctx, const ExpiryKey& key, const Expiry&) {
    contents::die(ctx, {key.id});
}

template <>
void expire<ExpiryKind::kDyingInode>(Context& ctx, const ExpiryKey& key, const Expiry&) {
    contents::pastsDie(ctx, {key.id});
}

} // namespace expiry
} // namespace skua::shard
