// BlockModel: a block service without bytes: ids, lengths, sums, and what is durable of it. It does what
// blocks/ does about their fate: receipts under the production keys once a block is durable, garbage pulled
// and erased before DoneGarbage, the sweep by Fate. A crash loses what was not synced: blocks without a
// receipt, erasures that were not reported, fates that were heard.
#pragma once

#include <map>
#include <memory>
#include "blocks/messages.h"
#include "core/net/group_caller.h"
#include "raft/directory.h"
#include "tests/sim/network.h"

namespace skua::sim {

struct Cluster;
class BlockLife;

struct StoredBlock {
    u64 sum = 0;
    bool durable = false, settled = false;
    u64 written = 0, ask_after = 0; // of the world's time
};

class BlockModel {
public:
    BlockModel(Cluster& cluster, u32 node, std::string name, u64 uuid)
        : cluster(cluster), node(node), name(std::move(name)), uuid(uuid) {}
    void start();
    void crash();
    bool up() const { return life != nullptr; }
    // Durable, with these bytes.
    bool has(const BlockId& id, u64 sum) const {
        auto at = blocks.find(id);
        return at != blocks.end() && at->second.durable && at->second.sum == sum;
    }

    Cluster& cluster;
    const u32 node;
    const std::string name;
    const u64 uuid;
    BlockServiceId service; // once registered
    Incarnation incarnation;
    std::map<BlockId, StoredBlock> blocks;
    std::shared_ptr<BlockLife> life;
    std::string address;
    u32 lives = 0;
};

class BlockLife final : public Endpoint, public std::enable_shared_from_this<BlockLife> {
public:
    explicit BlockLife(BlockModel& model);
    ~BlockLife() override;
    void begin();
    void die();
    void receive(u32 from, bool from_server, net::Message message, Answer answer) override;

private:
    void write(const blocks::WriteBlock& request, Answer answer);
    void receipt(const BlockId& id, const Answer& answer);
    Task<> presence();
    Task<bool> registerAll();
    Task<> garbage();
    Task<> garbageOf(ShardId shard);
    Task<> sweep();
    Task<> ask(ShardId shard, std::vector<BlockId> some);
    Task<> bury();

    BlockModel& model_;
    World& world_;
    NodeClock clock_;
    SimTransport transport_;
    raft::Directory directory_;
    net::GroupCaller caller_; // registry and shards, as blocks/membership.cc
    net::GroupCaller follower_;
    ServerId server_;
    Incarnation process_;
    bool dead_ = false;
    Event stop_;
    TaskGroup tasks_;
    std::optional<Task<>> burial_;
};

} // namespace skua::sim
