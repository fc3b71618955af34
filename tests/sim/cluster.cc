#include "tests/sim/cluster.h"

#include <algorithm>

namespace skua::sim {

Cluster::Cluster(World& world, Bugs bugs, const Shape& shape, Policy policy, bool drifting)
    : world(world),
      network(world),
      keys(ClusterId{77}, MacKey{1, 2, 3}),
      bugs(bugs),
      replicas(shape.replicas),
      pace(shape.pace),
      keep_bytes(shape.keep_bytes),
      keep_total_bytes(shape.keep_total_bytes),
      part_bytes(shape.part_bytes),
      drifting(drifting) {
    config.cluster = keys.cluster();
    config.shards = shape.shards;
    config.replicas = static_cast<u8>(replicas);
    config.policy = std::move(policy);
    auto add = [&](const std::string& name, registry::ServerRole role) {
        machines.push_back(std::make_unique<Machine>(*this, ++nodes, name, role, world.random.next() | 1));
        if (role == registry::ServerRole::kRegistry) machines.back()->address = name + ":1"; // it is in everybody's configuration
    };
    for (u32 i = 0; i < replicas; i++) add("registry-" + std::to_string(i), registry::ServerRole::kRegistry);
    for (const auto& m : machines) first_stores.push_back(m->store);
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
    const Machine* leader = leaderOf(group);
    return leader ? leader->life->server().group(group)->members().voters : std::vector<raft::Member>();
}

// Other groups are made by the registry.
raft::Format Cluster::registryFormat() const {
    raft::Format format;
    format.cluster = config.cluster;
    format.group = kRegistryGroup;
    format.made = Wall{1};
    registry::RegistryConfig own = config;
    for (u32 i = 0; i < replicas; i++) {
        registry::ServerRow row;
        row.id = ServerId{i + 1};
        row.name = row.domain = machines[i]->name;
        row.role = machines[i]->role;
        row.store = first_stores[i];
        format.members.push_back({row.id, row.store});
        own.registries.push_back(std::move(row));
    }
    format.config.value = wire::encode(own);
    return format;
}

bool Cluster::has(const raft::Member& member) const {
    return std::any_of(machines.begin(), machines.end(), [&](const auto& m) { return m->store == member.store; });
}

Machine& Cluster::machineOf(const raft::Member& member) {
    for (const auto& m : machines)
        if (m->store == member.store) return *m;
    world.fail(fmt::format("nobody has the store of server {}", member.server.value));
}

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

std::string Cluster::whoLeads() const {
    std::string all;
    for (const GroupId group : groups()) {
        all += fmt::format("group {}:", group.value);
        for (const auto& m : machines) {
            const raft::Group* g = m->up() ? m->life->server().group(group) : nullptr;
            if (!g) {
                const auto applied = m->up() ? m->life->server().appliedIndexes() : std::map<GroupId, Index>();
                if (auto at = applied.find(group); at != applied.end())
                    all += fmt::format(" {}(closed, applied={})", m->name, at->second.value);
                continue;
            }
            std::string members;
            for (const raft::Member& v : g->members().voters) members += fmt::format(" {}/{:x}", v.server.value, v.store >> 48);
            for (const raft::Member& v : g->members().learners)
                members += fmt::format(" ({}/{:x})", v.server.value, v.store >> 48);
            all += fmt::format(" {}({}, term={} leader={} last={} committed={} applied={} of{}{}{})",
                               fmt::format("{}/{}/{:x}", m->name, g->self().server.value, m->store >> 48),
                               m->life->server().leads(group) ? "leads"
                               : g->leads()                   ? "begins"
                                                              : "follows",
                               g->term().value, g->leader().server.value, g->log().last().value, g->committed().value,
                               g->applied().value, members, g->needsRows() ? " needs rows" : "",
                               g->members().votes(g->self())    ? ""
                               : g->members().learns(g->self()) ? " learner"
                                                                : " not a member");
        }
        all += "\n";
    }
    return all;
}

// --- lives ---------------------------------------------------------------------------------------------------

void Cluster::start(const Faults& faults) {
    world.faults = faults;
    startAll();
    for (u64 n = 1 + world.random.below(3); faults.crashes && n > 0; n--)
        world.after(world.random.below(10 * kSecond), [this] {
            if (world.faults.crashes) crashOne();
        });
    const bool there = world.runUntil([this] { return allThere(); }, faults.crashes ? 30 * kMinute : 30 * kSecond);
    if (!there) world.fail("the cluster did not start in time");
    world.faults = Faults{};
    startAll();
    if (!world.runUntil([this] { return allThere(); }, 30 * kSecond)) world.fail("the cluster did not stay there for 30 s");
}

bool Cluster::allThere() const {
    for (const auto& service : services)
        if (service->service.value == 0) return false;
    for (const GroupId group : groups())
        if (!leaderOf(group)) return false;
    return true;
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
    for (auto& m : machines) {
        mend(*m);
        m->start();
    }
    for (auto& s : services) s->start();
}

void Cluster::crashOne() {
    const u64 which = world.random.below(machines.size() + services.size());
    if (which < machines.size()) fell(*machines[which]);
    else fell(*services[which - machines.size()]);
}

GroupId Cluster::anyGroup() {
    const auto all = groups();
    return all[world.random.below(all.size())];
}

void Cluster::crashLeader() {
    Machine* leader = leaderOf(anyGroup());
    if (!leader) return;
    world.count("fault crash of a leader");
    fell(*leader);
}

void Cluster::crashGroup() {
    const auto members = membersOf(anyGroup());
    const bool all = world.random.oneIn(2);
    if (members.size() < 2) return;
    world.count(all ? "fault crash of a whole group" : "fault crash of a majority");
    const u64 spared = all ? members.size() : world.random.below(members.size());
    // Sometimes they all stay away, so that much waits for the group.
    const u64 away = world.random.oneIn(2) ? world.random.between(5 * kSecond, kMinute) : 0;
    for (std::size_t i = 0; i < members.size(); i++)
        if (i != spared && has(members[i])) fell(machineOf(members[i]), away);
}

bool Cluster::mended() {
    for (const GroupId group : groups()) {
        const auto voters = membersOf(group);
        if (voters.size() != replicas) return false;
        for (const raft::Member& voter : voters) {
            const auto m =
                std::find_if(machines.begin(), machines.end(), [&](const auto& one) { return one->store == voter.store; });
            if (m == machines.end() || !(*m)->up()) return false;
            const raft::Group* g = (*m)->life->server().group(group);
            if (!g || g->members() != raft::Members{voters, {}} || g->log().configIndex() > g->committed()) return false;
        }
    }
    return true;
}

void Cluster::emptyOne() {
    Machine& m = *machines[world.random.below(machines.size())];
    if (replicas == 1 || !m.up() || !mended()) return;
    world.count("fault server comes back empty");
    fell(m);
    m.wipe();
}

template <class Process>
void Cluster::fell(Process& process, u64 back) {
    if (!process.up()) return;
    world.count("fault crash of " + process.name.substr(0, process.name.find('-')));
    process.crash();
    if (back == 0) {
        back = world.random.oneIn(4) ? world.random.between(5 * kSecond, 40 * kSecond)
                                     : world.random.between(kMillisecond, 3 * kSecond);
        if (world.random.oneIn(20)) back = world.random.between(kMinute, 10 * kMinute);
    }
    world.after(back, [&process] { process.start(); });
}

template void Cluster::fell(Machine&, u64);

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

void Cluster::voted(Machine& machine, u64 takes) {
    if (!world.faults.crashes || !world.chance(4 * world.faults.crash_busy)) return;
    world.count("fault crash of a voter");
    const Host* life = machine.life.get();
    world.after(takes + world.random.below(2 * kMillisecond), [this, &machine, life] {
        if (world.faults.crashes && machine.life.get() == life) fell(machine, world.random.between(1, 20 * kMillisecond));
    });
}

u64 Cluster::lateVote() {
    if (!world.chance(world.faults.late_votes)) return 0;
    world.count("fault question for a vote late");
    return world.random.below(3 * pace * raft::ServerOptions().election_ns);
}

u64 Cluster::lateOffer() {
    if (!world.chance(world.faults.late_votes)) return 0;
    world.count("fault offer of rows late");
    return world.random.below(5 * kSecond);
}

bool Cluster::fellInstalling(Machine& machine) {
    if (!world.faults.crashes || !world.random.oneIn(8)) return false;
    world.count("fault crash while a snapshot is installed");
    fell(machine);
    return true;
}

void Cluster::stop(NodeClock& clock, u32 node, u64 ns) {
    const u64 until = world.now() + ns;
    clock.stopUntil(until);
    network.stop(node, until);
    stoppedUntil = std::max(stoppedUntil, until);
}

void Cluster::cutOne() {
    // Between metadata processes as often as elsewhere: they are the fewer.
    const u64 among = world.random.oneIn(2) ? machines.size() : nodes;
    const u32 a = 1 + static_cast<u32>(world.random.below(among)), b = 1 + static_cast<u32>(world.random.below(among));
    if (a == b) return;
    const u64 until = world.now() + world.random.between(100 * kMillisecond, 20 * kSecond);
    world.tell("link cut from={} to={}", a, b);
    network.cut(a, b, until);
    if (world.random.oneIn(2)) network.cut(b, a, until);
}

// A leader that hears nobody, is heard by nobody, or neither; for so long, sometimes, that the others' logs begin behind it.
void Cluster::cutLeader() {
    const GroupId group = anyGroup();
    Machine* leader = leaderOf(group);
    if (!leader || replicas == 1) return;
    const u64 how = world.random.below(4);
    const u64 most = world.random.oneIn(4) ? 5 * kMinute : 20 * kSecond;
    const u64 until = world.now() + world.random.between(100 * kMillisecond, most);
    world.tell("{} is cut off from group {} how={}", leader->name, group.value, how);
    world.count(how == 0 ? "fault leader hears nobody" : how == 1 ? "fault leader is not heard" : "fault leader cut off");
    for (const raft::Member& member : membersOf(group)) {
        if (!has(member)) continue;
        const u32 other = machineOf(member).node;
        if (other == leader->node) continue;
        if (how != 1) network.cut(other, leader->node, until);
        if (how != 0) network.cut(leader->node, other, until);
    }
}

void Cluster::stopOne() {
    Machine& m = *machines[world.random.below(machines.size())];
    if (!m.up()) return;
    world.count("fault metadata process stopped");
    m.life->stop(world.now() + world.random.between(100 * kMillisecond, world.random.oneIn(4) ? kMinute : 5 * kSecond));
}

void Cluster::jumpWall() {
    Machine& m = *machines[world.random.below(machines.size())];
    if (!m.up()) return;
    world.count("fault wall clock jumped");
    m.life->setWall(static_cast<i64>(world.random.below(60 * kSecond)) - static_cast<i64>(30 * kSecond));
}

Machine& Cluster::hostOf(GroupId group) {
    Machine* leader = leaderOf(group);
    if (!leader) world.fail(fmt::format("nobody leads group {}", group.value));
    return *leader;
}

store::Prefixed Cluster::rows(GroupId group) {
    std::string prefix;
    wire::putKey(prefix, group);
    Machine& host = hostOf(group);
    (void)host.life->settle();
    return store::Prefixed(host.kv, prefix);
}

} // namespace skua::sim
