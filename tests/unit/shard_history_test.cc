// Random histories over two shards, with lost messages and new leaders; then every invariant that two
// shards together must keep (metadata.md, "Invariants" 1, 3, 9), and in the end nothing is left behind.
#include <sstream>
#include <tuple>
#include "tests/unit/shard_harness.h"

namespace skua::shard {
namespace {

class History {
public:
    History(World& world, u64 seed) : w(world), rng(seed) {
        dirs = {kRoot};
        for (int i = 0; i < 4; i++)
            dirs.push_back(w.directory(dirs[rng.below(dirs.size())], "sub" + std::to_string(i), someShard()));
        stay = dirs.size();
    }
    void act() {
        const InodeId dir = someDir(), other = someDir();
        const std::string a = someName(), b = someName();
        switch (rng.below(14)) {
            case 0:
            case 1:
            case 2: {
                const auto mode = rng.oneIn(2) ? CommitMode::kReplace : CommitMode::kCreate;
                const CommitFile c = w.commitOf(dir, a, std::string(rng.below(50), 'x'), mode);
                (void)w.ask(dir.shard(), c);
                break;
            }
            case 3: (void)w.ask(dir.shard(), Unlink{dir, a, {}, rng.oneIn(3)}); break;
            case 4: (void)w.ask(dir.shard(), RenameHere{dir, a, other, b, {}, rng.oneIn(3), rng.oneIn(3)}); break;
            case 5:
                if (auto l = w.ask(dir.shard(), Lookup{dir, a})) (void)w.ask(dir.shard(), LinkHere{l->inode, other, b});
                break;
            case 6: {
                auto past = w.ask(dir.shard(), ListPast{dir, "", {}, 16});
                if (!past || past->entries.empty()) break;
                const auto& e = past->entries[rng.below(past->entries.size())];
                if (rng.oneIn(2)) (void)w.ask(dir.shard(), Undelete{dir, e.name, e.until, b});
                else (void)w.ask(dir.shard(), PurgeNow{dir, e.name, e.until});
                break;
            }
            case 7: move(dir, a, other, b); break;
            case 8: link(dir, a, other, b); break;
            case 9: makeDir(dir, a); break;
            case 10: removeDir(dir, a); break;
            case 11: w.cut = rng.oneIn(3); break;
            case 12: w.changeLeader(someShard()); break;
            case 13: w.advance(rng.below(20 * kMinute)); break;
        }
    }

    World& w;
    Random rng;
    std::vector<InodeId> dirs;
    std::size_t stay = 0; // dirs that are never removed

private:
    ShardId someShard() { return ShardId{static_cast<u16>(rng.below(2))}; }
    InodeId someDir() { return dirs[rng.below(dirs.size())]; }
    std::string someName() { return std::string(1, static_cast<char>('a' + rng.below(6))); }

