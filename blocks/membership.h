// Membership: this process as a part of the cluster: it registers, sends heartbeats, follows the map, pulls
// garbage from the shards, and asks them about blocks whose fate it has not heard (the sweep).
//
//   start: Register ─► RegisterDisk each ─► durable identity ─► every second: Heartbeat ─► newer map?
//
// While the registry is away everything goes on with what the disks' FORMAT says and the last map. Erasing
// comes from shards alone: their garbage rows, and the answer `dead` to Fate. Its tasks are roots of the
// ring and live until the process ends.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>
#include "blocks/service.h"
#include "core/net/group_caller.h"
#include "registry/messages.h"

namespace skua::blocks {

struct MembershipOptions {
    std::string name, domain, disk_class;
    std::string config; // read again when no registry answers; may be empty
    std::vector<std::string> registry;
    net::Address address;     // where others reach this process
    u64 scrub_ns = 14 * kDay; // everything is read and checked once in so long; 0: never
    // 0: as befits the cluster, sooner on a local one.
    u64 garbage_ns = 0;              // between rounds of asking all shards for garbage
    u64 sweep_ns = 0;                // between looks for blocks to ask about
    std::optional<u64> first_ask_ns; // after a block was written
    u64 ask_again_ns = 0;
};

class Membership final : net::GroupDirectory {
public:
    Membership(Ring& ring, net::Transport& transport, Service& service, MembershipOptions options);
    void start();
    // Soon nothing new begins.
    void stop() { stopping_.set(); }

private:
    std::vector<net::Address> membersOf(GroupId group) override;
    net::Address addressOf(ServerId server) override;
    void suspect(GroupId group) override;

    Task<> beat(); // registers, then heartbeats for ever
    Task<Result<>> registerAll();
    Task<Result<>> heartbeat();
    Task<> fetchMap();
    void look(const registry::ClusterMap& map);
    Task<> collectGarbage();
    Task<bool> garbageOf(ShardId shard, std::size_t disk); // true: there is more
    Task<> sweep();
    Task<> ask(ShardId shard, std::size_t disk, std::vector<BlockId> blocks);
    Task<> scrub();
    Task<> reportBad(BlockServiceId service, BlockId block);
    Task<> rest(u64 ns);
    bool usable(std::size_t disk) const; // has a number, and is this process's

    Ring& ring_;
    Service& service_;
    MembershipOptions options_;
    net::GroupCaller registry_, shards_;
    std::vector<net::Address> addresses_; // of the registry
    registry::ClusterMap map_;
    std::map<u32, net::Address> servers_; // by id
    ServerId server_;
    Incarnation incarnation_;
    bool registered_ = false;
    Event stopping_;
};

} // namespace skua::blocks
