// Cluster: what this process knows about who serves what: the registry's map, kept fresh by a task.
//
//   Cluster cluster(clock, transport, {"127.0.0.1:4711"}, random);
//   cluster.start();  CO_TRY_OK(co_await cluster.waitForMap(30 * kSecond));
//
// Versions only grow: an older map is never installed over a newer one. While the registry is away the old
// map goes on serving. Hints (up, free) are refreshed every 5 s, but only while somebody asks for services.
// Before it dies: stop(), and co_await stopped(); calls under way end by their limits or when the
// transport is closed in between.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>
#include "core/async/clock.h"
#include "core/async/sync.h"
#include "core/net/group_caller.h"
#include "core/net/transport.h"
#include "registry/messages.h"

namespace skua::client {

// One disk, as far as placing and reading blocks needs to know.
struct Service {
    BlockServiceId id;
    net::Address address; // empty: its server is not registered
    std::string domain, disk_class;
    Incarnation incarnation;
    registry::DiskState state{};
    bool up = true; // the registry heard of it lately; true where there is no hint
    u64 capacity = 0, free = 0, used = 0;
};

class Cluster final : public net::GroupDirectory {
public:
    Cluster(Clock& clock, net::Transport& transport, std::vector<std::string> registry, Random random);
    ~Cluster() override = default;

    void start();
    void stop();      // ends the tasks soon
    Task<> stopped(); // when they have ended
    // Unavailable: no map within the limit; the detail names the addresses that were tried.
    Task<Result<>> waitForMap(u64 limit_ns);
    // Asks for map and hints now.
    Task<Result<>> refresh();

    bool known() const { return map_.version.epoch != 0 || map_.version.number != 0; }
    const registry::ClusterMap& map() const { return map_; }
    u16 shards() const { return map_.shards; }
    const Policy& defaultPolicy() const { return map_.policy; }

    // Null: not in the map (suspectMap() was called). Valid until the next await.
    const Service* service(BlockServiceId id);
    // All disks, by id.
    const std::map<u32, Service>& services();
    const std::map<u32, registry::ServerHint>& serverHints() const { return serverHints_; }
    Monotonic hintsHeard() const { return asked_; }
    // Changes whenever map or hints do.
    u64 edition() const { return edition_; }
    // Something contradicts the map: look for a newer one soon.
    void suspectMap();

    std::vector<net::Address> membersOf(GroupId group) override;
    net::Address addressOf(ServerId server) override;
    void suspect(GroupId group) override;

private:
    Task<> follow(); // long polls for newer maps
    Task<> hint();   // hints, while they are used
    Task<Result<>> ask(bool wait);
    void install(registry::GetMap::Reply&& reply);

    Clock& clock_;
    std::vector<net::Address> registry_;
    net::GroupCaller caller_, poller_;
    registry::ClusterMap map_;
    std::map<u32, net::Address> addresses_; // by server
    std::map<u32, std::vector<net::Address>> groups_;
    std::map<u32, Service> services_;
    std::map<u32, registry::ServerHint> serverHints_;
    u64 edition_ = 0;
    bool stopping_ = false, started_ = false;
    Monotonic used_, asked_; // services() last called; hints last heard
    Event arrived_, wake_, stop_;
    TaskGroup tasks_;
};

} // namespace skua::client
