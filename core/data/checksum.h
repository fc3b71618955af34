// Sums of pages and blocks, end to end (design, blocks.md).
//
//   plain sum of a page   XXH3-64 of its 4096 bytes
//   page sum              plain ^ mix(block id, page number): a right page in a wrong place is wrong
//   block sum             XXH3-64 of the plain sums of its pages, in order, 8 bytes little-endian each
//
// Made where bytes are first seen, checked where they are last used. Sums travel and are stored as page
// sums. Thread-safety: functions on their arguments; a BlockSummer belongs to one.
#pragma once

#include <span>
#include <vector>
#include "core/data/rows.h"

namespace skua {

// mix(block id, page): the id is hashed once.
class BlockMix {
public:
    explicit BlockMix(const BlockId& id);
    u64 operator()(u32 page) const {
        u64 z = base_ + (page + 1) * 0x9E3779B97F4A7C15ull;
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
        z = (z ^ z >> 27) * 0x94D049BB133111EBull;
        return z ^ z >> 31;
    }

private:
    u64 base_;
};

// XXH3-64 of any bytes, by the widest instructions of this processor.
u64 plainSum(const void* bytes, std::size_t size);
u64 zeroPageSum(); // plain sum of a page of zeros

// Page sums of `sums.size()` pages at `data`; the first is page `first` of block `id`.
void makePageSums(const BlockId& id, u32 first, const u8* data, std::span<u64> sums);
// The first page that is not what its sum says, as an index into `sums`; sums.size() if all are right.
std::size_t firstBadPage(const BlockId& id, u32 first, const u8* data, std::span<const u64> sums);
// Page sums of the same bytes as another block's (written again elsewhere, or a copy of it).
void relabel(std::span<u64> sums, u32 first, const BlockId& from, const BlockId& to);

// Collects page sums, in any order of pages, and gives the block's sum.
class BlockSummer {
public:
    explicit BlockSummer(const BlockId& id) : mix_(id) {}
    void add(u32 first, std::span<const u64> page_sums);
    u32 pages() const { return static_cast<u32>(plain_.size()); } // up to the last one added
    u64 sum() const;                                              // pages never added count as sum 0
    // The page sums as they were added.
    std::vector<u64> pageSums() const;

private:
    BlockMix mix_;
    std::vector<u64> plain_;
};

// Of a block whose page sums are all there.
u64 blockSum(const BlockId& id, std::span<const u64> page_sums);

} // namespace skua
