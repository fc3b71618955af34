// Shards and the coordinator against a plain in-memory file system: random operations, each answer the
// model's; messages between them delayed, repeated, reordered; machines restarted between two steps. Then
// the whole tree is the model's. A failing seed is printed and can be given as SEED.
#include <gtest/gtest.h>
#include <cstdlib>
#include <map>
#include "cdc/state.h"
#include "shard/state.h"
#include "tests/common/model_fs.h"
#include "tests/common/pure_cluster.h"

namespace skua::test {
namespace {

constexpr u16 kShards = 3;

std::unique_ptr<raft::StateMachine> machineOf(GroupId group) {
    if (kindOf(group) == GroupKind::kCoordinator) return std::make_unique<cdc::Coordinator>();
    return std::make_unique<shard::Shard>(net::Keys(ClusterId{1}, MacKey{}));
}

class World {
public:
    World(u64 seed, bool restarts) : cluster(seed, machineOf), random(seed * 7919 + 1) {
        cdc::CoordinatorConfig coordinator;
        coordinator.cluster = ClusterId{1};
        coordinator.shards = kShards;
        cluster.add(kCoordinatorGroup, wire::encode(coordinator));
        for (u16 s = 0; s < kShards; s++) {
            shard::ShardConfig config;
            config.cluster = ClusterId{1};
            config.shard = ShardId{s};
            config.shards = kShards;
            config.policy.retention = kHour + 1;
            cluster.add(groupOf(ShardId{s}), wire::encode(config));
        }
        cluster.allowRestarts(restarts);
        ids[ModelFs::kRootNode] = kRoot;
    }

    // --- operations: the real one, the model's, the same answer ----------------------------------------
    void create(int dir, const std::string& name, bool replace) {
        const InodeId d = ids.at(dir);
        const u64 n = take(d.shard());
        shard::CommitFile commit;
        commit.dir = d;
        commit.name = name;
        commit.reservation = reservations.at(d.shard()).reservation;
        commit.inode = InodeId::make(InodeType::kFile, n, d.shard());
        commit.commit_mode = replace ? shard::CommitMode::kReplace : shard::CommitMode::kCreate;
        commit.content.content = ContentId::make(n, d.shard());
        Bytes data{std::string(random.below(200), 'x') + std::to_string(n)};
        commit.content.size = data.value.size();
        commit.content.inline_bytes = data;
        auto real = cluster.ask(groupOf(d.shard()), client, commit);
        int node = 0;
        const Code want = model.make(dir, name, ModelFs::Type::kFile, data.value, replace, node);
        same(want, real.code(), "create " + name);
        if (want == Code::Ok) ids[node] = commit.inode;
    }
    void symlink(int dir, const std::string& name) {
        const InodeId d = ids.at(dir);
        shard::Symlink link;
        link.dir = d;
        link.name = name;
        const u64 n = take(d.shard());
        link.reservation = reservations.at(d.shard()).reservation;
        link.inode = InodeId::make(InodeType::kSpecial, n, d.shard());
        link.target = "target-" + std::to_string(n);
        auto real = cluster.ask(groupOf(d.shard()), client, link);
        int node = 0;
        const Code want = model.make(dir, name, ModelFs::Type::kSymlink, link.target, false, node);
        same(want, real.code(), "symlink " + name);
        if (want == Code::Ok) ids[node] = link.inode;
    }
    void mkdir(int dir, const std::string& name) {
        cdc::MakeDir make;
        make.dir = ids.at(dir);
        make.name = name;
        auto real = cluster.ask(kCoordinatorGroup, client, make);
        int node = 0;
        const Code want = model.make(dir, name, ModelFs::Type::kDirectory, {}, false, node);
        same(want, real.code(), "mkdir " + name);
        if (want == Code::Ok && real) ids[node] = real->made.inode;
    }
    void rmdir(int dir, const std::string& name) {
        cdc::RemoveDir remove;
        remove.dir = ids.at(dir);
        remove.name = name;
        auto real = cluster.ask(kCoordinatorGroup, client, remove);
        same(model.rmdir(dir, name), real.code(), "rmdir " + name);
    }
    void unlink(int dir, const std::string& name) {
        shard::Unlink unlink;
        unlink.dir = ids.at(dir);
        unlink.name = name;
        auto real = cluster.ask(groupOf(unlink.dir.shard()), client, unlink);
        same(model.unlink(dir, name), real.code(), "unlink " + name);
    }
    void rename(int from, const std::string& a, int to, const std::string& b, bool no_replace) {
        const InodeId f = ids.at(from), t = ids.at(to);
        Code real = Code::NotSupported;
        if (f.shard() == t.shard()) {
            shard::RenameHere here;
            here.from_dir = f;
            here.from_name = a;
            here.to_dir = t;
            here.to_name = b;
            here.no_replace = no_replace;
            real = cluster.ask(groupOf(f.shard()), client, here).code();
        }
        if (real == Code::NotSupported) {
            cdc::Rename rename;
            rename.from_dir = f;
            rename.from_name = a;
            rename.to_dir = t;
            rename.to_name = b;
            rename.no_replace = no_replace;
            real = cluster.ask(kCoordinatorGroup, client, rename).code();
        }
        same(model.rename(from, a, to, b, no_replace), real, "rename " + a + " to " + b);
    }
    void link(int inode, int dir, const std::string& name) {
        const InodeId i = ids.at(inode), d = ids.at(dir);
        Code real;
        if (i.shard() == d.shard() && !i.isDirectory()) {
            shard::LinkHere here;
            here.inode = i;
            here.dir = d;
            here.name = name;
            real = cluster.ask(groupOf(d.shard()), client, here).code();
        } else {
            cdc::Link link;
            link.inode = i;
            link.dir = d;
            link.name = name;
            real = cluster.ask(kCoordinatorGroup, client, link).code();
        }
        same(model.link(inode, dir, name), real, "link " + name);
    }
    void exchange(int da, const std::string& a, int db, const std::string& b) {
        cdc::Exchange exchange;
        exchange.dir_a = ids.at(da);
        exchange.name_a = a;
        exchange.dir_b = ids.at(db);
        exchange.name_b = b;
        auto real = cluster.ask(kCoordinatorGroup, client, exchange);
        same(model.exchange(da, a, db, b), real.code(), "exchange " + a + " and " + b);
    }
    void step() {
        const int dir = anyDirectory(), other = anyDirectory();
        const std::string a = anyName(), b = anyName();
        switch (random.below(20)) {
            case 0:
            case 1:
            case 2:
            case 3: return create(dir, a, random.oneIn(3));
            case 4:
            case 5:
            case 6:
            case 7: return mkdir(dir, a);
            case 8: return symlink(dir, a);
            case 9:
            case 10: return unlink(dir, a);
            case 11:
            case 12: return rmdir(dir, a);
            case 13:
            case 14:
            case 15:
            case 16: return rename(dir, a, other, b, random.oneIn(4));
            case 17: return link(static_cast<int>(random.below(static_cast<u64>(model.size()))), dir, a);
            case 18: return exchange(dir, a, other, b);
            default: return rename(dir, a, dir, b, false);
        }
    }
    // The whole tree, names and link counts, is the model's.
    void compareAll() {
        cluster.settle();
        for (int n = 0; n < model.size(); n++) {
            const ModelFs::Node& node = model.node(n);
            if (node.type != ModelFs::Type::kDirectory || node.closed) continue;
            std::map<std::string, InodeId> want, got;
            for (const auto& [name, child] : node.entries) want[name] = ids.at(child);
            shard::ReadDir read;
            read.dir = ids.at(n);
            read.limit = 3;
            for (bool end = false; !end;) {
                auto page = cluster.ask(groupOf(read.dir.shard()), client, read);
                ASSERT_TRUE(page) << page.error().message();
                for (const auto& entry : page->entries) got[entry.name] = entry.inode;
                if (!page->entries.empty()) read.cookie = page->entries.back().cookie;
                end = page->end;
            }
            EXPECT_EQ(want.size(), got.size());
            EXPECT_TRUE(want == got) << "directory node " << n;
        }
        for (const auto& [n, inode] : ids) {
            shard::GetAttr get;
            get.inodes = {inode};
            auto reply = cluster.ask(groupOf(inode.shard()), client, get);
            ASSERT_TRUE(reply);
            const bool alive = model.node(n).type == ModelFs::Type::kDirectory ? !model.node(n).closed : model.node(n).nlink > 0;
            if (!alive) continue; // may be there as a past version
            ASSERT_TRUE(reply->attributes[0]) << "node " << n;
            EXPECT_EQ(reply->attributes[0]->nlink, model.nlink(n)) << "node " << n;
            if (model.node(n).type == ModelFs::Type::kFile) { EXPECT_EQ(reply->attributes[0]->size, model.node(n).data.size()); }
        }
        EXPECT_TRUE(cdc::problems(cluster.rows(kCoordinatorGroup)).empty());
    }

