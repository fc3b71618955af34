// Rows that cannot be read: no answer comes of them; who has others to ask fetches them anew, its log and votes stay; who is
// alone says so. Bytes of a file of RocksDB's are flipped at the end.
#include <unistd.h>
#include <filesystem>
#include <fstream>
#include "core/store/kv_rocksdb.h"
#include "tests/unit/raft_hosts.h"

namespace skua::raft {
namespace {

class Rows : public Hosts {
protected:
    // Everything of the group's that a machine wrote, as it is on the disk now.
    void spoil(u32 host) {
        ASSERT_TRUE(hosts[host].kv.flush());
        std::set<std::string, std::less<>> keys;
        const std::string prefix = prefixOf(group);
        for (const auto& [key, _] : hosts[host].kv.rows())
            if (key.starts_with(prefix) && key[prefix.size()] > '\x05') keys.insert(key);
        ASSERT_FALSE(keys.empty());
        hosts[host].kv.spoil(std::move(keys));
    }
    void begin() {
        format(group);
        run(3 * kSecond);
        for (u64 i = 1; i <= 3; i++) ask(leader(group), "x" + std::to_string(i), i);
        run(kSecond);
    }
    bool hasRows(u32 host) { return hosts[host].server->group(group) && !hosts[host].server->group(group)->needsRows(); }
    void expectSame() {
        const auto& rows = hosts[leader(group)].kv.rows();
        for (auto& [i, h] : hosts) EXPECT_TRUE(h.kv.rows() == rows) << i;
        for (auto& [i, h] : hosts) EXPECT_TRUE(h.kv.spoilt().empty() || h.kv.flush()) << i;
        for (auto& [i, h] : hosts) EXPECT_FALSE(h.server->anyTrouble()) << i;
    }
    void mute(u32 host) {
        for (auto& [o, _] : hosts) cut.insert({host, o});
    }
    u32 said(u32 host) { return static_cast<u32>(hosts[host].said.size()); }
};

TEST_F(Rows, AFollowerThatCannotReadThemFetchesThemAndKeepsItsLogAndVote) {
    begin();
    const u32 l = leader(group), f = l % 3 + 1;
    const VoteRow vote = hosts[f].server->group(group)->voteRow();
    spoil(f);
    mute(f); // nobody hears that it needs rows yet
    const u64 t = ask(l, "after", 4);
    run(300 * kMillisecond);
    EXPECT_EQ(answer(l, t), std::to_string(std::string("x1;x2;x3;after;").size()));
    ASSERT_FALSE(hasRows(f));
    EXPECT_EQ(said(f), 1u);
    // It has acknowledged the entry, which is in its log; what it promised it has not forgotten.
    EXPECT_EQ(hosts[f].server->group(group)->durable(), hosts[l].server->group(group)->durable());
    EXPECT_EQ(hosts[f].server->group(group)->voteRow().term, vote.term);
    EXPECT_EQ(hosts[f].server->group(group)->voteRow().vote, vote.vote);
    cut.clear();
    run(3 * kSecond);
    EXPECT_TRUE(hasRows(f));
    EXPECT_EQ(leader(group), l);
    expectSame();
    ask(l, "more", 5);
    run(kSecond);
    expectSame();
    EXPECT_EQ(said(f), 1u);
}

TEST_F(Rows, ALeaderThatCannotReadThemHandsOverAndFetchesThem) {
    begin();
    const u32 l = leader(group);
    spoil(l);
    const u64 query = ask(l, "get");
    settle();
    EXPECT_EQ(answer(l, query), "Unavailable") << "a read error is no answer";
    EXPECT_FALSE(hosts[l].server->leads(group));
    EXPECT_EQ(hosts[l].leads, 0) << "its machine was told";
    run(4 * kSecond);
    ASSERT_NE(leader(group), 0u);
    EXPECT_NE(leader(group), l);
    EXPECT_TRUE(hasRows(l));
    expectSame();
    const u64 t = ask(leader(group), "get");
    settle();
    EXPECT_EQ(answer(leader(group), t), "x1;x2;x3;");
}

TEST_F(Rows, ALeaderThatCannotApplyWhatIsCommittedHangsUpOnWhoWaits) {
    begin();
    const u32 l = leader(group);
    spoil(l);
    const u64 t = ask(l, "late", 4);
    settle();
    EXPECT_EQ(answer(l, t), "lost");
    run(4 * kSecond);
    const u64 again = ask(leader(group), "late", 4); // once
    run(kSecond);
    EXPECT_EQ(answer(leader(group), again), std::to_string(std::string("x1;x2;x3;late;").size()));
    expectSame();
}

TEST_F(Rows, WhoCannotReadWhatItSendsAsASnapshotIsNotTheOneThatGivesIt) {
    begin();
    const u32 l = leader(group), f = l % 3 + 1;
    spoil(f);
    spoil(l);
    ask(f % 3 + 1, "get"); // the third knows nothing of it
    ask(l, "after", 4);
    run(20 * kSecond);
    ASSERT_NE(leader(group), 0u);
    EXPECT_EQ(leader(group), f % 3 + 1);
    expectSame();
}

TEST_F(Rows, UntilOthersAreOfferedWhatIsThereStays) {
    begin();
    for (u32 i = 1; i <= 3; i++) spoil(i);
    const std::size_t rows = hosts[1].kv.rows().size();
    ask(leader(group), "after", 4);
    run(20 * kSecond);
    EXPECT_EQ(leader(group), 0u);
    for (u32 i = 1; i <= 3; i++) {
        EXPECT_FALSE(hasRows(i));
        EXPECT_GE(hosts[i].kv.rows().size(), rows) << "nobody has better";
    }
}

TEST_F(Rows, WhereNobodyCouldReadThemForAWhileAllGoOnWithWhatTheyHave) {
    begin();
    for (u32 i = 1; i <= 3; i++) spoil(i);
    ask(leader(group), "after", 4);
    run(20 * kSecond);
    EXPECT_EQ(leader(group), 0u);
    for (u32 i = 1; i <= 3; i++) hosts[i].kv.unspoil();
    run(30 * kSecond);
    ASSERT_NE(leader(group), 0u);
    const u64 token = ask(leader(group), "more", 5);
    run(kSecond);
    EXPECT_NE(answer(leader(group), token), "none");
    for (u32 i = 1; i <= 3; i++) EXPECT_TRUE(hasRows(i));
    expectSame();
}

TEST_F(Rows, WhereNobodyCouldReadThemARestartGoesOnWithThem) {
    begin();
    for (u32 i = 1; i <= 3; i++) spoil(i);
    ask(leader(group), "after", 4);
    run(20 * kSecond);
    for (u32 i = 1; i <= 3; i++) {
        EXPECT_TRUE(hosts[i].kv.flush());
        hosts[i].kv.unspoil();
        crash(i);
    }
    for (u32 i = 1; i <= 3; i++) start(i);
    run(5 * kSecond);
    ASSERT_NE(leader(group), 0u);
    expectSame();
}

TEST_F(Rows, AStartThatFindsTheMarkAsksAgainAndVotesAsBefore) {
    begin();
    const u32 l = leader(group), f = l % 3 + 1;
    spoil(f);
    mute(f);
    ask(l, "after", 4);
    run(300 * kMillisecond);
    ASSERT_FALSE(hasRows(f));
    const Term term = hosts[f].server->group(group)->term();
    cutOff(f);
    ASSERT_TRUE(hosts[f].kv.write({{prefixOf(group) + kInstallingKey, wire::encode(Installing{9})}})); // others were on their way
    ASSERT_TRUE(hosts[f].kv.flush());
    crash(f);
    start(f);
    ASSERT_NE(hosts[f].server->group(group), nullptr);
    EXPECT_TRUE(hosts[f].server->group(group)->needsRows());
    EXPECT_EQ(hosts[f].server->group(group)->term(), term);
    cut.clear();
    run(5 * kSecond);
    EXPECT_TRUE(hasRows(f));
    expectSame();
}

TEST_F(Rows, ACrashWhileTheyAreFetchedLosesNothing) {
    begin();
    const u32 l = leader(group), f = l % 3 + 1;
    for (const bool flushed : {false, true}) {
        spoil(f);
        mute(f);
        ask(l, flushed ? "b" : "a", flushed ? 5 : 4);
        run(300 * kMillisecond);
        EXPECT_FALSE(hasRows(f));
        cut.clear();
        if (flushed) ASSERT_TRUE(hosts[f].kv.flush());
        crash(f);
        start(f);
        run(5 * kSecond);
        EXPECT_TRUE(hasRows(f));
        expectSame();
    }
}

TEST_F(Rows, ADiskThatFailsAgainAndAgainIsNotFedForEver) {
    begin();
    const u32 l = leader(group), f = l % 3 + 1;
    for (u32 i = 0; i <= kMaxRowLosses; i++) {
        EXPECT_FALSE(hosts[f].server->anyTrouble());
        spoil(f);
        ask(l, "again", 4 + i);
        run(4 * kSecond);
    }
    ASSERT_TRUE(hosts[f].server->anyTrouble());
    EXPECT_NE(hosts[f].server->status(now())[0].trouble.find("look at the disk"), std::string::npos);
    EXPECT_EQ(leader(group), l) << "the others go on";
}

TEST_F(Rows, ReadErrorsLongApartAreFetchedEachTime) {
    begin();
    const u32 l = leader(group), f = l % 3 + 1;
    for (u32 i = 0; i <= 2 * kMaxRowLosses; i++) {
        spoil(f);
        ask(l, "again", 4 + i);
        run(4 * kSecond);
        clock += kHour;
        run(4 * kSecond);
    }
    EXPECT_FALSE(hosts[f].server->anyTrouble());
}

TEST_F(Rows, OneGroupsRowsAreNotAnothersTrouble) {
    begin();
    const GroupId other = groupOf(ShardId{1});
    format(other);
    run(3 * kSecond);
    const u32 l = leader(group);
    spoil(l);
    ask(l, "get");
    const u64 t = ask(leader(other), "fine", 9, other);
    run(kSecond);
    EXPECT_EQ(answer(leader(other), t), "5");
    for (auto& [i, h] : hosts) EXPECT_FALSE(h.server->group(other)->needsRows()) << i;
}

class Alone : public Rows {
protected:
    void SetUp() override { make(1); }
};

TEST_F(Alone, AGroupOfOneStaysDownWhereItMustApplyAndSaysSo) {
    begin();
    spoil(1);
    const u64 query = ask(1, "get");
    settle();
    EXPECT_EQ(answer(1, query), "Unavailable");
    EXPECT_FALSE(hosts[1].server->anyTrouble()) << "others of its rows may be read";
    const u64 t = ask(1, "late", 4);
    settle();
    EXPECT_EQ(answer(1, t), "lost");
    ASSERT_TRUE(hosts[1].server->anyTrouble());
    EXPECT_NE(hosts[1].server->status(now())[0].trouble.find("no other member"), std::string::npos);
    // The same disk, read well again: nothing is lost, nothing is done twice.
    crash(1);
    hosts[1].kv.unspoil();
    start(1);
    run(kSecond);
    const u64 again = ask(1, "late", 4);
    run(kSecond);
    EXPECT_EQ(answer(1, again), std::to_string(std::string("x1;x2;x3;late;").size()));
}

TEST_F(Alone, RowsWhoseIndexCannotBeReadAreNotAppliedTo) {
    begin();
    ASSERT_TRUE(hosts[1].kv.flush());
    hosts[1].kv.spoil({prefixOf(group) + kAppliedKey});
    crash(1);
    start(1);
    run(kSecond);
    ASSERT_TRUE(hosts[1].server->anyTrouble());
    const u64 query = ask(1, "get");
    settle();
    EXPECT_EQ(answer(1, query), "Unavailable");
    const auto all = hosts[1].kv.rows().find(prefixOf(group) + "all");
    ASSERT_NE(all, hosts[1].kv.rows().end());
    EXPECT_EQ(all->second, "x1;x2;x3;");
}

// --- of RocksDB's own files -------------------------------------------------------------------------------

TEST(RocksdbRows, WhatIsReplacedIsNotReadBeItDamaged) {
    const std::string dir = testing::TempDir() + "/raft_rows_" + std::to_string(::getpid());
    std::filesystem::remove_all(dir);
    auto key = [](char group, int i) { return std::string(1, group) + std::to_string(100'000 + i); };
    {
        auto kv = store::KvRocksdb::open(dir);
        ASSERT_TRUE(kv) << kv.error().message();
        Random random(1);
        for (const char g : {'a', 'b', 'c'}) {
            store::Batch rows;
            for (int i = 0; i < 4000; i++) {
                std::string value(64, '\0');
                for (char& c : value) c = static_cast<char>(random.next());
                rows.emplace(key(g, i), std::move(value));
            }
            ASSERT_TRUE((*kv)->write(rows));
        }
        ASSERT_TRUE((*kv)->flush());
    }
    // In the middle of the only file are rows of group b.
    for (const auto& file : std::filesystem::directory_iterator(dir)) {
        if (file.path().extension() != ".sst") continue;
        std::fstream bytes(file.path(), std::ios::in | std::ios::out | std::ios::binary);
        const auto at = static_cast<std::streamoff>(std::filesystem::file_size(file.path()) / 2);
        for (int i = 0; i < 64; i++) {
            bytes.seekg(at + i);
            const char was = static_cast<char>(bytes.get());
            bytes.seekp(at + i);
            bytes.put(static_cast<char>(was ^ 1));
        }
    }
    auto opened = store::KvRocksdb::open(dir);
    ASSERT_TRUE(opened) << opened.error().message();
    store::KvRocksdb& kv = **opened;
    auto count = [&](const std::string& from, const std::string& to) {
        std::size_t rows = 0;
        kv.scan(from, to, [&](std::string_view, std::string_view) { return ++rows, true; });
        return rows;
    };
    EXPECT_LT(count("b", "c"), 4000u);
    EXPECT_TRUE(kv.failed());
    kv.forgive();
    ASSERT_TRUE(kv.replace("b", "c", {{"b1", "mark"}}));
    for (int i = 0; i < 4000; i++) ASSERT_FALSE(kv.get(key('b', i)));
    EXPECT_EQ(kv.get("b1"), "mark");
    EXPECT_EQ(count("b", "c"), 1u);
    store::Batch fresh;
    for (int i = 0; i < 4000; i += 2) fresh.emplace(key('b', i), "new");
    ASSERT_TRUE(kv.write(fresh));
    EXPECT_EQ(count("b", "c"), 2001u);
    EXPECT_EQ(kv.get(key('b', 2000)), "new");
    ASSERT_TRUE(kv.flush());
    EXPECT_EQ(count("b", "c"), 2001u);
    EXPECT_FALSE(kv.failed()) << kv.trouble();
    EXPECT_EQ(count("a", "b"), 4000u);
    std::filesystem::remove_all(dir);
}

} // namespace
} // namespace skua::raft
