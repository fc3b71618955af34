// What only the registry's leader does: gives groups their members, tells these, judges silent disks.
#include <algorithm>
#include <set>
#include "cdc/messages.h"
#include "core/base/log.h"
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

} // namespace

void Registry::lead(const store::Reader& r, raft::Time now, raft::Leader& leader) {
    const Meta meta = metaOf(r);
    if (meta.config.shards == 0) return;
    if (settled_ != meta.version) {
        assignGroups(r, meta, now, leader);
        if (formatGroups(r, meta, now, leader)) settled_ = meta.version;
    }
    mendGroups(r, now, leader);
    spreadLeaders(r, now, leader);
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
            for (u32 i = 0; i < replicas; i++) {
                const ServerRow& server = servers[(n + i) % servers.size()];
                set.group.members.push_back({server.id, server.store});
            }
            assigned_[id] = meta.version;
            leader.propose(wire::encode(Request{set}));
        }
    }
}

// Members of a group that is not formatted yet are told, until each has said yes. One that came back empty meanwhile is not that
// member any more: a majority will do, and mendGroups() takes it in as it is now. True: all groups are there and formatted.
bool Registry::formatGroups(const store::Reader& r, const Meta& meta, raft::Time now, raft::Leader& leader) {
    u32 formatted = 0;
    Groups::scan(r, Groups::All{}, [&](const GroupKey& key, const GroupRow& row) {
        formatted += row.formatted && key.id != kRegistryGroup;
        if (row.formatted) return true;
        bool all = true;
        std::size_t done = 0;
        for (const raft::Member& member : row.members) {
            Telling& t = telling_[{key.id, member.server}];
            done += t.done;
            if (t.done) continue;
            auto server = Servers::get(r, {member.server});
            if (server && member.store != 0 && server->store != member.store) continue;
            all = false;
            if (!server || t.token != 0 || now.age < t.not_before) continue;
            raft::Format format;
            format.cluster = meta.config.cluster;
            format.group = key.id;
            format.members = row.members;
            format.made = row.made;
            format.config.value = machineConfig(meta, key.id);
            t.token = ++lastToken_;
            leader.tellHost(server->address.text, wire::encode(raft::HostRequest{format}), t.token);
        }
        if (all && done > row.members.size() / 2) {
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
    return formatted == meta.config.shards + 1u;
}

void Registry::heard(const store::Reader&, raft::Time now, u64 token, const Result<std::string>& reply, raft::Leader&) {
    for (auto& [_, t] : mending_) {
        if (t.token != token) continue;
        t.token = 0;
        t.not_before = Age{now.age.value + kRetryMendNs};
    }
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
    const u32 most = deadDomainsPerHour(r, meta);
    Meta would = meta; // as Decide will find it
    Decide decide;
    std::set<BlockServiceId> waiting;
    Disks::scan(r, Disks::All{}, [&](const DiskKey& key, const StoredDisk& row) {
        if (row.disk.state == DiskState::kRemoved) return true;
        Age up_at;
        if (auto h = heard_.find(row.disk.server); h != heard_.end())
            if (auto d = h->second.disks.find(key.id); d != h->second.disks.end()) up_at = d->second.up_at;
        const bool dead = row.disk.state == DiskState::kDead;
        const bool silent = now.age.value - std::max(up_at, startedAt_).value > limit;
        const bool back = row.by_silence && up_at.value != 0 && now.age.value - up_at.value <= kUpWithin;
        DiskRow wanted = row.disk;
        if (back) {
            wanted.state = row.before;
            decide.disks.push_back(wanted);
        } else if (silent && !dead) {
            wanted.state = DiskState::kDead;
            if (mayDie(would, domainOf(r, row.disk), most, now.age)) decide.disks.push_back(wanted);
            else waiting.insert(key.id);
        }
        return decide.disks.size() < 4096;
    });
    for (BlockServiceId id : waiting)
        if (!waiting_.contains(id))
            log::warn(
                "disk is silent, and too many failure domains are dead already: likely the network; not declared dead disk={}",
                id.value);
    waiting_ = std::move(waiting);
    if (!decide.disks.empty()) leader.propose(wire::encode(Request{decide}));
}

} // namespace skua::registry
