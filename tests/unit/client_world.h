// World: a client over made-up time, real shards and a real coordinator as values, and block services that
// can be broken in every way. For tests of client/.
//
//   World w;                                    8 block services in 8 domains, 3 shards, policy 4 + 2
//   w.fault(3).refuse = true;
//   auto put = w.run(w.fs.putFile("/f", {}, source));
#pragma once

#include <gtest/gtest.h>
#include <set>
#include "cdc/state.h"
#include "client/files.h"
#include "core/data/checksum.h"
#include "core/data/geometry.h"
#include "core/data/receipt.h"
#include "shard/state.h"
#include "tests/common/pure_cluster.h"

namespace skua::test {

class VirtualClock final : public Clock {
public:
    Monotonic now() override { return now_; }
    Wall wall() override { return Wall{1'700'000'000 * kSecond + now_.value}; }
    // False: nothing will ever happen again.
    bool step() {
        ReadyQueue::drain();
        if (timers_.empty()) return false;
        Timer* t = *timers_.begin();
        timers_.erase(timers_.begin());
        if (at(*t) > now_) now_ = at(*t);
        setFired(*t);
        t->fire();
        ReadyQueue::drain();
        return true;
    }

private:
    struct Earlier {
        bool operator()(const Timer* a, const Timer* b) const {
            return at(*a) != at(*b) ? at(*a) < at(*b) : order(*a) < order(*b);
        }
    };
    void insert(Timer& t) override { timers_.insert(&t); }
    void remove(Timer& t) override { timers_.erase(&t); }
    std::set<Timer*, Earlier> timers_;
    Monotonic now_{kHour};
};

struct Fault {
    bool refuse = false;      // no connection
    bool silent = false;      // never an answer
    bool wrong_bytes = false; // in what is read
    bool full = false;        // takes no blocks
    u32 full_from = ~0u;      // takes none of so many bytes
    bool forgets = false;     // NotFound for every block
    u64 delay_ns = 200 * kMicrosecond;
};

class FakeTransport final : public net::Transport {
public:
    struct Stored {
        std::string bytes;
        u64 sum = 0;
        bool whole = false;
    };
    struct Disk {
        Fault fault;
        Incarnation incarnation{1};
        std::map<BlockId, Stored> blocks;
        u64 reads = 0, writes = 0;
    };

    FakeTransport(Clock& clock, PureCluster& cluster, const net::Keys& keys) : clock_(clock), cluster_(cluster), keys_(keys) {}

    Task<Result<net::Message>> call(net::Address to, net::Message request, u64 limit_ns) override {
        if (request.kind == net::Kind::kGroup) {
            auto answer = co_await group(std::move(request), limit_ns);
            co_return answer;
        }
        const u32 id = static_cast<u32>(std::stoul(to.text.substr(1)));
        Disk& disk = disks.at(id);
        Sleep way(clock_, std::min(disk.fault.delay_ns, limit_ns));
        if (disk.fault.refuse) co_return Error(Code::Unavailable, "connection refused");
        co_await way;
        if (disk.fault.silent || disk.fault.delay_ns >= limit_ns) {
            Sleep rest(clock_, limit_ns - std::min(disk.fault.delay_ns, limit_ns));
            co_await rest;
            co_return Error(Code::OutcomeUnknown, "no answer in time");
        }
        blocks::Request decoded;
        CHECK(wire::decode(request.body, decoded));
        co_return serve(BlockServiceId{id}, disk, decoded, request.payload);
    }

    std::map<u32, Disk> disks;
    registry::GetMap::Reply map;
    bool registry_away = false;
    std::map<std::string, u64> asked;               // by name of the request
    std::function<void(const std::string&)> before; // a shard hears a request of that name

private:
    Task<Result<net::Message>> group(net::Message request, u64 limit_ns) {
        net::GroupRequest ask;
        CHECK(wire::decode(request.body, ask));
        net::GroupReply reply;
        reply.age = cluster_.now().age;
        Sleep way(clock_, 300 * kMicrosecond);
        co_await way;
        if (ask.group == kRegistryGroup) {
            registry::Request decoded;
            if (registry_away) co_return Error(Code::Unavailable, "refused");
            if (!ask.body.value.empty()) {
                CHECK(wire::decode(ask.body.value, decoded));
                const auto& get = std::get<registry::GetMap>(decoded);
                if (get.wait && !(get.since < map.map->version)) {
                    Sleep poll(clock_, limit_ns - kSecond);
                    co_await poll;
                }
                registry::GetMap::Reply answer = map;
                if (!(get.since < map.map->version)) answer.map.reset();
                reply.body.value = wire::encode(answer);
            }
        } else if (!ask.body.value.empty()) {
            if (kindOf(ask.group) == GroupKind::kShard) {
                shard::Request decoded;
                CHECK(wire::decode(ask.body.value, decoded));
                const std::string name = std::visit([](auto& r) { return std::string(r.kName); }, decoded);
                asked[name]++;
                if (before) before(name);
            }
            raft::Answer answer = cluster_.askBytes(ask.group, ask.client, ask.body.value, false, false);
            reply.error = answer.error;
            reply.body.value = answer.body;
        }
        net::Message out;
        out.kind = net::Kind::kGroup;
        out.body = wire::encode(reply);
        co_return out;
    }

    template <class Reply>
    static net::Message answerOf(const Reply& reply) {
        net::Message m;
        m.kind = net::Kind::kBlocks;
        m.body = wire::encode(reply);
        return m;
    }
    Result<net::Message> finish(BlockServiceId id, Disk& disk, const BlockId& block, u32 length, u64 sum) {
        Stored& s = disk.blocks[block];
        s.bytes.resize(length);
        std::vector<u64> sums(length / kPage);
        makePageSums(block, 0, reinterpret_cast<const u8*>(s.bytes.data()), sums);
        if (blockSum(block, sums) != sum) return Error(Code::Corrupt, "the sum is wrong");
        s.whole = true;
        s.sum = sum;
        Receipt r{id, disk.incarnation, block, length, sum, {}};
        sealReceipt(keys_.receiptKey(id), r);
        blocks::FinishBlock::Reply reply;
        reply.receipt = r;
        return answerOf(reply);
    }
    Result<net::Message> serve(BlockServiceId id, Disk& disk, const blocks::Request& request, const Buffer& payload) {
        const Fault& fault = disk.fault;
        if (auto* r = std::get_if<blocks::OpenBlock>(&request)) {
            if (r->incarnation != disk.incarnation) return Error(Code::Stale, "another incarnation");
            if (fault.full || r->most >= fault.full_from) return Error(Code::NoSpace, "full");
            disk.blocks[r->id] = {};
            return answerOf(blocks::OpenBlock::Reply{});
        }
        if (auto* r = std::get_if<blocks::Piece>(&request)) {
            CHECK(payload.size() == r->sums.size() * kPage && payload.size() <= kMaxPiece);
            if (firstBadPage(r->id, r->offset / kPage, payload.data(), r->sums) != r->sums.size())
                return Error(Code::Corrupt, "bad page");
            auto& bytes = disk.blocks[r->id].bytes;
            if (bytes.size() < r->offset + payload.size()) bytes.resize(r->offset + payload.size());
            std::memcpy(bytes.data() + r->offset, payload.data(), payload.size());
            return answerOf(Done{});
        }
        if (auto* r = std::get_if<blocks::FinishBlock>(&request)) {
            disk.writes++;
            return finish(id, disk, r->id, r->length, r->sum);
        }
        if (auto* r = std::get_if<blocks::WriteBlock>(&request)) {
            if (r->incarnation != disk.incarnation) return Error(Code::Stale, "another incarnation");
            if (fault.full || payload.size() >= fault.full_from) return Error(Code::NoSpace, "full");
            CHECK(payload.size() == r->sums.size() * kPage && payload.size() <= kMaxPiece);
            if (firstBadPage(r->id, 0, payload.data(), r->sums) != r->sums.size()) return Error(Code::Corrupt, "bad page");
            disk.writes++;
            disk.blocks[r->id].bytes = std::string(payload.view());
            return finish(id, disk, r->id, static_cast<u32>(payload.size()), r->sum);
        }
        if (auto* r = std::get_if<blocks::ReadBlock>(&request)) {
            disk.reads++;
            auto found = disk.blocks.find(r->id);
            if (found == disk.blocks.end() || fault.forgets || !found->second.whole)
                return Error(Code::NotFound, "no such block");
            if (!readKeyHolds(keys_.readKeyKey(), r->id.content, r->key)) return Error(Code::Denied, "read key");
            CHECK(r->offset % kPage == 0 && r->length % kPage == 0 && r->length > 0 && r->length <= kMaxPiece);
            if (r->offset + r->length > found->second.bytes.size()) return Error(Code::Invalid, "out of the block");
            blocks::ReadBlock::Reply reply;
            reply.sums.resize(r->length / kPage);
            net::Message m;
            Buffer bytes = Buffer::copyOf(std::string_view(found->second.bytes).substr(r->offset, r->length));
            makePageSums(r->id, r->offset / kPage, bytes.data(), reply.sums);
            if (fault.wrong_bytes) bytes.data()[bytes.size() / 2] ^= 1;
            m = answerOf(reply);
            m.payload = bytes;
            return m;
        }
        return answerOf(blocks::Info::Reply{});
    }

    Clock& clock_;
    PureCluster& cluster_;
    const net::Keys& keys_;
};

class World {
public:
    explicit World(u32 services = 8, Policy policy = geometry::defaultPolicy(8), u16 shards = 3,
                   client::Services::Patience patience = {})
        : keys_(ClusterId{1}, MacKey{9, 9}),
          cluster(1,
                  [this](GroupId g) -> std::unique_ptr<raft::StateMachine> {
                      if (kindOf(g) == GroupKind::kCoordinator) return std::make_unique<cdc::Coordinator>();
                      return std::make_unique<shard::Shard>(keys_, shardDisks);
                  }),
          transport(clock, cluster, keys_),
          client(clock, transport, options(patience)),
          fs(client) {
        registry::ClusterMap m;
        m.cluster = ClusterId{1};
        m.version = {1, 1};
        m.shards = shards;
        m.policy = policy;
        registry::ServerRow meta;
        meta.id = ServerId{1};
        meta.name = "meta";
        meta.address.text = "meta";
        m.servers.push_back(meta);
        cdc::CoordinatorConfig coordinator;
        coordinator.cluster = ClusterId{1};
        coordinator.shards = shards;
        cluster.add(kCoordinatorGroup, wire::encode(coordinator));
        m.groups.push_back({kCoordinatorGroup, {{ServerId{1}, 0}}, {}, true, 1, {}});
        for (u16 s = 0; s < shards; s++) {
            shard::ShardConfig config;
            config.cluster = ClusterId{1};
            config.shard = ShardId{s};
            config.shards = shards;
            config.policy = policy;
            cluster.add(groupOf(ShardId{s}), wire::encode(config));
            m.groups.push_back({groupOf(ShardId{s}), {{ServerId{1}, 0}}, {}, true, 1, {}});
        }
        for (u32 i = 1; i <= services; i++) {
            registry::ServerRow server;
            server.id = ServerId{100 + i};
            server.name = "blocks-" + std::to_string(i);
            server.role = registry::ServerRole::kBlocks;
            server.address.text = "b" + std::to_string(i);
            server.domain = "d" + std::to_string(i);
            m.servers.push_back(server);
            registry::DiskRow disk;
            disk.id = BlockServiceId{i};
            disk.server = server.id;
            disk.capacity = 1ull << 40;
            disk.incarnation = Incarnation{1};
            m.disks.push_back(disk);
            transport.map.disks.push_back({disk.id, true, 1ull << 39, 0, 0, 0});
            transport.disks[i];
        }
        transport.map.map = m;
        shardDisks->install(m);
        EXPECT_TRUE(run(client.start(10 * kSecond)));
    }
    ~World() {
        client.stop();
        (void)run(client.stopped());
    }

    template <class T>
    T run(Task<T> task) {
        std::optional<T> value;
        Task<> root = into(std::move(task), value);
        root.start();
        while (!value)
            if (!clock.step() && !value) {
                ADD_FAILURE() << "everybody waits for ever";
                std::abort();
            }
        return std::move(*value);
    }
    Fault& fault(u32 service) { return transport.disks.at(service).fault; }
    // Another server has the disk now, or a copy of it, without what was written to it lately. Shards know; clients may not.
    void moveDisk(u32 service) {
        FakeTransport::Disk& disk = transport.disks.at(service);
        disk.blocks.clear();
        disk.incarnation.value++;
        for (auto& row : transport.map.map->disks)
            if (row.id.value == service) row.incarnation = disk.incarnation;
        transport.map.map->version.number++;
        shardDisks->install(*transport.map.map);
    }
    void publishMap() {
        transport.map.map->version.number++;
        EXPECT_TRUE(run(client.cluster.refresh()));
    }

    static std::string bytes(u64 size, u64 seed = 7) {
        std::string s(size, '\0');
        Random r(seed);
        for (u64 i = 0; i + 8 <= size; i += 8) {
            const u64 v = r.next();
            std::memcpy(s.data() + i, &v, 8);
        }
        return s;
    }
    Result<Attributes> put(const std::string& path, const std::string& data) {
        client::MemorySource source(data);
        return run(fs.putFile(path, {}, source));
    }
    Result<std::string> get(const std::string& path) { return run(fs.readAll(path, 1u << 30)); }

private:
    template <class T>
    static Task<> into(Task<T> task, std::optional<T>& value) {
        value = co_await std::move(task);
        co_return Ok{};
    }
    static client::ClientOptions options(client::Services::Patience patience) {
        client::ClientOptions o;
        o.patience = patience;
        o.registry = {"registry"};
        o.client = ClientId{77};
        o.seed = 5;
        o.limits.total_ns = 20 * kSecond;
        return o;
    }
    net::Keys keys_;
    std::shared_ptr<shard::Disks> shardDisks = std::make_shared<shard::Disks>();

public:
    VirtualClock clock;
    PureCluster cluster;
    FakeTransport transport;
    client::Client client;
    client::FileSystem fs;
};

} // namespace skua::test
