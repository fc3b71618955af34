// A block service's part in a cluster, against a registry and a shard that are played by the test.
#include "blocks/membership.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <cstring>
#include <filesystem>
#include "core/base/log.h"
#include "raft/messages.h"
#include "shard/messages.h"

namespace skua::blocks {
namespace {

constexpr BlockServiceId kDisk{42};

BlockId blockId(u32 n) { return {ContentId::make(5, ShardId{0}), ReservationId{7}, n}; }

// Answers what it is asked, as a registry and one shard.
class FakeCluster final : public net::Transport {
public:
    explicit FakeCluster(Clock& clock) : clock_(clock) {}
    Task<Result<net::Message>> call(net::Address to, net::Message message, u64) override {
        Sleep turn(clock_, kMillisecond);
        co_await turn;
        if (away) co_return Error(Code::Unavailable, "away: " + to.text);
        net::GroupRequest request;
        CHECK(wire::decode(message.body, request));
        net::GroupReply reply;
        reply.age = Age{1};
        if (request.group == kRegistryGroup) {
            registry::Request r;
            CHECK(wire::decode(request.body.value, r));
            std::visit([&](auto& op) { reply.body.value = registryAnswers(op, reply.error); }, r);
        } else {
            shard::Request r;
            CHECK(wire::decode(request.body.value, r));
            std::visit([&](auto& op) { reply.body.value = shardAnswers(op); }, r);
        }
        net::Message out;
        out.kind = net::Kind::kGroup;
        out.body = wire::encode(reply);
        co_return out;
    }

    bool away = false, forget = false;
    u32 registrations = 0, beats = 0;
    std::vector<BlockId> garbage, done, referenced, dead, asked;
    Incarnation incarnation{3};
    registry::DiskState state = registry::DiskState::kUp;
    u64 version = 1;
    registry::DiskHint hint;

private:
    template <class R>
    std::string registryAnswers(const R& op, Error& error) {
        if constexpr (std::is_same_v<R, registry::Register>) {
            registrations++;
            forget = false;
            return wire::encode(registry::Register::Reply{ServerId{9}, Incarnation{1}, {1, version}});
        } else if constexpr (std::is_same_v<R, registry::RegisterDisk>) {
            return wire::encode(registry::RegisterDisk::Reply{kDisk, incarnation, state});
        } else if constexpr (std::is_same_v<R, registry::Heartbeat>) {
            beats++;
            if (forget) {
                error = Error(Code::NotFound);
                return "";
            }
            if (!op.disks.empty()) hint = op.disks[0];
            return wire::encode(registry::Heartbeat::Reply{{1, version}});
        } else if constexpr (std::is_same_v<R, registry::GetMap>) {
            registry::GetMap::Reply reply;
            registry::ClusterMap map;
            map.version = {1, version};
            map.shards = 1;
            map.local = true;
            map.servers.push_back({ServerId{1}, "shard-0", registry::ServerRole::kShard, {"s:1"}, "a", {}, 0, {}});
            map.groups.push_back({groupOf(ShardId{0}), {{ServerId{1}, 0}}, {}, true, 0, {}});
            map.disks.push_back({kDisk, ServerId{9}, "", 0, state, incarnation});
            reply.map = map;
            return wire::encode(reply);
        } else {
            return wire::encode(typename R::Reply{});
        }
    }
    template <class R>
    std::string shardAnswers(const R& op) {
        if constexpr (std::is_same_v<R, shard::TakeGarbage>) {
            return wire::encode(shard::TakeGarbage::Reply{garbage});
        } else if constexpr (std::is_same_v<R, shard::DoneGarbage>) {
            done = op.blocks;
            garbage.clear();
            return wire::encode(Done{});
        } else if constexpr (std::is_same_v<R, shard::Fate>) {
            shard::Fate::Reply reply;
            for (const BlockId& b : op.blocks) {
                asked.push_back(b);
                const bool is_dead = std::find(dead.begin(), dead.end(), b) != dead.end();
                const bool is_there = std::find(referenced.begin(), referenced.end(), b) != referenced.end();
                reply.fates.push_back(is_dead    ? shard::FateOf::kDead
                                      : is_there ? shard::FateOf::kReferenced
                                                 : shard::FateOf::kKeep);
            }
            return wire::encode(reply);
        } else {
            return wire::encode(typename R::Reply{});
        }
    }
    Clock& clock_;
};

class MembershipTest : public testing::Test {
protected:
    MembershipTest() : ring(Ring::makeOrExit()), keys(ClusterId{1}, MacKey{1}), service(*ring, keys), cluster(*ring) {
        log::setLevel(log::Level::kError);
        char name[] = "/tmp/skua-member-XXXXXX";
        dir = mkdtemp(name);
        EXPECT_TRUE(Disk::format(dir, keys.cluster(), 160u << 20));
        auto disk = Disk::open(dir, keys.cluster());
        EXPECT_TRUE(disk);
        StoreOptions options;
        options.ahead = 0;
        EXPECT_TRUE(service.add(std::move(*disk), options));
    }
    ~MembershipTest() override {
        if (member) member->stop();
        runBlocking(*ring, service.stop());
        while (ring->roots() > 0) turn();
        std::filesystem::remove_all(dir);
    }
    void join() {
        MembershipOptions o;
        o.name = "blocks-0";
        o.registry = {"r:1"};
        o.address = {"me:1"};
        o.scrub_ns = 0;
        o.sweep_ns = o.garbage_ns = 20 * kMillisecond;
        o.first_ask_ns = 0;
        member = std::make_unique<Membership>(*ring, cluster, service, o);
        member->start();
    }
    void turn() { runBlocking(*ring, sleepFor(*ring, 5 * kMillisecond)); }
    template <class F>
    bool soon(F f) {
        for (int i = 0; i < 1000 && !f(); i++) turn();
        return f();
    }
    Served& disk() { return *service.disks()[0]; }
    bool write(u32 n) {
        const BlockId id = blockId(n);
        Buffer data = Buffer::allocate(kPage);
        std::memset(data.data(), 1, kPage);
        std::vector<u64> sums(1);
        makePageSums(id, 0, data.data(), sums);
        const u64 sum = blockSum(id, sums);
        return runBlocking(*ring, disk().store->write(id, sum, data, sums, 1)).has_value();
    }

