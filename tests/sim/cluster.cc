#include "tests/sim/cluster.h"

namespace skua::sim {

Cluster::Cluster(World& world, Bugs bugs, u16 shards, u32 shard_processes, u32 block_services, Policy policy, bool drifting)
    : world(world), network(world), keys(ClusterId{77}, MacKey{1, 2, 3}), bugs(bugs), drifting(drifting) {
    config.cluster = keys.cluster();
    config.shards = shards;
    config.policy = std::move(policy);
    auto add = [&](const std::string& name, registry::ServerRole role) {
        machines.push_back(std::make_unique<Machine>(*this, ++nodes, name, role));
    };
    add("registry-0", registry::ServerRole::kRegistry);
    add("cdc-0", registry::ServerRole::kCoordinator);
    for (u32 i = 0; i < shard_processes; i++) add("shard-" + std::to_string(i), registry::ServerRole::kShard);
    for (u32 i = 0; i < block_services; i++)
        services.push_back(std::make_unique<BlockModel>(*this, ++nodes, "blocks-" + std::to_string(i), world.random.next() | 1));
}

void Cluster::start() {
    startAll();
    const bool there = world.runUntil(
        [this] {
            auto rows = this->rows(kRegistryGroup);
            if (!machines.front()->up() || !machines.front()->life->server().leads(kRegistryGroup)) return false;
            for (const auto& service : services)
                if (service->service.value == 0) return false;
            for (u16 s = 0; s < config.shards; s++) {
                bool leads = false;
                for (const auto& m : machines) leads = leads || (m->up() && m->life->server().leads(groupOf(ShardId{s})));
                if (!leads) return false;
            }
            return machines[1]->life->server().leads(kCoordinatorGroup);
        },
        30 * kSecond);
    if (!there) world.fail("the cluster did not start within 30 s");
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
    for (auto& m : machines)
        if (m->up() && m->life->server().leads(group)) return *m;
    world.fail(fmt::format("nobody leads group {}", group.value));
}

store::Prefixed Cluster::rows(GroupId group) {
    std::string prefix;
    wire::putKey(prefix, group);
    for (auto& m : machines)
        if (m->up() && m->life->server().leads(group)) return store::Prefixed(m->kv, prefix);
    return store::Prefixed(machines.front()->kv, prefix);
}

} // namespace skua::sim
