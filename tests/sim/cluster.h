// Cluster: all servers of one simulated cluster, and the keys, bugs and witnesses that they share.
#pragma once

#include "tests/sim/block_model.h"
#include "tests/sim/host.h"

namespace skua::sim {

inline constexpr u64 kSlower = 400; // at night

struct Shape {
    u32 replicas = 3; // of each group
    u16 shards = 2;
    u32 shard_processes = 3; // at least `replicas`
    u32 services = 4;
    u64 pace = 1; // heartbeats and elections are so many times slower than in production
    std::size_t keep_bytes = 16u << 20, keep_total_bytes = 128u << 20, part_bytes = 1u << 20; // raft::ServerOptions
};

struct Cluster {
    Cluster(World& world, Bugs bugs, const Shape& shape, Policy policy, bool drifting);
    Cluster(const Cluster&) = delete;

    // Starts everything, with faults or without, until all groups lead and all services are in the map.
    void start(const Faults& faults);
    // What is down is up again, soon.
    void startAll();
    void crashOne(); // any process; it comes back after a while
    // Something has just begun there: perhaps it dies before that is done.
    void busy(Machine& machine);
    void busy(BlockModel& service);
    // It has begun to write a vote, which takes so long: perhaps it dies right after, and is back at once.
    void voted(Machine& machine, u64 takes);
    u64 lateVote();  // how much longer than others a question for a vote takes: elections go wrong by it
    u64 lateOffer(); // the same of an offer of rows: who gets it may have caught up meanwhile
    // The rows of a snapshot are flushed there, and the log does not know it yet.
    bool fellInstalling(Machine& machine);
    void crashLeader();
    void crashGroup(); // all members of some group at once, or all but one
    void emptyOne();   // some metadata process loses its folder, if no group misses one already
    void cutOne();     // some link, for a while
    void cutLeader();  // from all other members, or them from it, or both
    void stopOne();    // a metadata process, as by SIGSTOP, for seconds
    void jumpWall();   // of some process
    void fillOne();    // the disk of some metadata process, for a while
    void breakOne();   // it writes nothing any more, until a human sees to it
    void flipOne();    // a byte in the log of some metadata process, which finds it when it starts again
    void spoilOne();   // rows of some group on one of its members: what is on the disk cannot be read any more
    void cornerOne();  // some group: only one of it has all of the log, and that one loses its rows
    // A process that is in no group yet, of that one's role.
    Machine& addSpare(const Machine& like);
    std::vector<std::string> registryAddresses() const;
    // Nights: all metadata processes go through a restart, and take elections and heartbeats that much slower. Hours
    // would be too many events otherwise.
    void night(bool begins);
    // --- who is where
    std::vector<GroupId> groups() const;
    std::vector<raft::Member> membersOf(GroupId group) const; // as its leader has it
    bool has(const raft::Member& member) const;               // a machine with that store
    Machine& machineOf(const raft::Member& member);
    raft::Format registryFormat() const;
    Machine* leaderOf(GroupId group) const;        // of the highest term; null: nobody
    std::string whoLeads() const;                  // a line for each group: its members as each machine has it
    void stop(NodeClock& clock, u32 node, u64 ns); // a process, as by SIGSTOP
    u64 stoppedUntil = 0;                          // the last of them
    Machine& hostOf(GroupId group);
    store::Prefixed rows(GroupId group);

    GroupId anyGroup();
    bool allThere() const;
    bool mended();               // every group has its voters, all of stores that are there, and all know it
    void mend(Machine& machine); // its disk
    bool hasRows(const Machine& machine, GroupId group) const;
    bool readable() const; // all rows of all
    template <class Process>
    void fell(Process& process, u64 back = 0); // it is up again after that, or when chance says
    template <class Process>
    void fellSoon(Process& process);

    World& world;
    Network network;
    const net::Keys keys;
    std::vector<u64> first_stores; // of the registry's members
    const Bugs bugs;
    const u32 replicas;
    const u64 pace;
    const std::size_t keep_bytes, keep_total_bytes, part_bytes;
    u64 segment_bytes = 256u << 10;
    bool slow = false; // night
    const bool drifting;
    registry::RegistryConfig config;
    Witness witness;
    Promises promises;
    std::vector<std::unique_ptr<Machine>> machines; // registry, coordinator, shards
    std::vector<std::unique_ptr<BlockModel>> services;
    u32 nodes = 0; // numbers given out
};

} // namespace skua::sim
