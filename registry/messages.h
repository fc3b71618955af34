// What the registry is told and asked (design: registry.md). Heartbeats change only the leader's memory.
#pragma once

#include <variant>
#include "core/base/message.h"
#include "core/data/rows.h"
#include "core/net/transport.h"
#include "core/wire/codec.h"
#include "raft/messages.h"

namespace skua::registry {

enum class ServerRole : u8 { kRegistry = 0, kCoordinator = 1, kShard = 2, kBlocks = 3, kMount = 4 };
enum class DiskState : u8 { kUp = 0, kReadOnly = 1, kDraining = 2, kDead = 3, kRemoved = 4 };

// Nobody installs an older map over a newer one.
struct MapVersion {
    u64 epoch = 0, number = 0;
    FIELDS(epoch, number)
    friend auto operator<=>(const MapVersion&, const MapVersion&) = default;
};

struct ServerRow {
    ServerId id;
    std::string name; // "shard-0"
    ServerRole role{};
    net::Address address;
    std::string domain;      // failure domain
    Incarnation incarnation; // of the process: raised by each registration
    u64 store = 0;           // drawn when its data folder was made; another one: it has come back empty
    ServerId replaced_by;    // by a human's word: its groups move there
    FIELDS(id, name, role, address, domain, incarnation, store, replaced_by)
};
struct DiskRow {
    BlockServiceId id;
    ServerId server;
    std::string disk_class;
    u64 capacity = 0; // bytes
    DiskState state{};
    Incarnation incarnation; // raised when the disk appears from another server
    FIELDS(id, server, disk_class, capacity, state, incarnation)
};
struct GroupRow {
    GroupId id;
    std::vector<raft::Member> members, learners;
    bool formatted = false; // its members have said so
    u64 configuration = 0;  // index of the membership this is a copy of
    Wall made;              // when its members were chosen: the time of the group's first entry, the same for each
    FIELDS(id, members, learners, formatted, configuration, made)
};
// Not logged, without a version: travels with heartbeats and map answers.
struct DiskHint {
    BlockServiceId id;
    bool up = false;        // heard of within 5 s
    u64 free = 0, used = 0; // bytes
    u64 blocks = 0;
    u32 errors = 0;
    FIELDS(id, up, free, used, blocks, errors)
};
struct ServerHint {
    ServerId id;
    bool up = false;
    u64 silent_ms = 0;
    std::vector<GroupId> leads; // of the groups it says it leads
    bool low = false;           // its metadata disk has little room
    FIELDS(id, up, silent_ms, leads, low)
};

struct ClusterMap {
    ClusterId cluster;
    MapVersion version;
    u16 shards = 0;
    bool local = false; // a local cluster: shorter times
    Policy policy;      // cluster-wide defaults, complete
    std::vector<ServerRow> servers;
    std::vector<DiskRow> disks;
    std::vector<GroupRow> groups;
    FIELDS(cluster, version, shards, local, policy, servers, disks, groups)
};

// --- requests ----------------------------------------------------------------------------------------

// A process says where it is. The name is its identity; the address and domain may change.
struct Register {
    MESSAGE(1, Register)
    std::string name;
    ServerRole role{};
    net::Address address;
    std::string domain;
    u64 store = 0;
    FIELDS(name, role, address, domain, store)
    struct Reply {
        ServerId id;
        Incarnation incarnation;
        MapVersion version;
        FIELDS(id, incarnation, version)
    };
};
// A disk says where it is. `id` 0: a new one, gets an id (then `uuid` tells a repeat). Another server than
// before: a new incarnation, which fences the old process.
struct RegisterDisk {
    MESSAGE(2, RegisterDisk)
    BlockServiceId id;
    u64 uuid = 0; // drawn when the disk was formatted
    ServerId server;
    std::string disk_class;
    u64 capacity = 0;
    FIELDS(id, uuid, server, disk_class, capacity)
    struct Reply {
        BlockServiceId id;
        Incarnation incarnation;
        DiskState state{};
        FIELDS(id, incarnation, state)
    };
};
struct Heartbeat {
    MESSAGE(3, Heartbeat)
    ServerId server;
    Incarnation incarnation;
    std::vector<DiskHint> disks;
    std::vector<GroupId> leads;
    Wall wall;                    // the sender's: over 10 minutes off is refused
    std::vector<GroupRow> groups; // of those it leads: whose members the map does not have
    bool low = false;             // its metadata disk has little room: it shall lead nothing that another can
    FIELDS(server, incarnation, disks, leads, wall, groups, low)
    struct Reply {
        MapVersion version;
        FIELDS(version)
    };
};
// Answers when the version is newer than `since` (or at once with wait false).
struct GetMap {
    MESSAGE(4, GetMap)
    MapVersion since;
    bool wait = false;
    FIELDS(since, wait)
    struct Reply {
        std::optional<ClusterMap> map; // none: `since` is current
        std::vector<DiskHint> disks;
        std::vector<ServerHint> servers;
        FIELDS(map, disks, servers)
    };
};
struct SetDisk {
    MESSAGE(5, SetDisk)
    BlockServiceId id;
    DiskState state{};
    MapVersion expected; // {0,0}: any
    FIELDS(id, state, expected)
    using Reply = Done;
};
struct SetDefaultPolicy {
    MESSAGE(6, SetDefaultPolicy)
    Policy policy;
    FIELDS(policy)
    using Reply = Done;
};
// A copy of a group's membership, by its configuration index; a lower one is refused.
struct SetGroup {
    MESSAGE(7, SetGroup)
    GroupRow group;
    FIELDS(group)
    using Reply = Done;
};
// A human's word: the groups of a metadata server move to another one of its role; one that holds some of them takes the
// rest. `with` 0: they stay after all. It is dropped from the map once it is in no group.
struct ReplaceServer {
    MESSAGE(8, ReplaceServer)
    ServerId id, with;
    FIELDS(id, with)
    using Reply = Done;
};

// A human's word that a group goes on with the copy of one member, `keep`, alone (raft::RecoverGroup): the other members'
// stores are never let in again, so that no two copies of different histories meet.
struct AbandonCopies {
    MESSAGE(9, AbandonCopies)
    GroupId group;
    ServerId keep;
    bool take_back = false; // the kept member refused: the others of this group may come back
    FIELDS(group, keep, take_back)
    using Reply = Done;
};

// The leader's own proposals.
struct Decide {
    MESSAGE(32, Decide) // states that follow from silence or return
    std::vector<DiskRow> disks;
    FIELDS(disks)
    using Reply = Done;
};
struct DropServer {
    MESSAGE(33, DropServer) // it was replaced, and is in no group any more
    ServerId id;
    FIELDS(id)
    using Reply = Done;
};

using Request = std::variant<Register, RegisterDisk, Heartbeat, GetMap, SetDisk, SetDefaultPolicy, SetGroup, ReplaceServer,
                             AbandonCopies, Decide, DropServer>;

// Format's config for the registry's own group.
struct RegistryConfig {
    ClusterId cluster;
    u16 shards = 0;
    u8 replicas = 1;
    bool local = false;
    Policy policy;
    std::vector<ServerRow> registries; // its own members; their addresses come with their registration
    FIELDS(cluster, shards, replicas, local, policy, registries)
};

} // namespace skua::registry
