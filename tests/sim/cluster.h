// Cluster: all servers of one simulated cluster, and the keys, bugs and witnesses that they share.
#pragma once

#include "tests/sim/block_model.h"
#include "tests/sim/host.h"

namespace skua::sim {

struct Cluster {
    Cluster(World& world, Bugs bugs, u16 shards, u32 shard_processes, u32 services, Policy policy, bool drifting);
    Cluster(const Cluster&) = delete;

    // Starts everything, without faults, until all groups lead and all services are in the map.
    void start();
    // What is down is up again, soon.
    void startAll();
    void crashOne(); // any process; it comes back after a while
    // Something has just begun there: perhaps it dies before that is done.
    void busy(Machine& machine);
    void busy(BlockModel& service);
    void cutOne(); // some link, for a while
    std::string registryAddress() const { return machines.front()->address; }
    void stop(NodeClock& clock, u32 node, u64 ns); // a process, as by SIGSTOP
    u64 stoppedUntil = 0;                          // the last of them
    Machine& hostOf(GroupId group);
    store::Prefixed rows(GroupId group);

    template <class Process>
    void fell(Process& process);
    template <class Process>
    void fellSoon(Process& process);

    World& world;
    Network network;
    const net::Keys keys;
    const Bugs bugs;
    const bool drifting;
    registry::RegistryConfig config;
    Witness witness;
    std::vector<std::unique_ptr<Machine>> machines; // registry, coordinator, shards
    std::vector<std::unique_ptr<BlockModel>> services;
    u32 nodes = 0; // numbers given out
};

} // namespace skua::sim
