#include "tests/sim/cluster.h"

#include <algorithm>
#include "cdc/messages.h"
#include "shard/messages.h"

namespace skua::sim {

Cluster::Cluster(World& world, Bugs bugs, const Shape& shape, Policy policy, bool drifting)
    : world(world),
      network(world),
      keys(ClusterId{77}, MacKey{1, 2, 3}),
      bugs(bugs),
      replicas(shape.replicas),
      keep_bytes(shape.keep_bytes),
      part_bytes(shape.part_bytes),
      drifting(drifting) {
    config.cluster = keys.cluster();
    config.shards = shape.shards;
    config.replicas = replicas == 1 ? 1 : 255; // more than there are: we choose the members (Host::makeGroups)
    config.policy = std::move(policy);
    auto add = [&](const std::string& name, registry::ServerRole role) {
        const ServerId id{static_cast<u32>(machines.size() + 1)};
        machines.push_back(std::make_unique<Machine>(*this, ++nodes, name, role, raft::Member{id, world.random.next() | 1}));
        if (role == registry::ServerRole::kRegistry) machines.back()->address = name + ":1"; // it is in everybody's configuration
    };
    for (u32 i = 0; i < replicas; i++) add("registry-" + std::to_string(i), registry::ServerRole::kRegistry);
    for (u32 i = 0; i < replicas; i++) add("cdc-" + std::to_string(i), registry::ServerRole::kCoordinator);
    for (u32 i = 0; i < shape.shard_processes; i++) add("shard-" + std::to_string(i), registry::ServerRole::kShard);
    for (u32 i = 0; i < shape.services; i++)
        services.push_back(std::make_unique<BlockModel>(*this, ++nodes, "blocks-" + std::to_string(i), world.random.next() | 1));
}

// --- who is where ------------------------------------------------------------------------------------------

std::vector<std::string> Cluster::registryAddresses() const {
    std::vector<std::string> all;
    for (u32 i = 0; i < replicas; i++) all.push_back(machines[i]->address);
    return all;
}

std::vector<GroupId> Cluster::groups() const {
    std::vector<GroupId> all{kRegistryGroup, kCoordinatorGroup};
    for (u16 s = 0; s < config.shards; s++) all.push_back(groupOf(ShardId{s}));
    return all;
}

std::vector<raft::Member> Cluster::membersOf(GroupId group) const {
    std::vector<raft::Member> all;
    const u32 shards = static_cast<u32>(machines.size()) - 2 * replicas;
    for (u32 i = 0; i < replicas; i++) {
        if (group == kRegistryGroup) all.push_back(machines[i]->self);
        else if (group == kCoordinatorGroup) all.push_back(machines[replicas + i]->self);
        else all.push_back(machines[2 * replicas + (numberOf(group) + i) % shards]->self);
    }
    return all;
}

// Groups of one member, but for the registry's own, are made by the registry.
std::vector<raft::Format> Cluster::formatsFor(const Machine& machine) const {
    std::vector<raft::Format> all;
    for (const GroupId group : groups()) {
        if (replicas == 1 && group != kRegistryGroup) break;
        const auto members = membersOf(group);
        if (std::find(members.begin(), members.end(), machine.self) == members.end()) continue;
        raft::Format format;
        format.cluster = config.cluster;
        format.group = group;
        format.members = members;
        format.made = Wall{kBegin};
        if (group == kRegistryGroup) {
            format.config.value = wire::encode(config);
        } else if (group == kCoordinatorGroup) {
            format.config.value = wire::encode(cdc::CoordinatorConfig{config.cluster, config.shards});
        } else {
            const ShardId shard{numberOf(group)};
            format.config.value = wire::encode(shard::ShardConfig{config.cluster, shard, config.shards, config.policy});
        }
        all.push_back(std::move(format));
    }
    return all;
}

bool Cluster::mayRegister(const Machine& machine) const {
    return machine.self.server == ServerId{1} || machines[machine.self.server.value - 2]->registered;
}

bool Cluster::allRegistered() const { return machines.back()->registered; }

Machine* Cluster::leaderOf(GroupId group) const {
    Machine* found = nullptr;
    Term term;
    for (const auto& m : machines) {
        if (!m->up() || !m->life->server().leads(group)) continue;
        const Term its = m->life->server().group(group)->term();
        if (!found || its > term) found = m.get(), term = its;
    }
    return found;
}

// --- lives ---------------------------------------------------------------------------------------------------

void Cluster::start() {
    for (auto& m : machines) m->start();
    if (!world.runUntil([this] { return allRegistered(); }, 30 * kSecond)) world.fail("the servers did not register within 30 s");
    startAll();
    const bool there = world.runUntil(
        [this] {
            for (const auto& service : services)
                if (service->service.value == 0) return false;
            for (const GroupId group : groups())
                if (!leaderOf(group)) return false;
            return true;
        },
        30 * kSecond);
    if (!there) world.fail("the cluster did not start within 30 s");
}

void Cluster::night(bool begins) {
    if (replicas == 1 || slow == begins) return;
    slow = begins;
    world.tell("the pace changes slow={}", slow);
    for (auto& m : machines) {
        if (!m->up()) continue;
        m->crash();
        m->start();
    }
}

void Cluster::startAll() {
    for (auto& m : machines) m->start();
    for (auto& s : services) s->start();
}

void Cluster::crashOne() {
    const u64 which = world.random.below(machines.size() + services.size());
    if (which < machines.size()) fell(*machines[which]);
    else fell(*services[which - machines.size()]);
}

template <class Process>
void Cluster::fell(Process& process) {
    if (!process.up()) return;
    world.count("fault crash of " + process.name.substr(0, process.name.find('-')));
    process.crash();
    const u64 back =
        world.random.oneIn(4) ? world.random.between(5 * kSecond, 40 * kSecond) : world.random.between(kMillisecond, 3 * kSecond);
    world.after(back, [&process] { process.start(); });
}

template <class Process>
void Cluster::fellSoon(Process& process) {
    if (!world.faults.crashes || !world.chance(world.faults.crash_busy)) return;
    world.count("fault crash while busy");
    world.after(world.random.below(900 * kMicrosecond), [this, &process] {
        if (world.faults.crashes) fell(process);
    });
}

void Cluster::busy(Machine& machine) { fellSoon(machine); }
void Cluster::busy(BlockModel& service) { fellSoon(service); }

void Cluster::stop(NodeClock& clock, u32 node, u64 ns) {
    const u64 until = world.now() + ns;
    clock.stopUntil(until);
    network.stop(node, until);
    stoppedUntil = std::max(stoppedUntil, until);
}

void Cluster::cutOne() {
    const u32 a = 1 + static_cast<u32>(world.random.below(nodes)), b = 1 + static_cast<u32>(world.random.below(nodes));
    if (a == b) return;
    const u64 until = world.now() + world.random.between(100 * kMillisecond, 20 * kSecond);
    world.tell("link cut from={} to={}", a, b);
    network.cut(a, b, until);
    if (world.random.oneIn(2)) network.cut(b, a, until);
}

Machine& Cluster::hostOf(GroupId group) {
    Machine* leader = leaderOf(group);
    if (!leader) world.fail(fmt::format("nobody leads group {}", group.value));
    return *leader;
}

store::Prefixed Cluster::rows(GroupId group) {
    std::string prefix;
    wire::putKey(prefix, group);
    return store::Prefixed(hostOf(group).kv, prefix);
}

} // namespace skua::sim
