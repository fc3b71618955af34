// Editing the current content, and finding spans.
//
//   before   |  A  |   B   |  C  |  hole   |        size
//   puts           [   X   ]         [ Y ]
//   after    |  A  |   X   |  C  | h | Y |h|        B waits kSafeAge, then it is garbage
//
// A put span takes the place of what it covers wholly; only holes are cut to fit. What is beyond the new size
// goes; a data span that crosses it must be put again, cut, since its blocks are of its whole length.
#include <algorithm>
#include "core/base/probe.h"
#include "shard/contents.h"
#include "shard/expiry.h"
#include "shard/reservations.h"
#include "shard/span_rows.h"

namespace skua::shard::contents {
namespace {

// The first span that begins in [from, to].
std::optional<SpanRecord> firstIn(const store::Reader& rows, ContentId content, u64 from, u64 to) {
    std::optional<SpanRecord> found;
    SpanRows::scan(
        rows, ContentPrefix{content},
        [&](const SpanKey& key, const SpanRecord& s) {
            if (key.offset <= to) found = s;
            return false;
        },
        SpanKey{content, from});
    return found;
}

struct Range {
    u64 from = 0, to = 0;
};

// What of `whole` is not in any of the puts, which are in order and do not overlap.
std::vector<Range> without(Range whole, const std::vector<SpanWithProofs>& puts) {
    std::vector<Range> left;
    auto p = std::partition_point(puts.begin(), puts.end(), [&](const SpanWithProofs& s) { return s.span.end() <= whole.from; });
    for (; p != puts.end() && p->span.offset < whole.to; ++p) {
        if (p->span.offset > whole.from) left.push_back({whole.from, p->span.offset});
        whole.from = p->span.end();
    }
    if (whole.from < whole.to) left.push_back(whole);
    return left;
}

// Adds the old spans that overlap [from, to); false: too many.
bool touch(const store::Reader& rows, ContentId content, Range range, std::map<u64, SpanRecord>& touched) {
    if (range.from >= range.to) return true;
    const auto first = spanAt(rows, content, range.from);
    const u64 start = first ? first->offset : range.from;
    SpanRows::scan(
        rows, ContentPrefix{content},
        [&](const SpanKey& key, const SpanRecord& s) {
            if (key.offset >= range.to) return false;
            touched.emplace(key.offset, s);
            return touched.size() <= kMostReplaced;
        },
        SpanKey{content, start});
    return touched.size() <= kMostReplaced;
}

// They stay readable for who has the old generation, then become garbage.
void letWait(Context& ctx, ContentId content, const std::vector<BlockRef>& blocks) {
    if (blocks.empty()) return;
    constexpr std::size_t kPerRow = 128;
    const Wall since = ctx.now.wall;
    u32 part = 0;
    for (std::size_t i = 0; i < blocks.size(); i += kPerRow) {
        const std::size_t end = std::min(blocks.size(), i + kPerRow);
        Replaced::put(ctx.rows, {content, since, part++},
                      {{blocks.begin() + static_cast<i64>(i), blocks.begin() + static_cast<i64>(end)}});
    }
    expiry::file(ctx, Due::at(Age{ctx.now.age.value + kSafeAge}), ExpiryKind::kReplacedSpan, content.value, since.value);
}

Result<> checkPuts(const EditContent& op) {
    if (op.spans.size() > kMaxSpansPerCommit) return Error(Code::Invalid, "too many spans in one request: edit in steps");
    u64 end = 0;
    for (const SpanWithProofs& s : op.spans) {
        TRY_OK(checkSpan(op.content, op.reservation, s.span));
        if (s.span.offset < end) return Error(Code::Invalid, "the spans to put are not in order, or overlap");
        end = s.span.end();
    }
    if (end > op.size) return Error(Code::Invalid, "a span to put goes beyond the new size");
    return Ok{};
}

Result<> useNewBlocks(Context& ctx, const EditContent& op) {
    std::vector<BlockId> ids;
    for (const SpanWithProofs& s : op.spans)
        for (const BlockRef& b : s.span.blocks)
            if (b.service.value != 0) ids.push_back(b.id);
    if (ids.empty()) return Ok{};
    TRY_OK(reservations::use(ctx, op.reservation));
    return reservations::useBlocks(ctx, op.reservation, op.content, ids);
}

} // namespace

std::optional<SpanRecord> spanAt(const store::Reader& rows, ContentId content, u64 offset) {
    // Rows can be found only forwards. Go back in growing steps until some span begins before or at `offset`.
    u64 back = 1u << 16, from = 0;
    std::optional<SpanRecord> best;
    for (;; back = back > (u64{1} << 60) ? back : back * 4) {
        from = offset > back ? offset - back : 0;
        best = firstIn(rows, content, from, offset);
        if (best || from == 0) break;
    }
    if (!best) return std::nullopt;
    // Then halve, towards the last one that does.
    u64 low = best->offset + 1, high = offset;
    while (low <= high) {
        if (best->end() > offset) break; // spans do not overlap: this is it
        const u64 middle = low + (high - low) / 2;
        if (auto s = firstIn(rows, content, middle, high)) {
            best = std::move(s);
            low = best->offset + 1;
        } else {
            if (middle == low) break;
            high = middle - 1;
        }
    }
    if (best->end() <= offset) return std::nullopt;
    return best;
}

bool readSpans(const store::Reader& rows, ContentId content, u64 from, u32 limit, std::vector<SpanRecord>& to) {
    const auto first = spanAt(rows, content, from);
    if (!first) return false;
    bool more = false;
    u64 next = first->offset;
    SpanRows::scan(
        rows, ContentPrefix{content},
        [&](const SpanKey&, const SpanRecord& s) {
            if (s.offset != next) return false; // a dying content: nothing may look like a hole
            if (to.size() == limit) {
                more = true;
                return false;
            }
            next = s.end();
            to.push_back(s);
            return true;
        },
        SpanKey{content, first->offset});
    return more;
}

Generation generationOf(const store::Reader& rows, ContentId content) {
    const auto row = Edited::get(rows, {content});
    return row ? row->generation : kFirstGeneration;
}

Result<> edit(Context& ctx, const EditContent& op, Inode& inode) {
    if (inode.content != op.content || inode.generation != op.base) {
        PROBE("an edit's base is not current any more");
        return Error(Code::Conflict, "the file was edited meanwhile: read it again and lay your bytes over");
    }
    if (op.size > kMaxFileSize) return Error(Code::TooLarge, "a file has at most 2^60 bytes");
    if (op.inline_bytes) {
        if (!op.spans.empty()) return Error(Code::Invalid, "inline bytes and spans at once");
        if (op.inline_bytes->value.size() > kMaxInline)
            return Error(Code::TooLarge, "more inline bytes than 64 KiB: write blocks");
        if (op.inline_bytes->value.size() != op.size) return Error(Code::Invalid, "size is not that of the inline bytes");
    }
    TRY_OK(checkPuts(op));
    // Old spans cover 0..covered; of the new ones, what is beyond must be put.
    const u64 covered = inode.inline_bytes ? 0 : inode.size;
    if (!op.inline_bytes && op.size > covered && !without({covered, op.size}, op.spans).empty())
        return Error(Code::Invalid, "bytes between the old end and the new size are in no span: put a hole");

    std::map<u64, SpanRecord> touched;
    bool bounded = touch(ctx.rows, op.content, {op.inline_bytes ? 0 : op.size, covered}, touched);
    for (const SpanWithProofs& s : op.spans)
        bounded = bounded && touch(ctx.rows, op.content, {s.span.offset, std::min(s.span.end(), covered)}, touched);
    if (!bounded) return Error(Code::TooLarge, "replaces too many spans at once: cut the file in steps, or write a new content");

    SpanRowsOf rows(ctx, op.content);
    std::vector<BlockRef> replaced;
    std::vector<SpanRecord> rests; // of holes
    for (const auto& [offset, old] : touched) {
        rows.erase(old);
        addPresent(old, replaced);
        if (op.inline_bytes) continue;
        for (const Range& rest : without({old.offset, std::min(old.end(), op.size)}, op.spans)) {
            if (rest.from >= rest.to) continue;
            if (!old.geometry.hole())
                return Error(Code::Invalid,
                             "the span at " + std::to_string(offset) + " is covered in part: put all of it, cut at the new size");
            rests.push_back({.offset = rest.from, .hole_length = rest.to - rest.from, .geometry = {}, .blocks = {}});
        }
    }
    TRY_OK(useNewBlocks(ctx, op));
    for (const SpanRecord& s : rests) rows.put(s);
    for (const SpanWithProofs& s : op.spans) rows.put(s.span);
    rows.finish();
    letWait(ctx, op.content, replaced);

    inode.stored = op.inline_bytes ? op.size : (inode.inline_bytes ? 0 : inode.stored) + rows.stored();
    inode.generation.value++;
    inode.size = op.size;
    // Who asks for spans names the generation; of bytes that are inline nobody does.
    if (!op.inline_bytes || !inode.inline_bytes) Edited::put(ctx.rows, {op.content}, {inode.generation});
    inode.inline_bytes = op.inline_bytes;
    return Ok{};
}

// --- one block of a span is another one from now on -----------------------------------------------------------

Result<> replaceBlock(Context& ctx, const ReplaceBlock& op) {
    auto span = SpanRows::get(ctx.rows, {op.content, op.offset});
    if (!span || op.index >= span->blocks.size())
        return Error(Code::NotFound, "no such span or block: it was replaced or removed");
    BlockRef& old = span->blocks[op.index];
    if (old.id != op.old_id) return Error(Code::Conflict, "another block stands there by now");
    if (op.block.sum != old.sum) return Error(Code::Invalid, "the new block has other bytes than the old one");
    if (op.block.service.value == 0 || op.block.bad) return Error(Code::Invalid, "the new block is nowhere, or bad");
    if (op.block.id.content != op.content || op.block.id.reservation != op.reservation)
        return Error(Code::Invalid, "the new block is not of this content and reservation");
    for (std::size_t i = 0; i < span->blocks.size(); i++)
        if (i != op.index && span->blocks[i].service == op.block.service)
            return Error(Code::Invalid, "another block of the span is on that service");
    TRY_OK(reservations::use(ctx, op.reservation));
    TRY_OK(reservations::useBlocks(ctx, op.reservation, op.content, {op.block.id}));
    SpanRowsOf rows(ctx, op.content);
    rows.erase(*span);
    std::vector<BlockRef> replaced;
    if (old.service.value != 0) replaced.push_back(old);
    old = op.block;
    rows.put(*span);
    rows.finish();
    letWait(ctx, op.content, replaced);
    return Ok{};
}

} // namespace skua::shard::contents

namespace skua::shard::expiry {

template <>
void expire<ExpiryKind::kReplacedSpan>(Context& ctx, const ExpiryKey& key, const Expiry&) {
    constexpr std::size_t kRowsPerStep = 4;
    std::vector<std::pair<ReplacedKey, ReplacedRow>> found;
    Replaced::scan(ctx.rows, ReplacedPrefix{{key.id}, {key.extra}}, [&](const ReplacedKey& at, const ReplacedRow& row) {
        found.emplace_back(at, row);
        return found.size() < kRowsPerStep;
    });
    for (const auto& [at, row] : found) {
        Replaced::erase(ctx.rows, at);
        contents::addGarbage(ctx, row.blocks);
    }
    if (found.size() == kRowsPerStep) file(ctx, Due::at(ctx.now.age), ExpiryKind::kReplacedSpan, key.id, key.extra);
}

} // namespace skua::shard::expiry
