// LogDisk: the files of a machine's log, byte for byte, laid out and read by the production code (raft/segment_writer.h,
// raft/segment_recovery.h). One machine's, for all its lives:
//
//   recover() ─► write() ─► landed(), in order … ─► crash(): each write under way is lost, there, or there in some sectors
//
// Faults are for between two lives. Nothing that was durable for sure is touched by a crash.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include "raft/segment_writer.h"
#include "tests/sim/world.h"

namespace skua::sim {

inline constexpr u64 kSector = 512; // a disk writes so much wholly or not at all

class LogDisk {
public:
    // A new life: what the files say goes to `visit`, unless they are damaged, then all that is readable does. The trouble
    // in words; empty: none, the log may be written.
    std::string recover(u64 log, u64 segment_bytes, raft::SegmentWriter::State state,
                        const std::function<void(const raft::Record&)>& visit);
    // On its way to the disk; a mark if `records` is empty. It takes what it needs: a new segment is made at once.
    void write(World& world, std::vector<raft::RecordToWrite> records);
    void landed(); // the first that is under way
    void crash(World& world);
    bool wantsMark() const { return writer_ && writer_->wantsMark() && underWay_.empty(); }

    std::vector<u64> closed() const;
    bool begun() const { return writer_->begun(); }
    void drop(const std::vector<u64>& segments);

    bool empty() const { return files_.empty(); }
    std::size_t bytes() const;
    // A byte of a write that the log itself says was durable changes. None: there is no such byte.
    struct Flip {
        u64 segment = 0, at = 0;
    };
    std::optional<Flip> flip(World& world);

private:
    struct UnderWay {
        raft::SegmentWriter::Laid laid;
        u64 synced = 0; // as it says itself
        bool mark = false;
    };
    struct There {
        u64 number = 0, segment = 0, at = 0, bytes = 0; // without the zeros behind
    };
    void put(const raft::SegmentWriter::Laid& laid, std::size_t from, std::size_t bytes);

    std::map<u64, std::string> files_; // by number; as long as anything was written
    std::optional<raft::SegmentWriter> writer_;
    std::deque<UnderWay> underWay_;
    std::deque<There> there_; // what has landed
    u64 synced_ = 0;          // they say
};

} // namespace skua::sim
