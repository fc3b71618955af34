#include "raft/directory.h"

#include "core/base/log.h"

namespace skua::raft {

std::vector<net::Address> Directory::membersOf(GroupId group) {
    std::vector<net::Address> found;
    if (group == kRegistryGroup) {
        for (const auto& text : addresses_) found.push_back(net::Address{text});
        return found;
    }
    for (const auto& row : map_.groups)
        if (row.id == group)
            for (const Member& member : row.members)
                if (auto address = addressOf(member.server); !address.text.empty()) found.push_back(address);
    return found;
}

net::Address Directory::addressOf(ServerId server) {
    for (const auto& row : map_.servers)
        if (row.id == server) return row.address;
    return {};
}

void Directory::suspect(GroupId group) {
    if (group == kRegistryGroup) addresses_ = registry_();
}

bool Directory::install(const registry::ClusterMap& map) {
    if (map.version <= map_.version) return false;
    if (map_.cluster.value != 0 && map.cluster != map_.cluster) return false;
    if (map.servers.empty() && !map_.servers.empty()) {
        log::warn("map refused: it has no server any more number={}", map.version.number);
        return false;
    }
    map_ = map;
    if (installed) installed(map_);
    changed_.pulse();
    return true;
}

Task<> followMap(Clock& clock, net::GroupCaller& caller, Directory& directory, const bool& stopping) {
    while (!stopping) {
        registry::GetMap get;
        get.since = directory.map().version;
        get.wait = get.since != registry::MapVersion{};
        auto reply = co_await caller.query(kRegistryGroup, get, get.wait);
        if (reply && reply->map) {
            directory.install(*reply->map);
            continue;
        }
        Sleep nap(clock, reply ? 10 * kMillisecond : 500 * kMillisecond);
        co_await nap;
    }
    co_return Ok{};
}

} // namespace skua::raft
