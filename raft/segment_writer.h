// SegmentWriter: where each write of the log goes and what stands in it, purely: no ring, no files (segment_log.h has those,
// the simulator its own).
//
//   lay(records) ─► kHere: write these pages there, then finished(number)
//                └► kNextSegment: nothing has happened; have a new file, openSegment(), and lay again
//
// The first write of a segment says every group's running number and vote first, so that older segments may be dropped
// once it is durable (begun()). Durability counts in order: durable() is the last write that all earlier ones are with.
// Thread-safety: a value.
#pragma once

#include <functional>
#include <set>
#include "raft/segment_format.h"
#include "raft/segment_recovery.h"

namespace skua::raft {

class SegmentWriter {
public:
    // What a group may never forget, for the head of a segment: an encoded VoteRow.
    using State = std::function<std::string(GroupId)>;
    struct Laid {
        std::string pages;
        u64 number = 0, segment = 0, at = 0;
    };
    enum class Fit : u8 { kHere, kNextSegment, kTooLarge };

    SegmentWriter(u64 log, u64 segment_bytes, State state)
        : log_(log), segmentBytes_(segment_bytes), at_(segment_bytes), state_(std::move(state)) {}

    // Goes on behind what was found. There is no segment yet: openSegment().
    void startAfter(const SegmentRecovery& found);
    // The next write begins this one; the one before is closed.
    void openSegment(u64 segment);
    // `records` are used up where it is kHere, else untouched.
    Fit lay(std::vector<RecordToWrite>& records, Laid& out);
    void finished(u64 number);
    void marked(u64 up_to) { marked_ = std::max(marked_, up_to + 1); } // by a write with nothing in it: it needs no mark itself

    u64 segment() const { return segment_; }
    u64 at() const { return at_; }
    u64 durable() const { return durable_; }
    bool wantsMark() const { return marked_ < durable_; }
    // This segment has a write in it, durably.
    bool begun() const { return open_ && at_ != 0 && durable_ >= beganAt_; }
    // So much is in this segment that the next one should be made.
    bool nextDue() const { return at_ > segmentBytes_ / 4; }
    bool nearlyFull() const { return at_ > segmentBytes_ / 8 * 5; }
    // Nothing is appended to them any more.
    const std::set<u64>& closed() const { return closed_; }
    bool drop(u64 segment) { return closed_.erase(segment) != 0; }

private:
    u64 log_, segmentBytes_;
    u64 segment_ = 0, at_ = 0; // the current file, and where the next write goes
    State state_;
    bool open_ = false, first_ = true;
    std::map<GroupId, u64> running_;
    std::set<u64> closed_;
    u64 beganAt_ = 0; // the first write of this segment
    u64 lastWrite_ = 0, durable_ = 0, marked_ = 0;
    std::set<u64> done_; // above durable_
};

} // namespace skua::raft