    // What the coordinator does, as cdc/ops/*.cc have it.
    void move(InodeId p1, const std::string& n1, InodeId p2, const std::string& n2) {
        if (p1 == p2 && n1 == n2) return;
        const u64 t = w.nextTxn();
        auto from = w.step(t, 0, LockEntry{p1, n1, {}, false}, p1.shard());
        if (!from) return;
        auto to = w.step(t, 1, LockEntry{p2, n2, {}, false}, p2.shard());
        const bool fits =
            to && !from->there.none() && !from->there.isDirectory() && !to->there.isDirectory() && to->there != from->there;
        if (fits) {
            ASSERT_TRUE(w.step(t, 2, SetEntry{p2, n2, from->there, true}, p2.shard()));
            ASSERT_TRUE(w.step(t, 3, RemoveEntry{p1, n1, false, {}}, p1.shard()));
            return;
        }
        ASSERT_TRUE(w.step(t, 4, UnlockEntry{p1, n1}, p1.shard()));
        if (to) ASSERT_TRUE(w.step(t, 5, UnlockEntry{p2, n2}, p2.shard()));
    }
    void link(InodeId p1, const std::string& n1, InodeId p2, const std::string& n2) {
        auto found = w.ask(p1.shard(), Lookup{p1, n1});
        if (!found || found->inode.isDirectory()) return;
        const u64 t = w.nextTxn();
        if (!w.step(t, 0, LockEntry{p2, n2, {}, true}, p2.shard())) return;
        if (w.step(t, 1, AddLink{found->inode}, found->inode.shard())) {
            if (rng.oneIn(4)) ASSERT_TRUE(w.step(t, 2, DropLink{found->inode}, found->inode.shard()));
            else {
                ASSERT_TRUE(w.step(t, 3, SetEntry{p2, n2, found->inode, false}, p2.shard()));
                return;
            }
        }
        ASSERT_TRUE(w.step(t, 4, UnlockEntry{p2, n2}, p2.shard()));
    }
    void makeDir(InodeId parent, const std::string& name) {
        const InodeId dir = InodeId::make(InodeType::kDirectory, ++made + 1000, someShard());
        const u64 t = w.nextTxn();
        ASSERT_TRUE(w.step(t, 0, CreateDir{dir, parent, 0755, 0, 0}, dir.shard()));
        if (w.step(t, 1, AddEntry{parent, name, dir}, parent.shard())) dirs.push_back(dir);
        else ASSERT_TRUE(w.step(t, 2, DropDir{dir}, dir.shard()));
    }
    void removeDir(InodeId parent, const std::string& name) {
        const u64 t = w.nextTxn();
        auto there = w.step(t, 0, LockEntry{parent, name, {}, false}, parent.shard());
        if (!there) return;
        if (there->there.isDirectory() && w.step(t, 1, CloseDir{there->there}, there->there.shard())) {
            ASSERT_TRUE(w.step(t, 2, RemoveEntry{parent, name, true, {}}, parent.shard()));
            std::erase(dirs, there->there);
            return;
        }
        ASSERT_TRUE(w.step(t, 3, UnlockEntry{parent, name}, parent.shard()));
    }
    u64 made = 0;
};

// Joins what the shards tell of themselves, as `skua admin fsck` does.
void expectConsistent(World& w) {
    struct About {
        i64 nlink = 0, pins = 0, entries = 0, subdirs = 0, past = 0;
        u64 parent = 0, named_in = 0;
        bool closed = false;
    };
    std::map<u64, About> inodes;
    std::vector<std::pair<u64, u64>> entries, pasts;
    for (u16 s = 0; s < 2; s++) {
        Bytes cursor;
        do {
            auto r = w.ask(ShardId{s}, Check{cursor});
            ASSERT_TRUE(r);
            for (const auto& p : r->problems) ADD_FAILURE() << p;
            for (const auto& f : r->facts) {
                std::istringstream in(f);
                std::string kind;
                u64 a = 0, b = 0;
                in >> kind >> a;
                if (kind == "inode") {
                    About& i = inodes[a];
                    in >> i.nlink >> i.pins >> i.parent >> i.closed;
                } else if (kind == "entry" || kind == "past") {
                    in >> b;
                    (kind == "entry" ? entries : pasts).emplace_back(a, b);
                } else ADD_FAILURE() << "nothing is in flight, but: " << f;
            }
            cursor = r->cursor;
        } while (!cursor.value.empty());
    }
    for (auto [dir, target] : entries) {
        ASSERT_TRUE(inodes.contains(target)) << dir << " names " << target << ", which is not there";
        inodes[target].entries++;
        inodes[target].named_in = dir;
        if (InodeId{target}.isDirectory()) inodes[dir].subdirs++;
    }
    for (auto [dir, target] : pasts) {
        ASSERT_TRUE(inodes.contains(target)) << "the past of " << dir << " names " << target << ", which is not there";
        inodes[target].past++;
    }
    for (const auto& [id, i] : inodes) {
        EXPECT_EQ(i.pins, i.past) << "pins of " << id;
        if (!InodeId{id}.isDirectory()) {
            EXPECT_EQ(i.nlink, i.entries) << "nlink of " << id;
            continue;
        }
        EXPECT_EQ(i.nlink, 2 + i.subdirs) << "nlink of directory " << id;
        EXPECT_EQ(i.entries, i.closed || id == kRoot.value ? 0 : 1) << "names of directory " << id;
        if (i.entries) EXPECT_EQ(i.parent, i.named_in) << "parent of directory " << id;
    }
}

class Histories : public testing::TestWithParam<u64> {};

TEST_P(Histories, KeepEveryInvariantAndLeaveNothingBehind) {
    World w(2);
    History h(w, GetParam());
    for (int i = 0; i < 600 && !testing::Test::HasFailure(); i++) {
        h.act();
        if (i % 150 != 149) continue;
        w.cut = false;
        w.settle();
        expectConsistent(w);
    }
    // Everything is removed, and forgotten when its time is over.
    w.cut = false;
    w.settle();
    for (InodeId d : h.dirs) {
        auto r = w.ask(d.shard(), ReadDir{d, 0, 4096});
        ASSERT_TRUE(r);
        for (const auto& e : r->entries)
            if (!e.inode.isDirectory()) ASSERT_TRUE(w.ask(d.shard(), Unlink{d, e.name, {}, false}));
    }
    w.advance(3 * kHour);
    expectConsistent(w);
    u64 files = 0, bytes = 0;
    for (u16 s = 0; s < 2; s++) {
        auto u = w.ask(ShardId{s}, Usage{});
        files += u->files;
        bytes += u->bytes + u->past_bytes;
        for (const auto& [key, value] : w.kv(ShardId{s}).rows())
            EXPECT_TRUE(std::string_view("xpvsotrhbgq").find(key[0]) == std::string_view::npos)
                << "a row of table " << key[0] << " is left";
    }
    EXPECT_EQ(files, 0u);
    EXPECT_EQ(bytes, 0u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, Histories, testing::Range(u64{1}, u64{13}));

} // namespace
} // namespace skua::shard
