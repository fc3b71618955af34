// What only the registry's leader does: gives groups their members, tells these, judges silent disks.
#include <algorithm>
#include <set>
#include "cdc/messages.h"
#include "raft/messages.h"
#include "registry/ops/apply.h"
#include "registry/state.h"
#include "shard/messages.h"

namespace skua::registry {

namespace {

std::vector<ServerRow> serversOf(const store::Reader& r, ServerRole role) {
    std::vector<ServerRow> found;
    Servers::scan(r, Servers::All{}, [&](const ServerKey&, const ServerRow& row) {
        if (row.role == role) found.push_back(row);
        return true;
    });
    return found;
}

std::string machineConfig(const Meta& meta, GroupId group) {
    if (kindOf(group) == GroupKind::kCoordinator) {
        cdc::CoordinatorConfig config;
        config.cluster = meta.config.cluster;
        config.shards = meta.config.shards;
        return wire::encode(config);
    }
    shard::ShardConfig config;
    config.cluster = meta.config.cluster;
    config.shard = ShardId{numberOf(group)};
    config.shards = meta.config.shards;
    config.policy = meta.config.policy;
    return wire::encode(config);
}

}  // namespace

void Registry::lead(const store::Reader& r, raft::Time now, raft::Leader& leader) {
    const Meta meta = metaOf(r);
    if (meta.config.shards == 0) return;
    assignGroups(r, meta, now, leader);
    formatGroups(r, meta, now, leader);
    judgeDisks(r, meta, now, leader);
}

// Every group without members gets `replicas` of the servers of its role, spread evenly.
void Registry::assignGroups(const store::Reader& r, const Meta& meta, raft::Time, raft::Leader& leader) {
    const u32 replicas = std::max<u32>(1, meta.config.replicas);
    for (ServerRole role : {ServerRole::kCoordinator, ServerRole::kShard}) {
        const u16 count = role == ServerRole::kShard ? meta.config.shards : 1;
        std::vector<ServerRow> servers;
        for (u16 n = 0; n < count; n++) {
            const GroupId id = role == ServerRole::kShard ? groupOf(ShardId{n}) : kCoordinatorGroup;
            if (Groups::has(r, {id})) continue;
            if (auto at = assigned_.find(id); at != assigned_.end() && at->second == meta.version) continue;
            if (servers.empty()) servers = serversOf(r, role);
            if (servers.size() < replicas) break;
            SetGroup set;
            set.group.id = id;
            for (u32 i = 0; i < replicas; i++) set.group.members.push_back(servers[(n + i) % servers.size()].id);
            assigned_[id] = meta.version;
            leader.propose(wire::encode(Request{set}));
        }
    }
}

// Members of a group that is not formatted yet are told, until each has said yes.
void Registry::formatGroups(const store::Reader& r, const Meta& meta, raft::Time now, raft::Leader& leader) {
    Groups::scan(r, Groups::All{}, [&](const GroupKey& key, const GroupRow& row) {
        if (row.formatted) return true;
        bool all = true;
        for (ServerId member : row.members) {
            Telling& t = telling_[{key.id, member}];
            if (t.done) continue;
            all = false;
            if (t.token != 0 || now.age < t.not_before) continue;
            auto server = Servers::get(r, {member});
            if (!server) continue;
            raft::Format format;
            format.cluster = meta.config.cluster;
            format.group = key.id;
            for (ServerId m : row.members) format.members.push_back({m, 0});
            format.config.value = machineConfig(meta, key.id);
            t.token = ++lastToken_;
            leader.tellHost(server->address.text, wire::encode(raft::HostRequest{format}), t.token);
        }
        if (all) {
            if (auto at = assigned_.find(key.id); at == assigned_.end() || at->second != meta.version) {
                assigned_[key.id] = meta.version;
                SetGroup set;
                set.group = row;
                set.group.formatted = true;
                leader.propose(wire::encode(Request{set}));
            }
        }
        return true;
    });
}

void Registry::heard(const store::Reader&, raft::Time now, u64 token, const Result<std::string>& reply, raft::Leader&) {
    for (auto& [_, t] : telling_) {
        if (t.token != token) continue;
        t.token = 0;
        if (reply) t.done = true;
        else t.not_before = Age{now.age.value + kRetryFormatNs};
    }
}

// Silent for long: dead, and repair begins. Back: up again. A new leader first listens for as long.
void Registry::judgeDisks(const store::Reader& r, const Meta& meta, raft::Time now, raft::Leader& leader) {
    if (now.age.value < decidedAt_.value + kSecond && decidedAt_.value != 0) return;
    decidedAt_ = now.age;
    const u64 limit = deadAfter(meta.config.local);
    Decide decide;
    Disks::scan(r, Disks::All{}, [&](const DiskKey&, const StoredDisk& row) {
        auto h = heard_.find(row.disk.server);
        const Age since = h == heard_.end() ? startedAt_ : std::max(h->second.at, startedAt_);
        const bool silent = now.age.value - since.value > limit;
        const bool dead = row.disk.state == DiskState::kDead;
        const bool back = dead && h != heard_.end() && now.age.value - h->second.at.value <= kUpWithin;
        if ((silent && !dead && row.disk.state != DiskState::kRemoved) || back) {
            DiskRow wanted = row.disk;
            wanted.state = back ? DiskState::kUp : DiskState::kDead;
            decide.disks.push_back(wanted);
        }
        return decide.disks.size() < 4096;
    });
    if (!decide.disks.empty()) leader.propose(wire::encode(Request{decide}));
}

}  // namespace skua::registry
