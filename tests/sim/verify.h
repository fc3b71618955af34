// Verify: what must hold when a run is over, looked up in the rows of all groups at once (metadata.md,
// "Invariants"), and held against the arenas' checkers.
#pragma once

#include "tests/sim/cluster.h"
#include "tests/sim/worker.h"

namespace skua::sim {

// No transaction, no message between shards, no lock.
bool atRest(Cluster& cluster);
// Empty: every member of every group has applied all that any member ever had, and has the same rows (it fails if not).
std::string whoIsBehind(Cluster& cluster);
// 1, 2, 3, 4, 5, 8, 9, 10; what is referenced is on its services, whole. At rest.
void verifyInvariants(Cluster& cluster);
// The tree below the arena's root is what its checker has: names, links, attributes, contents.
void verifyTree(Cluster& cluster, Arena& arena);
// After every retention, reservation and deadline: nothing is left of what was removed or given up, and the
// services have what is referenced and nothing else.
void verifyNothingLeft(Cluster& cluster);

} // namespace skua::sim
