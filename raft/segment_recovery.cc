#include "raft/segment_recovery.h"

#include <algorithm>

namespace skua::raft {

SegmentRecovery recoverSegments(u64 log, std::vector<SegmentBytes> segments) {
    SegmentRecovery found;
    std::sort(segments.begin(), segments.end(), [](const auto& a, const auto& b) { return a.number < b.number; });
    for (const SegmentBytes& s : segments) found.closed.insert(s.number);
    if (!segments.empty()) found.next = segments.back().number + 1;
    // Laid out, and never written to: the last ones only. They go, so that nothing but writes stands in front of a write.
    auto unwritten = [](const SegmentBytes& s) { return s.bytes.find_first_not_of('\0') == std::string_view::npos; };
    while (!segments.empty() && unwritten(segments.back())) {
        found.unwritten.push_back(segments.back().number);
        segments.pop_back();
    }
    found.scan = scanLog(log, segments);
    return found;
}

} // namespace skua::raft
