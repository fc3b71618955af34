// What outlives a metadata process: how it starts, crashes, loses its folder or some of its rows.
#include "raft/server_leader.h"
#include "tests/sim/cluster.h"

namespace skua::sim {

void Machine::start() {
    if (life || broken != Broken::kNo || room == Room::kNone) return;
    World& world = cluster.world;
    lives++;
    // A process that starts again may be found elsewhere; the registry's address is in everybody's configuration.
    if (address.empty() || (role != registry::ServerRole::kRegistry && world.random.oneIn(2))) {
        if (!address.empty()) world.count("fault address changed");
        address = name + ":" + std::to_string(lives);
    }
    const bool drifts = cluster.drifting;
    const i64 rate = drifts ? static_cast<i64>(world.random.below(200'001)) - 100'000 : 0;
    const i64 offset = drifts ? static_cast<i64>(world.random.below(60 * kSecond)) - static_cast<i64>(30 * kSecond) : 0;
    world.tell("{} starts life={} address={} log_bytes={} rate_ppm={}", name, lives, address, log.bytes(), rate);
    life = std::make_shared<Host>(*this, rate, offset);
    life->begin();
}

void Machine::crash() {
    if (!life) return;
    auto host = std::move(life);
    life.reset();
    host->die();
    if (!kv.size()) return;
    kv.crash();
    if (cluster.bugs.forget_answers) {
        store::Batch gone;
        for (const auto& [key, value] : kv.rows())
            if (key.size() > 4 && key[4] == '\x02') gone.emplace(key, std::nullopt);
        (void)kv.write(gone);
        (void)kv.flush();
    }
}

void Machine::wipe() {
    cluster.world.tell("{} loses its folder", name);
    kv = store::KvMemory();
    log = {};
    disk = {};
    broken = Broken::kNo;
    room = Room::kPlenty;
    store = cluster.world.random.next() | 1;
    wiped++;
}

void Machine::loseRows(GroupId group) {
    cluster.world.tell("{} loses rows of group {}", name, group.value);
    const std::string prefix = raft::prefixOf(group);
    store::Batch gone;
    kv.scan(prefix, wire::afterPrefix(prefix), [&](std::string_view key, std::string_view) {
        if (key.substr(prefix.size()) != "\x01" && cluster.world.random.oneIn(2)) gone.emplace(key, std::nullopt);
        return true;
    });
    gone.insert_or_assign(prefix + "\x05", wire::encode(raft::Installing{1}));
    (void)kv.write(gone);
    (void)kv.flush();
}

} // namespace skua::sim
