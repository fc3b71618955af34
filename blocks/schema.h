// What a disk of a block service holds (design: blocks.md, "The store").
//
//   DIR/FORMAT            text, `key = value`: whose disk this is (disk.h); its flock is the disk's lock
//   DIR/segments/000001   slots of one size class, one behind the other (slots.h); numbers from 1
//   DIR/index/            RocksDB, with a log, every batch synced:
//
//     table       key                 value
//     default     'b' BlockId         BlockRow      the publication: without it there is no block
//                 'u' BlockId         empty         its fate is still to be heard (the sweep)
//                 's' u32 segment     SegmentRow    without it the file is nobody's
//     small       BlockId             data, then its page sums, of blocks up to kSmallBlock (blob files)
//
//   slot    | data, row.length bytes | page sums, 8 bytes each, up to whole pages | unused |
#pragma once

#include <string>
#include "core/data/rows.h"
#include "core/wire/codec.h"
#include "core/wire/key.h"

namespace skua::blocks {

// Measured (tests/tools/blocks_load): at 64 KiB a slot takes 5 x as many blocks a second as RocksDB, for a
// quarter of the processor time.
inline constexpr u32 kSmallBlock = 8u << 10;

struct BlockRow {
    u32 segment = 0; // 0: in the table `small`
    u32 slot = 0;
    u32 length = 0;
    u64 sum = 0;
    bool bad = false; // a page is not what was written, or cannot be read
    FIELDS(segment, slot, length, sum, bad)
};

struct SegmentRow {
    u32 slot_data = 0;    // bytes of data of each slot: classData() of its class
    bool written = false; // every slot has been written once
    FIELDS(slot_data, written)
};

inline constexpr char kBlockTable = 'b', kUnsettledTable = 'u', kSegmentTable = 's';

inline std::string blockKey(char table, const BlockId& id) {
    std::string key(1, table);
    wire::putKey(key, id);
    return key;
}
inline std::string smallKey(const BlockId& id) {
    std::string key;
    wire::putKey(key, id);
    return key;
}
inline std::string segmentKey(u32 segment) {
    std::string key(1, kSegmentTable);
    wire::putKey(key, segment);
    return key;
}

// Of n pages.
constexpr u32 sumsBytes(u32 pages) { return (pages * 8 + kPage - 1) / kPage * kPage; }

} // namespace skua::blocks
