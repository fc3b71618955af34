// Geometry: answers every question about how a span is cut into stripes, cells and blocks.
//
//   span    | stripe 0               | stripe 1               | last, shorter    |
//   stripe  | cell 0 | .. | cell d-1 | + parity cells
//   block i | cell i of stripe 0 | cell i of stripe 1 | .. |
//
// All cells of a stripe are equally long, whole pages: geometry.cell, in the last stripe ceil(rest / data)
// rounded up to a page; what the file's bytes do not fill is zero. One data block and p parity blocks are
// p + 1 copies. Writer, reader, repair and tests all ask here. Pure; values only. Functions but valid()
// take what valid() accepted (else they stop the process or answer nonsense).
#pragma once

#include <vector>
#include "core/data/rows.h"

namespace skua::geometry {

// Of input: data 1..32, parity 0..8, cell whole pages, 1 <= length <= kMaxSpan, block <= kMaxBlock.
bool valid(const Geometry& g, u64 length);

struct Stripe {
    u32 index = 0;
    u32 offset = 0;   // of its first byte in the span
    u32 bytes = 0;    // of the file's
    u32 cell = 0;     // length of each of its cells
    u32 in_block = 0; // where its cell begins, in every block
};

u32 stripes(const Geometry& g, u32 length);
Stripe stripe(const Geometry& g, u32 length, u32 index);
Stripe stripeAt(const Geometry& g, u32 length, u32 span_offset);             // span_offset < length
Stripe stripeAtBlockOffset(const Geometry& g, u32 length, u32 block_offset); // < blockLength
u32 blockLength(const Geometry& g, u32 length);                              // bytes of every block: the sum of its cells
inline u64 storedBytes(const Geometry& g, u32 length) { return static_cast<u64>(g.blocks()) * blockLength(g, length); }

// Consecutive bytes of the span that are consecutive in one data block.
struct Extent {
    u32 block = 0;    // 0 .. data-1
    u32 in_block = 0; // offset, bytes (any byte, not only whole pages)
    u32 length = 0;
    u32 in_span = 0;
    FIELDS(block, in_block, length, in_span)
};
// Where [offset, offset + length) of the span is, in order of the span. Must lie within the span.
std::vector<Extent> extents(const Geometry& g, u32 span_length, u32 offset, u32 length);

// Of the file's bytes in block `b`'s cell of this stripe: where in the span, and how many (the rest is zero).
struct CellBytes {
    u32 in_span = 0, bytes = 0;
};
CellBytes cellBytes(const Geometry& g, const Stripe& s, u32 block);

// --- which scheme ---------------------------------------------------------------------------------------

// The first step of the policy's scheme that takes a span of `length`; always valid for 1..maxSpan(policy).
Geometry choose(const Policy& resolved, u64 length);
// Bytes of a full span under this policy: what a writer cuts a long file into.
u32 maxSpan(const Policy& resolved);
// The complete default for a cluster of so many failure domains (design, blocks.md).
Policy defaultPolicy(u32 domains);
// Fields of `own` that are not set are taken from `parent`.
Policy inherit(const Policy& own, const Policy& parent);
// Why a policy that somebody gave cannot be (empty: it can): limits of its fields, order of its steps.
std::string objection(const Policy& policy);

} // namespace skua::geometry
