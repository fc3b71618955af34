// What a block service is asked (design: blocks.md). net::Kind::kBlocks: the body is an encoded Request, or
// the encoded Reply struct of the request; the payload is data of a block, whole pages, page-aligned.
//
// One process serves several disks: `service` says which (unknown here: NotFound, look at a newer map).
// Writing a block that does not fit into one piece:
//   1. OpenBlock, and wait for its answer    2. Pieces, in any order, several in flight, and wait for all
//   3. FinishBlock: the receipt. All over one process's connections, or another; every step may be repeated.
// Answers besides what is said below: Busy (too much is under way; nothing was done), Stale (`incarnation`
// is not the disk's), NoSpace, ReadOnly (the disk takes no writes), Invalid (the request makes no sense).
#pragma once

#include <variant>
#include <vector>
#include "core/base/message.h"
#include "core/data/rows.h"
#include "core/net/transport.h"
#include "core/wire/codec.h"

namespace skua::blocks {

inline constexpr u32 kMaxIdsPerMessage = 4096;
inline constexpr u32 kMaxPagesPerPiece = kMaxPiece / kPage;

// Reserves room for a block of at most `most` bytes (rounded up to pages; at most kMaxBlock). An open block
// is dropped when nothing was heard of it for a minute. Opening it again begins anew.
struct OpenBlock {
    MESSAGE(1, OpenBlock)
    BlockServiceId service;
    Incarnation incarnation;
    BlockId id;
    u32 most = 0;
    FIELDS(service, incarnation, id, most)
    struct Reply {
        bool whole = false; // it is here already: go straight to FinishBlock
        FIELDS(whole)
    };
};
// Payload: sums.size() pages that begin at `offset` of the block. Answered when they are checked and on
// their way to the disk. Corrupt: a page is not what its sum says. NotFound: not open (any more).
struct Piece {
    MESSAGE(2, Piece)
    BlockServiceId service;
    BlockId id;
    u32 offset = 0;        // whole pages
    std::vector<u64> sums; // page sums (core/data/checksum.h)
    FIELDS(service, id, offset, sums)
    using Reply = Done;
};
// Makes it durable and gives it its name. Corrupt: the pages' sums do not give `sum`. Exists: it is here
// with other bytes. Repeated: the same receipt.
struct FinishBlock {
    MESSAGE(3, FinishBlock)
    BlockServiceId service;
    BlockId id;
    u32 length = 0; // whole pages
    u64 sum = 0;
    FIELDS(service, id, length, sum)
    struct Reply {
        Receipt receipt;
        FIELDS(receipt)
    };
};
// All three at once, for a block of one piece. Payload: the block.
struct WriteBlock {
    MESSAGE(4, WriteBlock)
    BlockServiceId service;
    Incarnation incarnation;
    BlockId id;
    u64 sum = 0;
    std::vector<u64> sums;
    FIELDS(service, incarnation, id, sum, sums)
    struct Reply {
        Receipt receipt;
        FIELDS(receipt)
    };
};
// Gives an open block's room back at once; a block that is finished stays. Never fails.
struct DropBlock {
    MESSAGE(5, DropBlock)
    BlockServiceId service;
    BlockId id;
    FIELDS(service, id)
    using Reply = Done;
};
// Whole pages, at most kMaxPiece, within the block. Reply payload: the pages, as they are on the disk: the
// reader checks the sums. NotFound: not here. Corrupt: known to be bad. Denied: the read key is not the
// content's.
struct ReadBlock {
    MESSAGE(6, ReadBlock)
    BlockServiceId service;
    BlockId id;
    u32 offset = 0, length = 0;
    ReadKey key{};
    FIELDS(service, id, offset, length, key)
    struct Reply {
        std::vector<u64> sums;
        FIELDS(sums)
    };
};
// Which of them are here, whole and not known to be bad.
struct HaveBlocks {
    MESSAGE(7, HaveBlocks)
    BlockServiceId service;
    std::vector<BlockId> blocks; // at most kMaxIdsPerMessage
    FIELDS(service, blocks)
    struct Reply {
        std::vector<u8> have; // 0 or 1, in the order asked
        FIELDS(have)
    };
};
struct DiskInfo {
    BlockServiceId service;
    Incarnation incarnation;
    std::string path;
    u64 capacity = 0, used = 0, free = 0; // bytes
    u64 blocks = 0, bad = 0;
    u64 unsettled = 0;                                        // blocks whose fate is still to be heard
    u64 open = 0;                                             // blocks being written
    u64 written_bytes = 0, read_bytes = 0, erased_blocks = 0; // since the process started
    u32 errors = 0;                                           // I/O errors since the process started
    bool read_only = false;
    FIELDS(service, incarnation, path, capacity, used, free, blocks, bad, unsettled, open, written_bytes, read_bytes,
           erased_blocks, errors, read_only)
};
struct Info {
    MESSAGE(8, Info)
    BlockServiceId service; // 0: all disks of the process
    FIELDS(service)
    struct Reply {
        std::vector<DiskInfo> disks;
        FIELDS(disks)
    };
};
struct BlockInfo {
    BlockId id;
    u32 length = 0;
    u64 sum = 0;
    bool bad = false;
    FIELDS(id, length, sum, bad)
};
// In order of ids, those behind `after`. Between servers only.
struct ListBlocks {
    MESSAGE(9, ListBlocks)
    BlockServiceId service;
    BlockId after;
    u32 limit = 0; // 1..kMaxIdsPerMessage
    FIELDS(service, after, limit)
    struct Reply {
        std::vector<BlockInfo> blocks;
        bool end = false;
        FIELDS(blocks, end)
    };
};

// Makes a block of a span anew from others of it, read from their services: repair. Between servers only.
// All blocks of a span are equally long, and byte x of one follows from byte x of any `data` others, so
// neither stripes nor the span's length matter here. Unavailable: too few sources could be read. Corrupt:
// what they give has not the sum.
struct RebuildSource {
    u8 index = 0; // in SpanRecord::blocks
    BlockServiceId service;
    BlockId id;
    net::Address address;
    FIELDS(index, service, id, address)
};
struct RebuildBlock {
    MESSAGE(10, RebuildBlock)
    BlockServiceId service; // that takes it
    Incarnation incarnation;
    BlockId id; // the new block's
    u8 index = 0;
    u8 data = 0, parity = 0;            // of the span's geometry
    u32 length = 0;                     // of each block, whole pages
    u64 sum = 0;                        // the block's, as the span row has it
    std::vector<RebuildSource> sources; // those that may be whole, the best first; at most 40
    FIELDS(service, incarnation, id, index, data, parity, length, sum, sources)
    struct Reply {
        Receipt receipt;
        FIELDS(receipt)
    };
};

using Request =
    std::variant<OpenBlock, Piece, FinishBlock, WriteBlock, DropBlock, ReadBlock, HaveBlocks, Info, ListBlocks, RebuildBlock>;

} // namespace skua::blocks
