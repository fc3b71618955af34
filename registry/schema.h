// What the registry keeps. Heartbeats are not here: they live in the leader's memory (state.h).
#pragma once

#include "core/store/table.h"
#include "registry/messages.h"

namespace skua::registry {

struct ServerKey {
    ServerId id;
    FIELDS(id)
};
using Servers = store::Table<'s', ServerKey, ServerRow>;

struct DiskKey {
    BlockServiceId id;
    FIELDS(id)
};
// The disk as the map has it, and what tells a repeated registration.
struct StoredDisk {
    DiskRow disk;
    u64 uuid = 0;
    bool by_silence = false; // dead because nothing was heard of it: when it returns it is `before` again
    DiskState before{};
    FIELDS(disk, uuid, by_silence, before)
};
using Disks = store::Table<'d', DiskKey, StoredDisk>;

// Stores whose servers may not come back with them: a group went on without their copies. For ever, whatever becomes of the
// server's row.
struct StoreKey {
    u64 store = 0;
    FIELDS(store)
};
struct BarredRow {
    ServerId server;
    GroupId group;
    bool final = false; // by an earlier recovery of the group: it is not taken back with the latest
    FIELDS(server, group, final)
};
using Barred = store::Table<'b', StoreKey, BarredRow>;

struct GroupKey {
    GroupId id;
    FIELDS(id)
};
using Groups = store::Table<'g', GroupKey, GroupRow>;

// A failure domain of which disks were declared dead without a human, and when.
struct DeadDomain {
    std::string domain;
    Age at;
    FIELDS(domain, at)
};
struct Meta {
    RegistryConfig config;
    MapVersion version;
    ServerId last_server;
    BlockServiceId last_disk;
    std::vector<DeadDomain> dead_lately; // within the last hour of age
    FIELDS(config, version, last_server, last_disk, dead_lately)
};
struct MetaKey {
    FIELDS()
};
using Metas = store::Table<'m', MetaKey, Meta>;

} // namespace skua::registry
