// Store: the blocks of one disk (design: blocks.md, "The store"; rows: schema.h; room: slots.h).
//
//                 open()              piece()...            finish()
//   nothing ------------> being written ------> ... ------------------> published
//                             | drop(), a minute of silence,               | erase(): durable, and the
//                             v a sum that does not fit                    v last read of it is over
//                         nothing; the slot is free                    nothing; the slot is free
//
// finish() writes the page sums, syncs data and sums (one fdatasync for several blocks), then commits the
// row to the index (one synced batch for several blocks): the row is the publication. A crash at any
// moment leaves a whole block or a free slot. start() reads the index and nothing else.
//
// Everything on the ring's thread; what blocks goes to a few threads of the disk's own, so that a slow
// disk is slow alone. I/O errors count against the disk: 3 in a minute, a failed sync or a failed index
// make it read-only.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <unordered_map>
#include "blocks/index.h"
#include "blocks/slots.h"
#include "core/async/buffer.h"
#include "core/async/offload.h"
#include "core/async/ring.h"
#include "core/async/sync.h"
#include "core/data/checksum.h"

namespace skua::blocks {

struct StoreOptions {
    u64 capacity = 0, segment = 0; // bytes
    u64 expire_ns = kMinute;       // of an open block that nothing is heard of
    u32 max_open = 1024;           // blocks being written
    u32 max_open_per_owner = 256;
    u32 max_writes = 64, max_reads = 64; // pieces on their way to and from the disk
    u32 max_waiting = 4096;              // requests that wait for one of these: then Busy
    u64 ahead = 64u << 20;               // bytes to have ready in each class in use; 0: none
};

class Store {
public:
    struct Stored {
        u32 length = 0;
        u64 sum = 0;
    };
    struct Read {
        Buffer data;
        std::vector<u64> sums;
    };
    struct Entry {
        Place place; // segment 0: small
        u32 length = 0;
        u64 sum = 0;
        bool bad = false;
    };

    Store(Ring& ring, std::string dir, StoreOptions options, BufferPool& pieces);
    ~Store(); // after stop()
    Store(const Store&) = delete;

    Result<> start(); // blocks; then the tasks run on the ring
    Task<> stop();    // nothing may be under way any more but what it waits for

    // --- writing; errors as in messages.h -----------------------------------------------------------
    Task<Result<bool>> open(BlockId id, u32 most, u64 owner); // true: it is here, whole
    Task<Result<>> piece(BlockId id, u32 offset, Buffer data, std::vector<u64> sums);
    Task<Result<Stored>> finish(BlockId id, u32 length, u64 sum);
    Task<Result<Stored>> write(BlockId id, u64 sum, Buffer data, std::vector<u64> sums, u64 owner);
    void drop(BlockId id);

    // --- reading ------------------------------------------------------------------------------------
    Task<Result<Read>> read(BlockId id, u32 offset, u32 length);
    const Entry* find(const BlockId& id) const;
    Task<Result<std::vector<BlockInfo>>> list(BlockId after, u32 limit);
    // Reads all of it and compares: false, and marked bad, if a page is not what was written.
    Task<Result<bool>> verify(BlockId id);

    // --- erasing and the sweep ----------------------------------------------------------------------
    Task<Result<>> erase(std::vector<BlockId> ids);  // durable; unknown ones are no error
    Task<Result<>> settle(std::vector<BlockId> ids); // referenced: not asked about again
    // Unsettled blocks to ask about now, at most `limit`; they are asked about again after a while.
    std::vector<BlockId> toAsk(u64 first_after_ns, u64 again_after_ns, std::size_t limit);

