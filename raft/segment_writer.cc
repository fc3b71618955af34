#include "raft/segment_writer.h"

#include <algorithm>
#include <iterator>

namespace skua::raft {

void SegmentWriter::startAfter(const SegmentRecovery& found) {
    running_ = found.scan.running;
    closed_ = found.closed;
    lastWrite_ = durable_ = marked_ = found.scan.last_write;
    segment_ = found.next - 1;
}

void SegmentWriter::openSegment(u64 segment) {
    if (open_) closed_.insert(segment_);
    open_ = true;
    segment_ = segment;
    at_ = 0;
}

SegmentWriter::Fit SegmentWriter::lay(std::vector<RecordToWrite>& records, Laid& out) {
    const bool begins = at_ == 0;
    std::vector<RecordToWrite> states;
    if (begins)
        for (const auto& [group, running] : running_)
            if (running > 0) states.push_back({RecordKind::kState, group, running, state_ ? state_(group) : std::string()});
    const std::size_t bytes = writeBytes(states) + writeBytes(records) - writeBytes({});
    if (at_ + pagesFor(bytes) > segmentBytes_) return pagesFor(bytes) > segmentBytes_ / 2 ? Fit::kTooLarge : Fit::kNextSegment;
    for (auto& r : records) r.running = ++running_[r.group];
    if (!states.empty()) {
        states.insert(states.end(), std::make_move_iterator(records.begin()), std::make_move_iterator(records.end()));
        records = std::move(states);
    }
    out.number = ++lastWrite_;
    out.segment = segment_;
    out.at = at_;
    out.pages = layOutWrite(log_, segment_, out.number, durable_, begins && first_, records);
    first_ = false;
    if (begins) beganAt_ = out.number;
    at_ += out.pages.size();
    return Fit::kHere;
}

void SegmentWriter::finished(u64 number) {
    done_.insert(number);
    while (!done_.empty() && *done_.begin() == durable_ + 1) {
        durable_++;
        done_.erase(done_.begin());
    }
}

} // namespace skua::raft
