// Moment: the time of a turn, as the pure parts of a host are told it.
#pragma once

#include "core/base/types.h"

namespace skua::raft {

// `monotonic` (CLOCK_BOOTTIME) never goes back within a process; `wall` may jump.
struct Moment {
    Monotonic monotonic;
    Wall wall;
};

} // namespace skua::raft