    std::unique_ptr<Ring> ring;
    const net::Keys keys;
    Service service;
    FakeCluster cluster;
    std::string dir;
    std::unique_ptr<Membership> member;
};

TEST_F(MembershipTest, ANewDiskGetsItsNumberAndKeepsIt) {
    join();
    ASSERT_TRUE(soon([&] { return disk().disk.info().service == kDisk; }));
    EXPECT_EQ(disk().disk.info().incarnation, Incarnation{3});
    ASSERT_TRUE(soon([&] { return cluster.beats > 0 && cluster.hint.id == kDisk; }));
    EXPECT_GT(cluster.hint.free, 0u);
}

TEST_F(MembershipTest, RegistersAgainWhenTheRegistryHasForgottenIt) {
    join();
    ASSERT_TRUE(soon([&] { return cluster.beats > 0; }));
    cluster.forget = true;
    ASSERT_TRUE(soon([&] { return cluster.registrations == 2; }));
}

TEST_F(MembershipTest, ErasesWhatAShardCallsGarbageAndSaysSo) {
    join();
    ASSERT_TRUE(write(1) && write(2));
    cluster.garbage = {blockId(1), blockId(77)};
    ASSERT_TRUE(soon([&] { return !cluster.done.empty(); }));
    EXPECT_EQ(cluster.done, (std::vector<BlockId>{blockId(1), blockId(77)}));
    EXPECT_EQ(disk().store->find(blockId(1)), nullptr);
    EXPECT_NE(disk().store->find(blockId(2)), nullptr);
}

TEST_F(MembershipTest, SweepsTheDeadKeepsTheReferencedAndAsksAgainAboutTheRest) {
    ASSERT_TRUE(write(1) && write(2) && write(3));
    cluster.dead = {blockId(1)};
    cluster.referenced = {blockId(2)};
    join();
    ASSERT_TRUE(soon([&] { return disk().store->find(blockId(1)) == nullptr; }));
    EXPECT_NE(disk().store->find(blockId(2)), nullptr);
    EXPECT_NE(disk().store->find(blockId(3)), nullptr);
    ASSERT_TRUE(soon([&] {
        DiskInfo info;
        disk().store->fillInfo(info);
        return info.unsettled == 1;
    }));
}

TEST_F(MembershipTest, ADiskWhoseFolderIsGoneTakesNoBlocksUntilItIsBack) {
    join();
    ASSERT_TRUE(soon([&] { return disk().takesBlocks(); }));
    std::filesystem::rename(dir, dir + "-away");
    EXPECT_TRUE(soon([&] { return !disk().store->present() && !disk().takesBlocks(); }));
    std::filesystem::rename(dir + "-away", dir);
    EXPECT_TRUE(soon([&] { return disk().takesBlocks(); }));
}

TEST_F(MembershipTest, ADiskThatAppearedElsewhereIsFencedOffWriting) {
    join();
    ASSERT_TRUE(soon([&] { return disk().disk.info().service == kDisk && cluster.beats > 0; }));
    EXPECT_TRUE(disk().takesBlocks());
    cluster.incarnation = Incarnation{4};
    cluster.version = 2;
    ASSERT_TRUE(soon([&] { return disk().fenced; }));
    EXPECT_FALSE(disk().takesBlocks());
}

TEST_F(MembershipTest, ADrainingDiskTakesNoBlocksAndADeadOneThatIsUpAgainDoes) {
    join();
    ASSERT_TRUE(soon([&] { return disk().disk.info().service == kDisk && cluster.beats > 0; }));
    cluster.state = registry::DiskState::kDraining;
    cluster.version = 2;
    ASSERT_TRUE(soon([&] { return !disk().takesBlocks(); }));
    cluster.state = registry::DiskState::kUp;
    cluster.version = 3;
    ASSERT_TRUE(soon([&] { return disk().takesBlocks(); }));
}

} // namespace
} // namespace skua::blocks
