// Run: one simulated cluster from formatting to the last purge, by one seed.
#pragma once

#include "tests/sim/host.h"
#include "tests/sim/world.h"

namespace skua::sim {

struct RunOptions {
    u64 seed = 1;
    bool trace = false;
    bool calm = false;    // no faults
    u32 operations = 120; // of each worker, while things go wrong
    Bugs bugs;
};
struct RunResult {
    u64 seconds = 0, events = 0, operations = 0, answers = 0, print = 0;
};
// Returns only if all is well (World::fail).
RunResult run(const RunOptions& options, Counts& counts);

// What a batch must have seen at least once.
const std::vector<std::string>& mustHappen();

} // namespace skua::sim
