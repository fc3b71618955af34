// RoomWatch: looks at the room on a metadata process's disk, and tells its Server (Server::setLow) when there is little.
//
//   free room     ├── below `least`: low. It leads only what nobody else can, and takes only what frees space
//                 └── none: log and rows wait; the reserve, a file a little larger than a segment, is given up so that rows can
//                 be
//                     flushed, and segments dropped and used again. It is laid aside again when there is room.
//
// `least` is a twentieth of the file system, at least two segments and at most 1 GiB. Low ends a quarter above it.
// Belongs to the ring's thread.
#pragma once

#include <string>
#include "core/async/offload.h"
#include "core/async/ring.h"
#include "core/async/sync.h"
#include "core/store/kv_rocksdb.h"
#include "raft/segment_log.h"
#include "raft/server.h"

namespace skua::raft {

inline constexpr u64 kRoomCheckNs = 500 * kMillisecond;
inline constexpr u64 kMostLeastRoom = 1u << 30;
inline constexpr u64 kLeastToStart = 8u << 20;
inline constexpr u64 kRoomSaidNs = kMinute; // what it says in the log, at most so often

struct Room {
    u64 free = 0, least = 0;
};
Room roomOf(const std::string& dir, u64 segment_bytes);
// A start on a full disk takes a new segment, and rows must be flushed before an old one can go.
inline u64 reserveOf(u64 segment_bytes) { return segment_bytes / 4 * 5; }

// Before rows and log are opened: the reserve goes if they would not fit. Without room even for the rows it waits, and
// says so. Blocking; before signals are caught.
void waitForRoomToStart(const std::string& dir, const std::string& reserve, u64 segment_bytes);

class RoomWatch {
public:
    RoomWatch(Ring& ring, Offload& offload, std::string dir, std::string reserve, u64 segment_bytes)
        : ring_(ring), offload_(offload), dir_(std::move(dir)), reserve_(std::move(reserve)), segmentBytes_(segment_bytes) {}

    // For ever; `changed` is pulsed when it has become low or has not been so any more.
    Task<> watch(Server& server, SegmentLog& log, store::KvRocksdb& rows, Event& changed);

private:
    bool makeReserve() const; // blocking

    Ring& ring_;
    Offload& offload_;
    const std::string dir_, reserve_;
    const u64 segmentBytes_;
    Monotonic said_;
};

} // namespace skua::raft
