// Witness: remembers everything that any replica has applied, and fails the run when two do not agree.
//
//   entries    what is at an index of a group, and what was applied at a time, is so on every replica, for ever
//   outcomes   what came of an entry (rows written, answers) is the same wherever and whenever it is applied
//   requests   each request is applied once; no replica's rows take an entry twice
//   rows       replicas that have applied the same entries have the same rows
//
// Watched is a production machine under such eyes.
#pragma once

#include <map>
#include <memory>
#include <tuple>
#include "core/store/kv_memory.h"
#include "raft/server.h"
#include "tests/sim/world.h"

namespace skua::sim {

struct Witness {
    std::map<std::pair<u32, u64>, u64> entries;        // group, wall -> hash of the command
    std::map<std::pair<u32, u64>, u64> outcomes;       // group, wall -> hash of its writes and answers
    std::map<std::tuple<u32, u64, u64>, u64> requests; // group, client, request -> wall
    std::map<std::pair<u32, u64>, u64> newest;         // group, store -> wall of the last that it has applied
    std::map<std::pair<u32, u64>, u64> committed;      // group, index -> hash of the whole entry
    std::map<std::pair<u32, u64>, u64> rows;           // group, index -> hash of all rows then
    std::map<u32, Index> last;                         // group -> the highest that anybody has applied

    // After a turn: what was applied since `seen`.
    void look(World& world, const raft::Server& server, std::map<GroupId, Index>& seen);
    // All rows of all groups, now; but for those that have not changed since `seen`.
    void compare(World& world, const raft::Server& server, const store::Kv& kv, std::map<GroupId, Index>& seen);
};

std::unique_ptr<raft::StateMachine> watch(World& world, Witness& witness, GroupId group, u64 store,
                                          std::unique_ptr<raft::StateMachine> machine, std::shared_ptr<bool> replaying);

} // namespace skua::sim