    void fillInfo(DiskInfo& info) const;
    u64 freeBytes() const;
    bool readOnly() const { return readOnly_; }
    // The disk's folder was there a second ago.
    bool present() const { return present_; }
    const std::string& dir() const { return dir_; }
    bool direct() const { return direct_; }

private:
    struct IdHash {
        std::size_t operator()(const BlockId& id) const noexcept { return static_cast<std::size_t>(BlockMix(id)(0)); }
    };
    struct Writing {
        Writing(const BlockId& i, u32 m, u64 o) : id(i), most(m), owner(o), summer(i), have(m / kPage) {}
        const BlockId id;
        const u32 most;
        const u64 owner;
        std::optional<Place> place;
        bool ready = false;   // has its room
        bool touched = false; // something was written to the slot
        Buffer small;
        BlockSummer summer;
        std::vector<bool> have; // pages
        u32 pages = 0;          // how many
        u32 under_way = 0;
        Event idle; // under_way became 0
        bool dropped = false, finishing = false;
        Event finished;
        Error trouble;
        Monotonic heard;
    };
    using WritingPtr = std::shared_ptr<Writing>;
    struct SegmentFile {
        int fd = -1;
        bool syncing = false, broken = false;
        u64 begun = 0, ended = 0; // syncs
        Event synced;
        ~SegmentFile();
    };
    struct Commit {
        std::vector<IndexChange> changes;
        Result<> result = Ok{};
        Event done;
    };
    struct Asked {
        Monotonic since;
        bool asked = false;
    };
    struct Sums { // of a block that is being read
        std::vector<u64> all;
        Error trouble;
        Event there;
    };

    // store.cc
    Result<> load();
    Result<> openSegment(u32 segment);
    Task<> maintain();
    void noteTrouble(const char* what, const Error& error);
    void becomeReadOnly(const std::string& why);
    Task<Result<>> commit(std::vector<IndexChange> changes);
    Task<> commitLoop();
    u64 reserve() const;
    u64 allocated() const { return slots_.segments() * options_.segment + smallBytes_; }

    // store_write.cc
    Task<> writeTo(WritingPtr w, Buffer data, u32 offset);
    Task<Result<>> makeDurable(WritingPtr w, u32 length, u64 sum);
    Task<Result<>> sync(u32 segment);
    void leave(WritingPtr w); // forget it; its room is free once nothing is under way
    void giveBack(Writing& w);
    Error notOpen(const BlockId& id) const;

    // store_segments.cc
    Task<Result<Place>> takeSlot(u32 size_class);
    Task<Result<Place>> makeRoom(u32 size_class);
    Task<Result<>> makeSegment(u32 size_class);
    Task<> giveBackSegments();
    Task<> fill(); // writes zeros ahead of need
    Task<Result<>> fillSlot(Place place);
    bool busyNow() const;

    // store_read.cc
    void pin(Place place);
    void unpin(Place place);
    void releaseWhenUnread(Place place);
    Task<Result<Read>> readSlot(BlockId id, Entry entry, u32 offset, u32 length);
    Task<Result<Read>> readSmall(BlockId id, Entry entry, u32 offset, u32 length);
    Task<> loadSums(std::shared_ptr<Sums> sums, Entry entry);
    Task<Result<>> readAll(int fd, u8* into, u32 size, u64 at);
    Task<Result<>> markBad(BlockId id);
    void remember(const BlockId& id, std::shared_ptr<Sums> sums);

    Ring& ring_;
    const std::string dir_;
    StoreOptions options_;
    BufferPool& pieces_;
    Offload offload_;
    std::unique_ptr<Index> index_;
    Slots slots_;
    std::map<u32, std::unique_ptr<SegmentFile>> files_;
    u32 lastSegment_ = 0;
    std::unordered_map<BlockId, Entry, IdHash> blocks_;
    std::unordered_map<BlockId, Asked, IdHash> unsettled_;
    std::deque<BlockId> askQueue_; // unsettled ones, the longest unasked first
    std::unordered_map<BlockId, WritingPtr, IdHash> open_;
    std::map<u64, u32> owners_; // open blocks of each
    std::map<Place, u32> pins_; // reads under way
    std::set<Place> dying_;     // erased, but still read
    std::unordered_map<BlockId, std::shared_ptr<Sums>, IdHash> sums_;
    std::deque<BlockId> sumsOrder_; // oldest first
    u64 sumsPages_ = 0;

    std::deque<Commit*> commits_;
    bool committing_ = false;
    Semaphore writes_, reads_, making_{1};
    u32 waiting_ = 0, readsNow_ = 0;
    TaskGroup tasks_;
    Event stopping_, fillWanted_;
    bool direct_ = true, readOnly_ = false, present_ = true, started_ = false;
    u64 smallBytes_ = 0, usedBytes_ = 0, badBlocks_ = 0;
    u64 fileSystemFree_ = ~0ull;
    u64 writtenBytes_ = 0, readBytes_ = 0, erased_ = 0;
    u32 errors_ = 0;
    std::deque<Monotonic> recentErrors_;
    Monotonic lastUse_; // of the disk by others than fill()
};

} // namespace skua::blocks
