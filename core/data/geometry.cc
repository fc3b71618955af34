#include "core/data/geometry.h"

#include <algorithm>
#include "core/base/check.h"

namespace skua::geometry {
namespace {

constexpr u32 kDefaultCell = 256u << 10;
constexpr u32 kBlockAim = 4u << 20; // bytes of a block of a full span, by default

constexpr u64 roundUp(u64 n) { return (n + kPage - 1) / kPage * kPage; }

// Bytes of the file in a full stripe.
constexpr u64 full(const Geometry& g) { return static_cast<u64>(g.data) * g.cell; }
constexpr u32 lastCell(const Geometry& g, u64 rest) { return static_cast<u32>(roundUp((rest + g.data - 1) / g.data)); }

u64 blockBytes(const Geometry& g, u64 length) {
    const u64 rest = length % full(g);
    return length / full(g) * g.cell + (rest ? lastCell(g, rest) : 0);
}

u32 cellOf(const Policy& p) {
    const u32 cell = p.cell ? p.cell : kDefaultCell;
    return std::clamp<u32>(static_cast<u32>(roundUp(cell)), kPage, kMaxBlock);
}

bool usable(const SchemeStep& s) { return s.data >= 1 && s.data <= kMaxData && s.parity <= kMaxParity; }

} // namespace

bool valid(const Geometry& g, u64 length) {
    return g.data >= 1 && g.data <= kMaxData && g.parity <= kMaxParity && g.cell >= kPage && g.cell % kPage == 0 &&
           g.cell <= kMaxBlock && length >= 1 && length <= kMaxSpan && blockBytes(g, length) <= kMaxBlock;
}

u32 stripes(const Geometry& g, u32 length) { return static_cast<u32>((length + full(g) - 1) / full(g)); }

Stripe stripe(const Geometry& g, u32 length, u32 index) {
    CHECK(index < stripes(g, length));
    Stripe s;
    s.index = index;
    s.offset = static_cast<u32>(index * full(g));
    s.bytes = static_cast<u32>(std::min<u64>(full(g), length - s.offset));
    s.cell = s.bytes == full(g) ? g.cell : lastCell(g, s.bytes);
    s.in_block = index * g.cell;
    return s;
}

Stripe stripeAt(const Geometry& g, u32 length, u32 span_offset) {
    return stripe(g, length, static_cast<u32>(span_offset / full(g)));
}

Stripe stripeAtBlockOffset(const Geometry& g, u32 length, u32 block_offset) { return stripe(g, length, block_offset / g.cell); }

u32 blockLength(const Geometry& g, u32 length) { return static_cast<u32>(blockBytes(g, length)); }

std::vector<Extent> extents(const Geometry& g, u32 span_length, u32 offset, u32 length) {
    CHECK(offset <= span_length && length <= span_length - offset);
    std::vector<Extent> out;
    const u32 end = offset + length;
    for (u32 at = offset; at < end;) {
        const Stripe s = stripeAt(g, span_length, at);
        const u32 in_stripe = at - s.offset, block = in_stripe / s.cell, in_cell = in_stripe % s.cell;
        const u32 n = std::min({s.cell - in_cell, s.bytes - in_stripe, end - at});
        const Extent e{block, s.in_block + in_cell, n, at};
        // With one data block the cells of neighbouring stripes are neighbours.
        if (!out.empty() && out.back().block == e.block && out.back().in_block + out.back().length == e.in_block)
            out.back().length += n;
        else out.push_back(e);
        at += n;
    }
    return out;
}

CellBytes cellBytes(const Geometry& g, const Stripe& s, u32 block) {
    CHECK(block < g.data);
    const u64 begin = static_cast<u64>(block) * s.cell;
    if (begin >= s.bytes) return {s.offset + s.bytes, 0};
    return {static_cast<u32>(s.offset + begin), static_cast<u32>(std::min<u64>(s.cell, s.bytes - begin))};
}

Geometry choose(const Policy& resolved, u64 length) {
    CHECK(length >= 1 && length <= kMaxSpan);
    const u32 cell = cellOf(resolved);
    const SchemeStep* last = nullptr;
    for (const SchemeStep& s : resolved.scheme) {
        if (!usable(s)) continue;
        last = &s;
        const Geometry g{s.data, s.parity, cell};
        if (length <= s.up_to && valid(g, length)) return g;
    }
    const Geometry g = last ? Geometry{last->data, last->parity, cell} : Geometry{1, 0, cell};
    CHECK(valid(g, length)); // length is at most maxSpan(resolved)
    return g;
}

u32 maxSpan(const Policy& resolved) {
    u32 data = 1;
    for (const SchemeStep& s : resolved.scheme)
        if (usable(s)) data = s.data;
    const u64 wished = resolved.span ? resolved.span : static_cast<u64>(data) * kBlockAim;
    // Whole stripes, so that only a file's last span is cut short.
    const u64 stripe = static_cast<u64>(data) * cellOf(resolved);
    const u64 most = std::min<u64>(static_cast<u64>(data) * kMaxBlock, kMaxSpan);
    return static_cast<u32>(std::max(stripe, std::min(wished, most) / stripe * stripe));
}

Policy defaultPolicy(u32 domains) {
    Policy p;
    SchemeStep large{~0ull, 1, 0};
    if (domains >= 14) large = {~0ull, 10, 4};
    else if (domains >= 6) large = {~0ull, 4, 2};
    else if (domains >= 3) large = {~0ull, 1, 2};
    if (large.data > 1) p.scheme.push_back({128u << 10, 1, 2});
    p.scheme.push_back(large);
    p.cell = kDefaultCell;
    p.span = large.data * kBlockAim;
    p.inline_most = kPage + 1;
    p.retention = 7 * kDay + 1;
    return p;
}

Policy inherit(const Policy& own, const Policy& parent) {
    Policy p = parent;
    if (!own.scheme.empty()) {
        p.scheme = own.scheme;
        p.span = 0; // the parent's belonged to its scheme
    }
    if (own.cell) p.cell = own.cell;
    if (own.span) p.span = own.span;
    if (own.inline_most) p.inline_most = own.inline_most;
    if (own.retention) p.retention = own.retention;
    if (!own.disk_class.empty()) p.disk_class = own.disk_class;
    // A quota counts what is below the directory that it is set on: not inherited.
    p.quota_bytes = own.quota_bytes;
    p.quota_entries = own.quota_entries;
    return p;
}

std::string objection(const Policy& p) {
    if (p.scheme.size() > 16) return "a scheme has at most 16 steps";
    u64 before = 0;
    for (const SchemeStep& s : p.scheme) {
        if (!usable(s)) return "a scheme's data must be 1..32 and its parity 0..8";
        if (s.up_to <= before) return "a scheme's steps must be in order of size";
        before = s.up_to;
    }
    if (p.cell % kPage != 0 || p.cell > 4u << 20) return "cell must be whole pages of 4 KiB, at most 4 MiB";
    if (p.span % kPage != 0 || p.span > kMaxSpan) return "span must be whole pages of 4 KiB, at most 512 MiB";
    if (p.inline_most > kMaxInline + 1) return "inline must be at most 64 KiB";
    if (p.disk_class.size() > kMaxName) return "class must be at most 255 bytes";
    return "";
}

} // namespace skua::geometry
