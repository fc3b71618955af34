// What several roles speak of: blocks, spans, receipts, attributes, policies. Declared once; these are
// parts of messages and of rows, so fields are only ever added at the end.
#pragma once

#include <array>
#include <string>
#include <vector>
#include "core/base/fields.h"
#include "core/base/types.h"
#include "core/wire/codec.h"

namespace skua {

// --- sizes that several roles must agree on ----------------------------------------------------------

inline constexpr u32 kPage = 4096;          // unit of checksums and of reading
inline constexpr u32 kMaxPiece = 1u << 20;  // of a block, in one message
inline constexpr u32 kMaxBlock = 16u << 20; // bytes of data in one block
inline constexpr u32 kMaxData = 32, kMaxParity = 8;
inline constexpr u64 kMaxFileSize = 1ull << 60;
inline constexpr u32 kMaxName = 255, kMaxTarget = 4095, kMaxXattrName = 255, kMaxXattrs = 4096, kMaxLinks = 65'000;
inline constexpr u32 kMaxInline = 64u << 10;  // a policy's `inline` may not be more
inline constexpr u32 kMaxSpansPerCommit = 64; // more are staged first
inline constexpr u32 kMaxSpan = 512u << 20;

// --- blocks ------------------------------------------------------------------------------------------

// One block of one content, for ever; never reused.
struct BlockId {
    ContentId content;
    ReservationId reservation; // under which it was written
    u32 n = 0;                 // counted by the writer under that reservation
    FIELDS(content, reservation, n)
    friend auto operator<=>(const BlockId&, const BlockId&) = default;
};

using Mac = std::array<u8, 16>; // HMAC-SHA256, truncated
using ReadKey = Mac;            // of a content: lets its blocks be read (security.md)

// Says that a block service has this block, whole and durable. Mac over the rest by the service's
// receipt key (derived from the cluster key and the service id).
struct Receipt {
    BlockServiceId service;
    Incarnation incarnation;
    BlockId id;
    u32 length = 0; // bytes of data, whole pages
    u64 sum = 0;    // the block's sum (core/data/checksum.h)
    Mac mac{};
    FIELDS(service, incarnation, id, length, sum, mac)
};

// Where a block of a span is. service 0 and id 0: left out at the commit, owed by repair.
struct BlockRef {
    BlockId id;
    BlockServiceId service;
    u64 sum = 0;
    bool bad = false;
    FIELDS(id, service, sum, bad)
};

// --- spans -------------------------------------------------------------------------------------------

// How a span is cut (core/data/geometry.h). data 0: a hole, without blocks.
struct Geometry {
    u8 data = 0, parity = 0;
    u32 cell = 0; // bytes, whole pages
    FIELDS(data, parity, cell)
    constexpr bool hole() const { return data == 0; }
    constexpr u32 blocks() const { return static_cast<u32>(data) + parity; }
};

struct SpanRecord {
    u64 offset = 0;      // in the file, bytes
    u32 length = 0;      // bytes of the file in this span; holes may be longer, see hole_length
    u64 hole_length = 0; // of a hole, instead of length
    Geometry geometry;
    std::vector<BlockRef> blocks; // data blocks first, then parity; none in a hole
    FIELDS(offset, length, hole_length, geometry, blocks)
    u64 bytes() const { return geometry.hole() ? hole_length : length; }
    u64 end() const { return offset + bytes(); }
};

// --- attributes ---------------------------------------------------------------------------------------

struct Attributes {
    InodeId inode;
    u32 mode = 0; // type and permissions, as in st_mode
    u32 uid = 0, gid = 0;
    u32 nlink = 0;
    u64 size = 0;
    Wall atime, mtime, ctime, birth;
    u64 stored = 0;    // logical bytes that are stored (holes are not), for st_blocks
    ContentId content; // files
    Generation generation;
    u64 device = 0;  // device numbers of special files
    InodeId parent;  // directories
    u32 entries = 0; // directories: how many names
    FIELDS(inode, mode, uid, gid, nlink, size, atime, mtime, ctime, birth, stored, content, generation, device, parent, entries)
};

// --- policies ------------------------------------------------------------------------------------------

// Spans up to `up_to` bytes are stored as data + parity.
struct SchemeStep {
    u64 up_to = 0;
    u8 data = 0, parity = 0;
    FIELDS(up_to, data, parity)
};
// Zero or empty: inherited.
struct Policy {
    std::vector<SchemeStep> scheme;
    u32 cell = 0;        // bytes, whole pages
    u32 span = 0;        // bytes
    u32 inline_most = 0; // bytes + 1, so that 1 says "never inline"
    u64 retention = 0;   // ns + 1, so that 1 says "the 30 minutes only"
    std::string disk_class;
    u64 quota_bytes = 0, quota_entries = 0;
    FIELDS(scheme, cell, span, inline_most, retention, disk_class, quota_bytes, quota_entries)
};

} // namespace skua
