// Faults that take some doing: disks that are full or damaged, rows that are lost, servers that are replaced.
#include <algorithm>
#include "raft/server_leader.h"
#include "tests/sim/cluster.h"

namespace skua::sim {

void Cluster::fillOne() {
    Machine& m = *machines[world.random.below(machines.size())];
    if (!m.up() || m.broken != Machine::Broken::kNo || m.room != Machine::Room::kPlenty) return;
    world.count("fault metadata disk full");
    const u64 lasts = world.random.between(kSecond, 2 * kMinute);
    world.tell("{} has a full disk s={}", m.name, lasts / kSecond);
    m.room = Machine::Room::kLittle;
    world.after(world.random.below(20 * kSecond), [&m] {
        if (m.room != Machine::Room::kLittle) return;
        m.room = Machine::Room::kNone;
        m.kv.fill(true);
    });
    world.after(lasts, [this, &m] { mend(m); });
}

void Cluster::breakOne() {
    Machine& m = *machines[world.random.below(machines.size())];
    if (!m.up() || m.broken != Machine::Broken::kNo || m.room != Machine::Room::kPlenty) return;
    world.count("fault metadata disk broken");
    const u64 lasts = world.random.between(kSecond, 2 * kMinute);
    world.tell("{} has a broken disk s={}", m.name, lasts / kSecond);
    m.broken = Machine::Broken::kRows;
    m.kv.refuse(true);
    world.after(world.random.below(20 * kSecond), [&m] {
        if (m.broken == Machine::Broken::kRows) m.broken = Machine::Broken::kLog;
    });
    world.after(lasts, [this, &m] { mend(m); });
}

// There is room again; or somebody has mended the disk, and starts the process, which has ended.
void Cluster::mend(Machine& m) {
    if (m.broken == Machine::Broken::kNo && m.room == Machine::Room::kPlenty) return;
    if (m.broken != Machine::Broken::kNo && !m.up()) world.count("a broken disk ended its process");
    m.broken = Machine::Broken::kNo;
    m.room = Machine::Room::kPlenty;
    m.kv.fill(false);
    m.start();
}

void Cluster::flipOne() {
    Machine& m = *machines[world.random.below(machines.size())];
    if (replicas == 1 || !m.up() || !mended() || m.log.empty()) return;
    fell(m);
    const auto flip = m.log.flip(world);
    if (!flip) return;
    world.count("fault flipped byte in a log");
    world.tell("{} has damage in its log segment={} at={}", m.name, flip->segment, flip->at);
}

void Cluster::spoilOne() {
    const GroupId group = anyGroup();
    if (replicas == 1 || !mended() || !readable()) return;
    const auto voters = membersOf(group);
    for (const raft::Member& voter : voters)
        if (!hasRows(machineOf(voter), group)) return; // one at a time
    Machine& m = machineOf(voters[world.random.below(voters.size())]);
    if (m.broken != Machine::Broken::kNo) return;
    std::set<std::string, std::less<>> keys;
    const std::string prefix = raft::prefixOf(group);
    const bool all = world.random.oneIn(2);
    for (const auto& [key, _] : m.kv.rows())
        if (key.starts_with(prefix) && key[prefix.size()] != '\x01' && key[prefix.size()] != '\x05')
            if (all || world.random.oneIn(8)) keys.insert(key);
    if (keys.empty()) return;
    world.count("fault rows spoilt");
    world.tell("{} has rows of group {} that cannot be read keys={}", m.name, group.value, keys.size());
    m.kv.spoil(std::move(keys));
    world.after(world.random.between(kMinute, 3 * kMinute), [&m] { m.kv.unspoil(); }); // what nobody has read by then
    if (world.random.oneIn(2)) fell(m, world.random.between(kMillisecond, kSecond));   // what it remembers hides it
}

bool Cluster::readable() const {
    return std::all_of(machines.begin(), machines.end(), [](const auto& m) { return m->kv.spoilt().empty(); });
}

bool Cluster::hasRows(const Machine& m, GroupId group) const {
    return m.up() && m.life->server().group(group) && !m.life->server().group(group)->needsRows();
}

void Cluster::cornerOne() {
    const GroupId group = anyGroup();
    Machine* leader = leaderOf(group);
    if (!leader || replicas != 3 || slow || !mended() || !readable()) return;
    std::vector<Machine*> others;
    for (const raft::Member& voter : membersOf(group))
        if (&machineOf(voter) != leader) others.push_back(&machineOf(voter));
    Machine *behind = others[world.random.below(2)], *away = others[0] == behind ? others[1] : others[0];
    const u64 until = world.now() + world.random.between(2 * kSecond, 10 * kSecond);
    for (const Machine* other : {leader, away}) {
        network.cut(behind->node, other->node, until);
        network.cut(other->node, behind->node, until);
    }
    const u64 stores[] = {leader->store, behind->store, away->store};
    world.after(until - world.now(), [=, this] {
        if (!world.faults.crashes || slow || !readable()) return;
        if (leader->store != stores[0] || behind->store != stores[1] || away->store != stores[2]) return;
        for (const Machine* m : {leader, behind, away})
            if (!hasRows(*m, group)) return;
        world.count("fault rows lost");
        fell(*away, world.random.between(40 * kSecond, 2 * kMinute));
        fell(*leader, world.random.between(1, kSecond));
        leader->loseRows(group);
    });
}

Machine& Cluster::addSpare(const Machine& like) {
    const std::string kind = like.name.substr(0, like.name.find('-'));
    const std::string name = kind + "-" + std::to_string(machines.size());
    machines.push_back(std::make_unique<Machine>(*this, ++nodes, name, like.role, world.random.next() | 1));
    machines.back()->start();
    return *machines.back();
}

} // namespace skua::sim
