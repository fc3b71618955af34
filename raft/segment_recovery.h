// What a start makes of the segments that it finds, purely: which records count, which files go, where to go on.
#pragma once

#include "raft/segment_format.h"

namespace skua::raft {

struct SegmentRecovery {
    Scan scan;
    std::vector<u64> unwritten; // laid out and never written to: to be removed, unless the log is corrupt
    std::set<u64> closed;       // all there are; nothing is appended to them
    u64 next = 1;               // number of the segment that a start makes, which cuts what was torn
};
// In any order. The scan's records point into the segments' bytes.
SegmentRecovery recoverSegments(u64 log, std::vector<SegmentBytes> segments);

} // namespace skua::raft
