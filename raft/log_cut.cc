#include "raft/log_cut.h"

namespace skua::raft {

bool LogCut::worthIt(const Server& server) const {
    u64 bytes = 0;
    for (const GroupId group : server.lagging(held_)) bytes += server.carrySize(group);
    return closed_.size() * segmentBytes_ >= kCutWorth * bytes;
}

LogCut::Do LogCut::next(Server& server, const std::vector<u64>& closed, Monotonic now) {
    if (server.keepsLog()) giveUp();
    if (step_ == Step::kIdle) {
        if (closed.empty() || server.keepsLog()) return Do::kNothing;
        closed_ = closed;
        // All of closed segments is durable when a write behind them is. Then what they hold must be applied.
        upTo_ = server.lastWrite();
        since_ = now;
        step_ = Step::kDurable;
    }
    const bool patient = now.value < since_.value + kCutPatienceNs;
    if (step_ == Step::kDurable) {
        if (server.durableWrite() < upTo_) {
            if (!patient) giveUp(); // no room, say
            return idle() ? Do::kNothing : Do::kWait;
        }
        held_ = server.durableIndexes();
        step_ = Step::kApplied;
    }
    if (step_ == Step::kApplied) {
        if (!server.lagging(held_).empty()) {
            if (patient) return Do::kWait;
            if (!worthIt(server)) {
                giveUp();
                return Do::kNothing;
            }
        }
        // Before the flush: what is applied while it goes on may not be in it.
        applied_ = server.appliedIndexes();
        due_ = server.lagging(held_);
        step_ = Step::kFlush;
    }
    if (step_ == Step::kCarry) {
        // One after the other: each is in memory twice until it is written.
        if (server.carrying()) return Do::kWait;
        if (!due_.empty()) {
            const GroupId group = due_.back();
            due_.pop_back();
            if (server.carry(group, applied_[group])) return Do::kWait;
            giveUp();
            return Do::kNothing;
        }
        step_ = Step::kBegin;
    }
    if (step_ == Step::kFlush) return Do::kFlush;
    return step_ == Step::kBegin ? Do::kBegin : Do::kDrop;
}

} // namespace skua::raft
