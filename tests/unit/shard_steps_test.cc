// The coordinator's steps, and what shards tell each other.
#include "shard/entries.h"
#include "tests/unit/shard_harness.h"

namespace skua::shard {
namespace {

constexpr ShardId kS0{0}, kS1{1};

Unlink unlinkOf(InodeId dir, const std::string& name) { return {dir, name, {}, false}; }

// --- remembering --------------------------------------------------------------------------------------------

TEST(Step, RepeatedItAnswersTheSameAndChangesNothing) {
    World w;
    const InodeId d = InodeId::make(InodeType::kDirectory, 50, kS0);
    auto first = w.step(1, 0, CreateDir{d, kRoot, 0755, 1, 2});
    ASSERT_TRUE(first);
    const auto rows = w.kv(kS0).rows();
    auto again = w.step(1, 0, CreateDir{d, kRoot, 0755, 1, 2});
    ASSERT_TRUE(again);
    EXPECT_EQ(again->attributes, first->attributes);
    EXPECT_EQ(w.kv(kS0).rows(), rows);
}

TEST(Step, ARefusalIsRememberedToo) {
    World w;
    w.file(kRoot, "a");
    ASSERT_EQ(w.step(1, 0, LockEntry{kRoot, "a", {}, true}).code(), Code::Exists);
    ASSERT_TRUE(w.ask(kS0, unlinkOf(kRoot, "a")));
    // The name is free now; but the transaction has been rolled back since.
    EXPECT_EQ(w.step(1, 0, LockEntry{kRoot, "a", {}, true}).code(), Code::Exists);
    w.file(kRoot, "a");
}

TEST(Step, BelowTheWatermarkItIsRefused) {
    World w;
    ASSERT_TRUE(w.step(1, 0, LockEntry{kRoot, "a", {}, true}));
    ASSERT_TRUE(w.step(1, 1, UnlockEntry{kRoot, "a"}));
    ASSERT_TRUE(w.step(5, 0, LockEntry{kRoot, "b", {}, true}, kS0, /*watermark=*/5));
    EXPECT_EQ(w.step(1, 0, LockEntry{kRoot, "a", {}, true}).code(), Code::Expired);
    EXPECT_EQ(w.step(4, 0, LockEntry{kRoot, "a", {}, true}).code(), Code::Expired);
    w.file(kRoot, "a");
    EXPECT_EQ(w.step(6, 0, LockEntry{kRoot, "c", {}, true}, kS0, /*watermark=*/7).code(), Code::Invalid);
    for (const auto& [key, value] : w.kv(kS0).rows())
        if (key[0] == StepAnswers::kTable) EXPECT_GE(static_cast<u8>(key[8]), 5) << "answers below the watermark are forgotten";
}

TEST(Step, ZeroIsNoTransaction) {
    World w;
    EXPECT_EQ(w.step(0, 0, LockEntry{kRoot, "a", {}, true}).code(), Code::Invalid);
}

// --- locks ------------------------------------------------------------------------------------------------------

TEST(LockEntry, HoldsOffClientsAndOtherTransactions) {
    World w;
    const InodeId f = w.file(kRoot, "a");
    auto locked = w.step(1, 0, LockEntry{kRoot, "a", f, false});
    ASSERT_TRUE(locked);
    EXPECT_EQ(locked->there, f);
    EXPECT_EQ(w.ask(kS0, unlinkOf(kRoot, "a")).code(), Code::Locked);
    EXPECT_EQ(w.ask(kS0, RenameHere{kRoot, "a", kRoot, "b", {}, false, false}).code(), Code::Locked);
    EXPECT_EQ(w.ask(kS0, w.commitOf(kRoot, "a", "x", CommitMode::kReplace)).code(), Code::Locked);
    EXPECT_EQ(w.step(2, 0, LockEntry{kRoot, "a", {}, false}).code(), Code::Locked);
    EXPECT_EQ(w.step(2, 1, RemoveEntry{kRoot, "a", true, {}}).code(), Code::Locked);
    EXPECT_EQ(w.named(kRoot, "a"), f) << "lookups ignore locks";
    EXPECT_TRUE(w.step(1, 1, LockEntry{kRoot, "a", f, false})) << "its own lock, by another step number";
    EXPECT_TRUE(w.step(2, 2, UnlockEntry{kRoot, "a"})) << "not this transaction's: nothing to do";
    EXPECT_EQ(w.ask(kS0, unlinkOf(kRoot, "a")).code(), Code::Locked);
    ASSERT_TRUE(w.step(1, 2, UnlockEntry{kRoot, "a"}));
    EXPECT_TRUE(w.ask(kS0, unlinkOf(kRoot, "a")));
}

TEST(LockEntry, AnAbsentNameIsHeldFreeAndNobodySeesIt) {
    World w;
    auto locked = w.step(1, 0, LockEntry{kRoot, "a", {}, true});
    ASSERT_TRUE(locked);
    EXPECT_TRUE(locked->there.none());
    EXPECT_EQ(locked->resolved.retention, kHour + 1);
    EXPECT_TRUE(w.named(kRoot, "a").none());
    EXPECT_TRUE(w.ask(kS0, ReadDir{kRoot, 0, 10})->entries.empty());
    EXPECT_EQ(w.attributes(kRoot)->entries, 0u);
    EXPECT_EQ(w.ask(kS0, w.commitOf(kRoot, "a", "x")).code(), Code::Locked);
    EXPECT_EQ(w.ask(kS0, unlinkOf(kRoot, "a")).code(), Code::NotFound);
    w.file(kRoot, "b");
    EXPECT_EQ(w.ask(kS0, RenameHere{kRoot, "b", kRoot, "a", {}, false, false}).code(), Code::Locked);
    ASSERT_TRUE(w.step(1, 1, UnlockEntry{kRoot, "a"}));
    w.file(kRoot, "a");
}

TEST(LockEntry, SaysWhatDoesNotFit) {
    World w;
    const InodeId f = w.file(kRoot, "a");
    auto r = w.step(1, 0, LockEntry{kRoot, "a", {}, true});
    ASSERT_EQ(r.code(), Code::Exists);
    EXPECT_EQ(r.error().inode, f);
    EXPECT_EQ(w.step(1, 1, LockEntry{kRoot, "a", InodeId{f.value + 65536}, false}).code(), Code::NotFound);
    EXPECT_EQ(w.step(1, 2, LockEntry{kRoot, "a/", {}, false}).code(), Code::Invalid);
    EXPECT_TRUE(w.step(1, 3, LockEntry{kRoot, "none", {}, false})->there.none());
}

// --- directories ----------------------------------------------------------------------------------------------------

TEST(CreateDir, ThenDropDirLeavesNothing) {
    World w;
    const auto rows = w.kv(kS0).rows();
    const InodeId d = InodeId::make(InodeType::kDirectory, 50, kS0);
    ASSERT_TRUE(w.step(1, 0, CreateDir{d, kRoot, 0700, 1, 2}));
    EXPECT_EQ(w.attributes(d)->parent, kRoot);
    EXPECT_EQ(w.step(1, 1, CreateDir{d, kRoot, 0700, 1, 2}).code(), Code::Exists);
    EXPECT_EQ(w.step(1, 2, CreateDir{InodeId::make(InodeType::kFile, 51, kS0), kRoot, 0700, 1, 2}).code(), Code::Invalid);
    ASSERT_TRUE(w.step(1, 3, DropDir{d}));
    EXPECT_TRUE(w.step(1, 4, DropDir{d})) << "already gone";
    EXPECT_FALSE(w.attributes(d));
    EXPECT_EQ(w.step(1, 5, DropDir{kRoot}).code(), Code::NotEmpty);
    EXPECT_EQ(w.ask(kS0, Usage{})->directories, 1u);
}

TEST(AddEntry, TellsThePolicyAndRespectsLocks) {
    World w;
    const InodeId d = InodeId::make(InodeType::kDirectory, 50, kS0);
    ASSERT_TRUE(w.step(1, 0, CreateDir{d, kRoot, 0700, 1, 2}));
    ASSERT_TRUE(w.step(2, 0, LockEntry{kRoot, "d", {}, true}));
    EXPECT_EQ(w.step(1, 1, AddEntry{kRoot, "d", d}).code(), Code::Locked);
    ASSERT_TRUE(w.step(2, 1, UnlockEntry{kRoot, "d"}));
    auto r = w.step(1, 2, AddEntry{kRoot, "d", d});
    ASSERT_TRUE(r);
    EXPECT_EQ(r->resolved.retention, kHour + 1);
    EXPECT_EQ(w.step(1, 3, AddEntry{kRoot, "d", d}).code(), Code::Exists);
    EXPECT_EQ(w.step(1, 4, AddEntry{kRoot, "e", InodeId{5}}).code(), Code::Invalid);
}

TEST(CloseDir, OnlyOfAnEmptyDirectoryWithoutLockedNames) {
    World w;
    const InodeId d = w.directory(kRoot, "d");
    w.file(d, "a");
    EXPECT_EQ(w.step(100, 0, CloseDir{d}).code(), Code::NotEmpty);
    ASSERT_TRUE(w.ask(kS0, unlinkOf(d, "a")));
    ASSERT_TRUE(w.step(101, 0, LockEntry{d, "b", {}, true}));
    EXPECT_EQ(w.step(100, 1, CloseDir{d}).code(), Code::Locked);
    ASSERT_TRUE(w.step(101, 1, UnlockEntry{d, "b"}));
    ASSERT_TRUE(w.step(100, 2, CloseDir{d})) << "past entries do not count";
    EXPECT_EQ(w.ask(kS0, w.commitOf(d, "x", "y")).code(), Code::NotFound);
    EXPECT_EQ(w.ask(kS0, Lookup{d, "x"}).code(), Code::NotFound);
    EXPECT_EQ(w.step(101, 2, LockEntry{d, "b", {}, true}).code(), Code::NotFound);
    EXPECT_TRUE(w.ask(kS0, GetParent{d})->closed);
    EXPECT_EQ(w.step(100, 3, CloseDir{kRoot}).code(), Code::NotPermitted);
}

TEST(RemovedDirectories, AreGoneWhenTheirOwnPastAndTheirFilesPastAreOver) {
    World w(2);
    const InodeId d = w.directory(kRoot, "d", kS1), f = w.file(d, "a");
    ASSERT_TRUE(w.ask(kS1, unlinkOf(d, "a")));
    w.advance(30 * kMinute);
    w.removeDirectory(kRoot, "d", d);
    EXPECT_EQ(w.attributes(kRoot)->nlink, 2u);
    EXPECT_EQ(w.attributes(d)->nlink, 0u);
    w.advance(40 * kMinute);
    EXPECT_FALSE(w.attributes(f));
    EXPECT_TRUE(w.attributes(d)) << "its own past entry is in the other shard";
    w.advance(30 * kMinute);
    EXPECT_FALSE(w.attributes(d));
}

TEST(UndeleteDir, OpensADirectoryAgain) {
    World w(2);
    const InodeId d = w.directory(kRoot, "d", kS1), f = w.file(d, "a");
    const Wall file_until = w.ask(kS1, unlinkOf(d, "a"))->until;
    w.removeDirectory(kRoot, "d", d);
    EXPECT_EQ(w.ask(kS1, Undelete{d, "a", file_until, "a"}).code(), Code::NotFound) << "the parent first";
    const Wall until = w.ask(kS0, Versions{kRoot, "d"})->entries.at(0).until;
    EXPECT_EQ(w.ask(kS0, Undelete{kRoot, "d", until, "e"}).code(), Code::NotSupported);

    ASSERT_TRUE(w.step(200, 0, LockEntry{kRoot, "e", {}, true}));
    ASSERT_TRUE(w.step(200, 1, LockPast{kRoot, "d", until, d}));
    EXPECT_EQ(w.step(201, 0, LockPast{kRoot, "d", until, d}).code(), Code::Locked);
    EXPECT_EQ(w.ask(kS0, PurgeNow{kRoot, "d", until}).code(), Code::Locked);
    ASSERT_TRUE(w.step(200, 2, OpenDir{d, kRoot, {}}, kS1));
    ASSERT_TRUE(w.step(200, 3, SetEntry{kRoot, "e", d, false}));
    ASSERT_TRUE(w.step(200, 4, DropPast{kRoot, "d", until}));
    EXPECT_EQ(w.named(kRoot, "e"), d);
    EXPECT_EQ(w.attributes(kRoot)->nlink, 3u);
    EXPECT_EQ(w.attributes(d)->nlink, 2u);
    ASSERT_TRUE(w.ask(kS1, Undelete{d, "a", file_until, "a"}));
    w.advance(3 * kHour);
    EXPECT_TRUE(w.attributes(d));
    EXPECT_EQ(w.named(d, "a"), f);
}

TEST(LockPast, GivenBackItExpiresAsBefore) {
    World w;
    const InodeId d = w.directory(kRoot, "d");
    w.removeDirectory(kRoot, "d", d);
    const Wall until = w.ask(kS0, Versions{kRoot, "d"})->entries.at(0).until;
    EXPECT_EQ(w.step(200, 0, LockPast{kRoot, "d", until, kRoot}).code(), Code::NotFound);
    ASSERT_TRUE(w.step(200, 1, LockPast{kRoot, "d", until, d}));
    w.advance(2 * kHour);
    EXPECT_TRUE(w.attributes(d)) << "locked, it does not expire";
    ASSERT_TRUE(w.step(200, 2, UnlockPast{kRoot, "d", until}));
    w.settle();
    EXPECT_FALSE(w.attributes(d));
}

TEST(SetParent, MovesAndInheritsThePolicy) {
    World w;
    const InodeId d = w.directory(kRoot, "d"), e = w.directory(kRoot, "e");
    Policy policy;
    policy.retention = 99;
    ASSERT_TRUE(w.step(200, 0, SetParent{d, e, policy, {}}));
    EXPECT_EQ(w.ask(kS0, GetParent{d})->parent, e);
    EXPECT_EQ(w.ask(kS0, GetPolicy{d})->resolved.retention, 99u);
    EXPECT_EQ(w.step(200, 1, SetParent{d, d, policy, {}}).code(), Code::Invalid);
    EXPECT_EQ(w.step(200, 2, SetParent{kRoot, d, policy, {}}).code(), Code::NotPermitted);
}

// mkdir p/n by transaction 200, under a policy. Before its SetParent somebody renames n to m within p, which needs no
// coordinator, and transaction 201 moves that to q: it names other entries than 200, so nothing keeps it waiting.
TEST(SetParent, OfANewDirectoryComesTooLateWhereItWasMovedMeanwhile) {
    World w(2);
    const InodeId p = w.directory(kRoot, "p"), q = w.directory(kRoot, "q");
    const InodeId d = InodeId::make(InodeType::kDirectory, 50, kS1);
    Policy of_p, of_q;
    of_p.retention = 99;
    of_q.retention = 77;
    ASSERT_TRUE(w.step(200, 0, CreateDir{d, p, 0755, 0, 0}, kS1));
    ASSERT_TRUE(w.step(200, 1, AddEntry{p, "n", d}));
    ASSERT_TRUE(w.ask(kS0, RenameHere{p, "n", p, "m", d, false, false}));
    ASSERT_TRUE(w.step(201, 0, LockEntry{p, "m", d, false}));
    ASSERT_TRUE(w.step(201, 1, LockEntry{q, "k", {}, false}));
    ASSERT_TRUE(w.step(201, 2, SetParent{d, q, of_q, {}}, kS1));
    ASSERT_TRUE(w.step(201, 3, SetEntry{q, "k", d, false}));
    ASSERT_TRUE(w.step(201, 4, RemoveEntry{p, "m", false, d}));

    ASSERT_TRUE(w.step(200, 2, SetParent{d, p, of_p, p}, kS1));
    EXPECT_EQ(w.named(q, "k"), d);
    EXPECT_EQ(w.ask(kS1, GetParent{d})->parent, q) << "invariant 1: its parent agrees with its only name";
    EXPECT_EQ(w.ask(kS1, GetPolicy{d})->resolved.retention, 77u);
}

TEST(SetParent, OfANewDirectoryBringsItsPolicyUnlessItHasOneByNow) {
    World w;
    const InodeId d = w.directory(kRoot, "d"), e = w.directory(kRoot, "e");
    Policy early, late;
    early.retention = 99;
    late.retention = 77;
    ASSERT_TRUE(w.step(200, 0, SetParent{d, kRoot, early, kRoot}));
    EXPECT_EQ(w.ask(kS0, GetPolicy{d})->resolved.retention, 99u);
    // The parent got another policy between AddEntry and this, and `skua policy set` has been here already.
    ASSERT_TRUE(w.ask(kS0, SetPolicy{e, {}, late}));
    ASSERT_TRUE(w.step(200, 1, SetParent{e, kRoot, early, kRoot}));
    EXPECT_EQ(w.ask(kS0, GetPolicy{e})->resolved.retention, 77u);
}

// --- rename and link between directories -------------------------------------------------------------------------------

TEST(SetEntry, ReplacesAndRemoveEntryEndsTheMove) {
    World w(2);
    const InodeId d = w.directory(kRoot, "d", kS1), f = w.file(kRoot, "a"), old = w.file(d, "b");
    ASSERT_TRUE(w.step(200, 0, LockEntry{kRoot, "a", f, false}));
    ASSERT_EQ(w.step(200, 1, LockEntry{d, "b", {}, false}, kS1)->there, old);
    ASSERT_TRUE(w.step(200, 2, SetEntry{d, "b", f, true}, kS1));
    EXPECT_TRUE(w.step(200, 3, SetEntry{d, "b", f, true}, kS1)) << "already so";
    ASSERT_TRUE(w.step(200, 4, RemoveEntry{kRoot, "a", false, {}}));
    EXPECT_TRUE(w.step(200, 5, RemoveEntry{kRoot, "a", false, {}})) << "already so";
    w.settle();
    EXPECT_EQ(w.named(d, "b"), f);
    EXPECT_TRUE(w.named(kRoot, "a").none());
    EXPECT_EQ(w.attributes(f)->nlink, 1u);
    EXPECT_EQ(w.attributes(old)->nlink, 0u);
    EXPECT_EQ(w.ask(kS1, Versions{d, "b"})->entries.at(0).inode, old);
    EXPECT_TRUE(w.ask(kS0, Versions{kRoot, "a"})->entries.empty());
    ASSERT_TRUE(w.ask(kS1, unlinkOf(d, "b"))) << "the lock ended with the step";
}

TEST(AddLink, CountsAndDropLinkTakesBack) {
    World w;
    const InodeId f = w.file(kRoot, "a"), d = w.directory(kRoot, "d");
    ASSERT_TRUE(w.step(200, 0, AddLink{f}));
    EXPECT_EQ(w.attributes(f)->nlink, 2u);
    ASSERT_TRUE(w.step(200, 0, AddLink{f}));
    EXPECT_EQ(w.attributes(f)->nlink, 2u) << "once";
    ASSERT_TRUE(w.step(200, 1, DropLink{f}));
    EXPECT_EQ(w.attributes(f)->nlink, 1u);
    EXPECT_EQ(w.step(200, 2, AddLink{d}).code(), Code::NotPermitted);
    ASSERT_TRUE(w.ask(kS0, unlinkOf(kRoot, "a")));
    EXPECT_EQ(w.step(200, 3, AddLink{f}).code(), Code::NotFound);
}

// --- the outbox ---------------------------------------------------------------------------------------------------------

struct TwoShards : testing::Test {
    TwoShards() : d(w.directory(kRoot, "d", kS1)), f(w.file(kRoot, "a")) {
        // f lives in shard 0 and is named in shard 1.
        EXPECT_TRUE(w.step(200, 0, AddLink{f}));
        EXPECT_TRUE(w.step(200, 1, SetEntry{d, "b", f, false}, kS1));
        w.settle();
    }
    std::size_t rows(ShardId s, char table) {
        std::size_t n = 0;
        for (const auto& [key, value] : w.kv(s).rows()) n += key[0] == table;
        return n;
    }
    World w{2};
    InodeId d, f;
};

TEST_F(TwoShards, ALinkCountIsRightWhenTheClientIsAnswered) {
    auto r = w.ask(kS1, unlinkOf(d, "b"));
    ASSERT_TRUE(r);
    EXPECT_EQ(r->inode, f);
    EXPECT_EQ(w.attributes(f)->nlink, 1u);
    EXPECT_EQ(rows(kS1, Outbox::kTable), 0u);
}

TEST_F(TwoShards, AClientWaitsASecondForAShardThatIsAway) {
    w.cut = true;
    EXPECT_EQ(w.ask(kS1, unlinkOf(d, "b")).code(), Code::Busy);
    const RequestId request = w.lastRequest();
    w.advance(500 * kMillisecond);
    EXPECT_FALSE(w.lateAnswer(request));
    w.advance(600 * kMillisecond);
    ASSERT_TRUE(w.lateAnswer(request));
    EXPECT_EQ(w.lateAnswer(request)->error.code, Code::Ok);
    EXPECT_EQ(w.attributes(f)->nlink, 2u);
    w.cut = false;
    w.settle();
    EXPECT_EQ(w.attributes(f)->nlink, 1u);
    EXPECT_EQ(rows(kS1, Outbox::kTable), 0u);
}

TEST_F(TwoShards, MessagesSurviveANewLeaderAndCountOnce) {
    w.cut = true;
    (void)w.ask(kS1, unlinkOf(d, "b"));
    w.settle(); // sent, and lost
    w.changeLeader(kS1);
    w.cut = false;
    w.settle();
    EXPECT_EQ(w.attributes(f)->nlink, 1u);
    // What was under way comes late.
    EXPECT_TRUE(w.server(kS0, Deliver{kS1, 1, CountLinks{f, -1, 1, {}, {}}}));
    EXPECT_EQ(w.attributes(f)->nlink, 1u);
}

TEST_F(TwoShards, GapsAreRefused) {
    const u64 last = InboxHeads::get(w.kv(kS0), {kS1}).value_or(InboxHead{}).last;
    EXPECT_EQ(w.server(kS0, Deliver{kS1, last + 2, CountLinks{f, -1, 1, {}, {}}}).code(), Code::Busy);
    EXPECT_TRUE(w.server(kS0, Deliver{kS1, last + 1, CountLinks{InodeId{12345}, -1, 1, {}, {}}}))
        << "an unknown inode is passed over";
    EXPECT_EQ(w.server(kS0, Deliver{kS0, 1, CountLinks{f, -1, 1, {}, {}}}).code(), Code::Invalid);
    EXPECT_EQ(w.attributes(f)->nlink, 2u);
}

TEST_F(TwoShards, ManyMessagesGoInOrder) {
    for (int i = 0; i < 200; i++) {
        const std::string name = "n" + std::to_string(i);
        const u64 txn = 1000 + static_cast<u64>(i);
        ASSERT_TRUE(w.step(txn, 0, AddLink{f}));
        ASSERT_TRUE(w.step(txn, 1, SetEntry{d, name, f, false}, kS1));
    }
    EXPECT_EQ(w.attributes(f)->nlink, 202u);
    w.cut = true;
    for (int i = 0; i < 200; i++) (void)w.ask(kS1, unlinkOf(d, "n" + std::to_string(i)));
    w.cut = false;
    w.settle();
    EXPECT_EQ(w.attributes(f)->nlink, 2u);
    EXPECT_EQ(rows(kS1, Outbox::kTable), 0u);
    w.advance(2 * kHour);
    EXPECT_EQ(Inodes::get(w.kv(kS0), {f})->pins, 0);
    EXPECT_EQ(rows(kS1, Outbox::kTable), 0u);
}

TEST_F(TwoShards, TheLastPinOnAnotherShardLetsItDie) {
    ASSERT_TRUE(w.ask(kS0, unlinkOf(kRoot, "a")));
    ASSERT_TRUE(w.ask(kS1, Unlink{d, "b", {}, /*hold=*/true}));
    EXPECT_EQ(rows(kS0, Holds::kTable), 1u) << "the hold is where the inode is";
    w.advance(2 * kHour);
    EXPECT_FALSE(w.attributes(f));
    EXPECT_EQ(rows(kS0, Holds::kTable), 0u);
    EXPECT_EQ(rows(kS0, PastEntries::kTable) + rows(kS1, PastEntries::kTable), 0u);
}

TEST(Purge, IsBoundedAndGoesOn) {
    World w(1, 0);
    for (int i = 0; i < 700; i++) {
        w.file(kRoot, "n" + std::to_string(i));
        ASSERT_TRUE(w.ask(kS0, unlinkOf(kRoot, "n" + std::to_string(i))));
    }
    w.advance(31 * kMinute);
    EXPECT_EQ(w.ask(kS0, Usage{})->inodes, 1u);
    w.advance(2 * kHour);
    for (const auto& [key, value] : w.kv(kS0).rows()) EXPECT_NE(key[0], Expiries::kTable);
}

// --- random: no request stops a replica, and replicas do not drift ------------------------------------------------------------

TEST(RandomRequests, StopNobody) {
    World w(2);
    const InodeId d = w.directory(kRoot, "d"), f = w.file(kRoot, "a");
    Random rng(7);
    const InodeId ids[] = {kRoot, d, f, InodeId{}, InodeId{~u64{0}}, InodeId::make(InodeType::kDirectory, 77, kS1)};
    const char* names[] = {"a", "b", "d", "", ".."};
    auto id = [&] { return ids[rng.below(std::size(ids))]; };
    auto name = [&] { return std::string(names[rng.below(std::size(names))]); };
    for (int i = 0; i < 5000; i++) {
        switch (rng.below(16)) {
            case 0: (void)w.ask(kS0, unlinkOf(id(), name())); break;
            case 1: (void)w.ask(kS0, RenameHere{id(), name(), id(), name(), id(), rng.oneIn(2), rng.oneIn(2)}); break;
            case 2: (void)w.ask(kS0, LinkHere{id(), id(), name()}); break;
            case 3: (void)w.ask(kS0, w.commitOf(rng.oneIn(2) ? kRoot : d, name(), "x", CommitMode::kReplace)); break;
            case 4: (void)w.step(i, 0, LockEntry{id(), name(), id(), rng.oneIn(2)}); break;
            case 5: (void)w.step(i - rng.below(5), 1, UnlockEntry{id(), name()}); break;
            case 6: (void)w.step(i - rng.below(5), 2, SetEntry{id(), name(), id(), rng.oneIn(2)}); break;
            case 7: (void)w.step(i - rng.below(5), 3, RemoveEntry{id(), name(), rng.oneIn(2), {}}); break;
            case 8: (void)w.step(i, 4, AddEntry{id(), name(), id()}); break;
            case 9: (void)w.step(i, 5, AddLink{id()}, kS0, rng.oneIn(50) ? i : 0); break;
            case 10: (void)w.step(i, 6, CloseDir{id()}); break;
            case 11: (void)w.step(i, 7, OpenDir{id(), id(), {}}); break;
            case 12: (void)w.step(i, 8, SetParent{id(), id(), {}, {}}); break;
            case 13: (void)w.ask(kS0, Hold{{id(), id()}, {ContentId{rng.next()}}, rng.oneIn(2)}); break;
            case 14: (void)w.ask(kS0, ReadDir{id(), rng.next(), static_cast<u32>(rng.below(9))}); break;
            case 15:
                if (rng.oneIn(20)) w.advance(10 * kMinute);
                break;
        }
    }
    w.advance(5 * kHour);
    EXPECT_TRUE(w.attributes(kRoot));
}

} // namespace
} // namespace skua::shard