    PureCluster cluster;
    ModelFs model;
    Random random;
    std::map<int, InodeId> ids;
    int mismatches = 0;

private:
    struct Range {
        ReservationId reservation;
        u64 next = 0, end = 0;
    };
    u64 take(ShardId shard) {
        Range& r = reservations[shard];
        if (r.next == r.end) {
            shard::ReserveIds ask;
            ask.count = 500;
            auto got = cluster.ask(groupOf(shard), client, ask);
            EXPECT_TRUE(got) << got.error().message();
            r = {got->reservation, got->first, got->first + got->count};
        }
        return r.next++;
    }
    void same(Code want, Code got, const std::string& what) {
        EXPECT_EQ(name(want), name(got)) << what;
        if (want != got) mismatches++;
    }
    int anyDirectory() {
        for (int tries = 0; tries < 50; tries++) {
            const int n = static_cast<int>(random.below(static_cast<u64>(model.size())));
            if (model.node(n).type != ModelFs::Type::kDirectory || !ids.contains(n)) continue;
            if (model.node(n).closed && !random.oneIn(10)) continue;
            return n;
        }
        return ModelFs::kRootNode;
    }
    std::string anyName() { return "n" + std::to_string(random.below(6)); }

    const ClientId client{42};
    std::map<ShardId, Range> reservations;
};

void play(u64 seed, int operations, bool restarts) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    World world(seed, restarts);
    for (int i = 0; i < operations && world.mismatches == 0; i++) {
        SCOPED_TRACE("operation " + std::to_string(i));
        world.step();
    }
    world.compareAll();
}

u64 firstSeed() { return std::getenv("SEED") ? std::strtoull(std::getenv("SEED"), nullptr, 10) : 1; }

TEST(NamespaceModel, AnswersWhatAPlainFileSystemAnswers) {
    for (u64 seed = firstSeed(); seed < firstSeed() + 30 && !testing::Test::HasFailure(); seed++) play(seed, 300, false);
}

TEST(NamespaceModel, AnswersTheSameWhenMachinesRestartBetweenSteps) {
    for (u64 seed = firstSeed() + 1000; seed < firstSeed() + 1030 && !testing::Test::HasFailure(); seed++) play(seed, 300, true);
}

} // namespace
} // namespace skua::test
