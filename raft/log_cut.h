// LogCut: when old segments of the log may go, purely. Its owner (shell.cc, the simulator) asks next() every second or so, and
// every 20 ms while it is under way, and does what it says:
//
//   kFlush: settle the rows and flush them, then flushed() ─► kBegin: have the current segment begun, durably, then begun()
//   ─► kDrop: closed() may go, then dropped();   kWait: ask again, and let the server's writes go
//
//   closed segments are noted ─ all of them durable ─ applied, or waited for long enough ─ flushed ─ carried ─ begun ─ gone
//
// A group that has not applied what old segments hold (it has no majority, say) is waited for, not for ever: what it needs
// of them is written again at the log's end (Server::carry), where the segments are at least four times as large. So one
// such group does not keep the others' log, and what is written again is a third of what else is written at most.
// A carried entry is durable before the segment that held it goes, and so is every vote, at the current segment's head.
// Thread-safety: a value.
#pragma once

#include "raft/server.h"

namespace skua::raft {

inline constexpr u64 kCutPatienceNs = 2 * kSecond, kCutAskNs = 20 * kMillisecond;
inline constexpr u64 kCutWorth = 4; // times what is carried

class LogCut {
public:
    enum class Do : u8 { kNothing, kWait, kFlush, kBegin, kDrop };

    explicit LogCut(u64 segment_bytes) : segmentBytes_(segment_bytes) {}
    // `closed`: all segments that nothing is appended to any more. Only where the log is sound.
    Do next(Server& server, const std::vector<u64>& closed, Monotonic now);
    void flushed() { step_ = Step::kCarry; }
    void begun() { step_ = Step::kDrop; }
    const std::vector<u64>& closed() const { return closed_; }
    void dropped() { step_ = Step::kIdle; }
    void giveUp() { step_ = Step::kIdle; } // the rows could not be flushed, say: again from the start, later
    bool idle() const { return step_ == Step::kIdle; }

private:
    enum class Step : u8 { kIdle, kDurable, kApplied, kFlush, kCarry, kBegin, kDrop };
    bool worthIt(const Server& server) const;

    u64 segmentBytes_;
    Step step_ = Step::kIdle;
    std::vector<u64> closed_;
    u64 upTo_ = 0; // the write that all of closed_ is durable with
    Monotonic since_;
    std::map<GroupId, Index> held_, applied_; // by closed_; in the rows that are flushed
    std::vector<GroupId> due_;                // to be carried, from the back
};

} // namespace skua::raft
