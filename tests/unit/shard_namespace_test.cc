// The names of a shard: entries, attributes, the past, holds.
#include <sys/stat.h>
#include <set>
#include "shard/entries.h"
#include "tests/unit/shard_harness.h"

namespace skua::shard {
namespace {

constexpr ShardId kS0{0}, kS1{1};

Unlink unlinkOf(InodeId dir, const std::string& name) { return {dir, name, {}, false}; }
RenameHere renameOf(InodeId from, const std::string& a, InodeId to, const std::string& b) {
    return {from, a, to, b, {}, false, false};
}

// --- looking ---------------------------------------------------------------------------------------------

TEST(Format, MakesTheRoot) {
    World w;
    const auto root = w.attributes(kRoot);
    ASSERT_TRUE(root);
    EXPECT_EQ(root->mode, S_IFDIR | 0755u);
    EXPECT_EQ(root->nlink, 2u);
    EXPECT_EQ(root->parent, kRoot);
    auto policy = w.ask(kS0, GetPolicy{kRoot});
    ASSERT_TRUE(policy);
    EXPECT_EQ(policy->resolved.retention, kHour + 1);
}

TEST(Format, AnUnformattedShardSaysSo) {
    store::KvMemory kv;
    Shard machine{net::Keys(ClusterId{1}, MacKey{})};
    const std::string body = wire::encode(Request(GetAttr{{kRoot}}));
    auto answer = machine.query(kv, {}, {{}, {}, false, false, body}, true);
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->error.code, Code::Unavailable);
}

TEST(Requests, BytesThatDoNotDecodeAreInvalid) {
    store::KvMemory kv;
    Shard machine{net::Keys(ClusterId{1}, MacKey{})};
    for (const std::string& body :
         {std::string(), std::string("\x01"), std::string("\xff\x01\x02"), std::string("\x45garbage")}) {
        const raft::Command command{kAlice, RequestId{1}, false, false, body};
        EXPECT_EQ(machine.query(kv, {}, command, true)->error.code, Code::Invalid);
        EXPECT_EQ(machine.admit(kv, {}, command).code(), Code::Invalid);
        store::Transaction t(static_cast<const store::Reader&>(kv));
        raft::Outcome out;
        machine.apply(t, {}, command, out);
        EXPECT_EQ(out.answer->error.code, Code::Invalid);
    }
}

TEST(Requests, ServersMessagesAreRefusedFromClients) {
    World w(2);
    EXPECT_EQ(w.ask(kS0, Deliver{kS1, 1, CountLinks{kRoot, 5, 0, {}, {}}}).code(), Code::Denied);
    EXPECT_EQ(w.ask(kS0, Step{TxnId{1}, 0, {}, CloseDir{kRoot}}).code(), Code::Denied);
    EXPECT_EQ(w.ask(kS0, Purge{10}).code(), Code::Denied);
    EXPECT_EQ(w.server(kS0, Purge{10}).code(), Code::Denied);
    EXPECT_EQ(w.server(kS0, Delivered{kS1, 10}).code(), Code::Denied);
}

TEST(Lookup, FindsANameWithItsAttributes) {
    World w;
    const InodeId f = w.file(kRoot, "a", "hello");
    auto r = w.ask(kS0, Lookup{kRoot, "a"});
    ASSERT_TRUE(r);
    EXPECT_EQ(r->inode, f);
    ASSERT_TRUE(r->attributes);
    EXPECT_EQ(r->attributes->size, 5u);
    EXPECT_EQ(w.ask(kS0, Lookup{kRoot, "b"}).code(), Code::NotFound);
    EXPECT_EQ(w.ask(kS0, Lookup{kRoot, "a/b"}).code(), Code::Invalid);
    EXPECT_EQ(w.ask(kS0, Lookup{kRoot, std::string(256, 'x')}).code(), Code::NameTooLong);
    EXPECT_EQ(w.ask(kS0, Lookup{f, "a"}).code(), Code::NotDirectory);
    EXPECT_EQ(w.ask(kS0, Lookup{InodeId::make(InodeType::kDirectory, 5, kS0), "a"}).code(), Code::NotFound);
    EXPECT_EQ(w.ask(kS0, Lookup{InodeId::make(InodeType::kDirectory, 5, kS1), "a"}).code(), Code::Invalid);
}

TEST(ReadDir, ReturnsEveryNameOnceWhateverTheLimit) {
    World w;
    std::set<std::string> names;
    for (int i = 0; i < 40; i++) {
        names.insert("n" + std::to_string(i));
        w.file(kRoot, "n" + std::to_string(i));
    }
    for (u32 limit : {1u, 7u, 4096u}) {
        std::multiset<std::string> seen;
        u64 cookie = 0, last = 2;
        for (bool end = false; !end;) {
            auto r = w.ask(kS0, ReadDir{kRoot, cookie, limit});
            ASSERT_TRUE(r);
            EXPECT_EQ(r->parent, kRoot);
            for (const auto& e : r->entries) {
                EXPECT_GT(e.cookie, last);
                EXPECT_TRUE(e.attributes);
                last = cookie = e.cookie;
                seen.insert(e.name);
            }
            end = r->end;
        }
        EXPECT_EQ(seen, std::multiset<std::string>(names.begin(), names.end()));
    }
    EXPECT_TRUE(w.ask(kS0, ReadDir{kRoot, ~u64{0}, 10})->end);
    EXPECT_EQ(w.ask(kS0, ReadDir{kRoot, 0, 0}).code(), Code::Invalid);
}

TEST(GetAttr, AnswersInOrderAndNothingForWhatIsGone) {
    World w;
    const InodeId f = w.file(kRoot, "a");
    auto r = w.ask(kS0, GetAttr{{InodeId::make(InodeType::kFile, 9999, kS0), f}});
    ASSERT_TRUE(r);
    EXPECT_FALSE(r->attributes[0]);
    EXPECT_EQ(r->attributes[1]->inode, f);
}

// --- attributes -------------------------------------------------------------------------------------------

TEST(SetAttr, ChangesWhatIsGivenAndNothingElse) {
    World w;
    const InodeId f = w.file(kRoot, "a");
    const auto before = *w.attributes(f);
    SetAttr op;
    op.inode = f;
    op.mode = S_IFDIR | 0600; // the type is not taken
    op.uid = 7;
    op.mtime = Wall{12345};
    auto r = w.ask(kS0, op);
    ASSERT_TRUE(r);
    EXPECT_EQ(r->attributes.mode, S_IFREG | 0600u);
    EXPECT_EQ(r->attributes.uid, 7u);
    EXPECT_EQ(r->attributes.gid, before.gid);
    EXPECT_EQ(r->attributes.mtime.value, 12345u);
    EXPECT_EQ(r->attributes.atime, before.atime);
    EXPECT_GT(r->attributes.ctime, before.ctime);
    op.inode = InodeId::make(InodeType::kFile, 9999, kS0);
    EXPECT_EQ(w.ask(kS0, op).code(), Code::NotFound);
}

TEST(Xattrs, AreSetReadListedAndRemoved) {
    World w;
    const InodeId f = w.file(kRoot, "a");
    EXPECT_TRUE(w.ask(kS0, SetXattr{f, {"user.b", Bytes{"1"}}, XattrMode::kAny}));
    EXPECT_TRUE(w.ask(kS0, SetXattr{f, {"user.a", Bytes{"2"}}, XattrMode::kCreate}));
    EXPECT_EQ(w.ask(kS0, SetXattr{f, {"user.a", Bytes{"3"}}, XattrMode::kCreate}).code(), Code::Exists);
    EXPECT_EQ(w.ask(kS0, SetXattr{f, {"user.c", Bytes{"3"}}, XattrMode::kReplace}).code(), Code::NoAttribute);
    EXPECT_TRUE(w.ask(kS0, SetXattr{f, {"user.a", Bytes{"4"}}, XattrMode::kReplace}));
    EXPECT_EQ(w.ask(kS0, GetXattr{f, "user.a"})->value.value, "4");
    EXPECT_EQ(w.ask(kS0, ListXattr{f})->names, (std::vector<std::string>{"user.a", "user.b"}));
    EXPECT_TRUE(w.ask(kS0, RemoveXattr{f, "user.a"}));
    EXPECT_EQ(w.ask(kS0, RemoveXattr{f, "user.a"}).code(), Code::NoAttribute);
    EXPECT_EQ(w.ask(kS0, GetXattr{f, "user.a"}).code(), Code::NoAttribute);
}

TEST(Xattrs, TakeFourKiBInAll) {
    World w;
    const InodeId f = w.file(kRoot, "a");
    EXPECT_TRUE(w.ask(kS0, SetXattr{f, {"user.a", Bytes{std::string(4000, 'x')}}, XattrMode::kAny}));
    EXPECT_EQ(w.ask(kS0, SetXattr{f, {"user.b", Bytes{std::string(200, 'x')}}, XattrMode::kAny}).code(), Code::NoSpace);
    EXPECT_EQ(w.ask(kS0, SetXattr{f, {"", Bytes{"x"}}, XattrMode::kAny}).code(), Code::Invalid);
    EXPECT_EQ(w.ask(kS0, SetXattr{f, {std::string(256, 'n'), Bytes{"x"}}, XattrMode::kAny}).code(), Code::NameTooLong);
}

// --- making -------------------------------------------------------------------------------------------------

TEST(Symlink, IsMadeAndRead) {
    World w;
    auto ids = w.reserve(kS0);
    const InodeId link = ids.special();
    auto r = w.ask(kS0, Symlink{kRoot, "l", ids.reservation, link, "to/there", 1, 2});
    ASSERT_TRUE(r) << r.error().message();
    EXPECT_EQ(r->attributes.size, 8u);
    EXPECT_TRUE(S_ISLNK(r->attributes.mode));
    EXPECT_EQ(w.ask(kS0, ReadLink{link})->target, "to/there");
    EXPECT_EQ(w.ask(kS0, ReadLink{kRoot}).code(), Code::Invalid);
}

TEST(Symlink, IsRefusedWithoutAReservationOrAProperTarget) {
    World w;
    auto ids = w.reserve(kS0);
    EXPECT_EQ(w.ask(kS0, Symlink{kRoot, "l", ids.reservation, ids.special(), "", 1, 2}).code(), Code::Invalid);
    EXPECT_EQ(w.ask(kS0, Symlink{kRoot, "l", ids.reservation, ids.special(), std::string(4096, 'x'), 1, 2}).code(),
              Code::NameTooLong);
    EXPECT_EQ(w.ask(kS0, Symlink{kRoot, "l", ids.reservation, ids.special(), "x", 1, 2}, kBob).code(), Code::Expired);
    EXPECT_EQ(w.ask(kS0, Symlink{kRoot, "l", ids.reservation, ids.file(), "x", 1, 2}).code(), Code::Invalid);
    EXPECT_EQ(w.ask(kS0, Symlink{kRoot, "..", ids.reservation, ids.special(), "x", 1, 2}).code(), Code::Invalid);
    const InodeId outside = InodeId::make(InodeType::kSpecial, 999'999, kS0);
    EXPECT_EQ(w.ask(kS0, Symlink{kRoot, "l", ids.reservation, outside, "x", 1, 2}).code(), Code::Invalid);
    EXPECT_TRUE(w.named(kRoot, "l").none());
}

TEST(MakeNode, MakesFifosAndDevicesOnly) {
    World w;
    auto ids = w.reserve(kS0);
    auto r = w.ask(kS0, MakeNode{kRoot, "p", ids.reservation, ids.special(), S_IFIFO | 0640, 0, 1, 2});
    ASSERT_TRUE(r);
    EXPECT_EQ(r->attributes.mode, S_IFIFO | 0640u);
    r = w.ask(kS0, MakeNode{kRoot, "d", ids.reservation, ids.special(), S_IFCHR | 0640, 0x0501, 1, 2});
    EXPECT_EQ(r->attributes.device, 0x0501u);
    EXPECT_EQ(w.ask(kS0, MakeNode{kRoot, "f", ids.reservation, ids.special(), S_IFREG | 0640, 0, 1, 2}).code(), Code::Invalid);
    EXPECT_EQ(w.ask(kS0, MakeNode{kRoot, "p", ids.reservation, ids.special(), S_IFIFO, 0, 1, 2}).code(), Code::Exists);
}

TEST(CommitFile, SaysWhatHasTheName) {
    World w;
    const InodeId f = w.file(kRoot, "a");
    auto r = w.ask(kS0, w.commitOf(kRoot, "a", "other"));
    ASSERT_EQ(r.code(), Code::Exists);
    EXPECT_EQ(r.error().inode, f);
}

TEST(CommitFile, AskedAnewItSaysThatItIsThere) {
    World w;
    const CommitFile c = w.commitOf(kRoot, "a", "bytes");
    ASSERT_TRUE(w.ask(kS0, c));
    auto again = w.ask(kS0, c); // another RequestId: the first one's outcome was not known
    ASSERT_EQ(again.code(), Code::Exists);
    EXPECT_EQ(again.error().inode, c.inode);
}

TEST(CommitFile, ReplacingLeavesTheOldOneInThePast) {
    World w;
    const InodeId old = w.file(kRoot, "a", "old");
    const InodeId now = w.file(kRoot, "a", "new", CommitMode::kReplace);
    EXPECT_EQ(w.named(kRoot, "a"), now);
    EXPECT_EQ(w.attributes(old)->nlink, 0u);
    EXPECT_EQ(w.attributes(kRoot)->entries, 1u);
    auto versions = w.ask(kS0, Versions{kRoot, "a"});
    ASSERT_EQ(versions->entries.size(), 1u);
    EXPECT_EQ(versions->entries[0].inode, old);
    w.directory(kRoot, "d");
    EXPECT_EQ(w.ask(kS0, w.commitOf(kRoot, "d", "x", CommitMode::kReplace)).code(), Code::IsDirectory);
}

TEST(Directories, ChangeTheirTimesAndCountsWithTheirEntries) {
    World w;
    const auto before = *w.attributes(kRoot);
    w.file(kRoot, "a");
    const auto after = *w.attributes(kRoot);
    EXPECT_GT(after.mtime, before.mtime);
    EXPECT_EQ(after.mtime, after.ctime);
    EXPECT_EQ(after.entries, 1u);
    EXPECT_EQ(after.nlink, 2u);
    w.directory(kRoot, "d");
    EXPECT_EQ(w.attributes(kRoot)->nlink, 3u);
    EXPECT_EQ(w.attributes(kRoot)->entries, 2u);
}

// --- removing and the past ------------------------------------------------------------------------------------

TEST(Unlink, LeavesAPastEntryThatPinsTheInode) {
    World w;
    const InodeId f = w.file(kRoot, "a");
    auto r = w.ask(kS0, unlinkOf(kRoot, "a"));
    ASSERT_TRUE(r);
    EXPECT_EQ(r->inode, f);
    EXPECT_TRUE(w.named(kRoot, "a").none());
    EXPECT_EQ(w.attributes(f)->nlink, 0u);
    auto past = w.ask(kS0, Versions{kRoot, "a"});
    ASSERT_EQ(past->entries.size(), 1u);
    EXPECT_EQ(past->entries[0].until, r->until);
    EXPECT_EQ(past->entries[0].purge.value, r->until.value + kHour);
    EXPECT_TRUE(past->entries[0].attributes);
}

TEST(Unlink, RefusesDirectoriesAndWhatIsNotThere) {
    World w;
    w.directory(kRoot, "d");
    const InodeId f = w.file(kRoot, "a");
    EXPECT_EQ(w.ask(kS0, unlinkOf(kRoot, "d")).code(), Code::IsDirectory);
    EXPECT_EQ(w.ask(kS0, unlinkOf(kRoot, "x")).code(), Code::NotFound);
    EXPECT_EQ(w.ask(kS0, Unlink{kRoot, "a", InodeId{f.value + 65536}, false}).code(), Code::NotFound);
    EXPECT_TRUE(w.ask(kS0, Unlink{kRoot, "a", f, false}));
}

TEST(Purge, EndsTheInodeWhenRetentionIsOver) {
    World w;
    const InodeId f = w.file(kRoot, "a");
    ASSERT_TRUE(w.ask(kS0, unlinkOf(kRoot, "a")));
    w.advance(kHour - 10 * kSecond);
    EXPECT_TRUE(w.attributes(f));
    w.advance(20 * kSecond);
    EXPECT_FALSE(w.attributes(f));
    EXPECT_TRUE(w.ask(kS0, Versions{kRoot, "a"})->entries.empty());
    EXPECT_EQ(w.ask(kS0, Usage{})->inodes, 1u);
}

TEST(Purge, NeverWithinThirtyMinutesOfAgeWhateverTheRetention) {
    World w(1, /*retention=*/0);
    const InodeId f = w.file(kRoot, "a");
    ASSERT_TRUE(w.ask(kS0, unlinkOf(kRoot, "a")));
    w.advance(29 * kMinute);
    EXPECT_TRUE(w.attributes(f));
    w.advance(2 * kMinute);
    EXPECT_FALSE(w.attributes(f));
}

TEST(PurgeNow, EndsTheRetentionButNotTheThirtyMinutes) {
    World w(1, 7 * kDay);
    const InodeId f = w.file(kRoot, "a");
    const Wall until = w.ask(kS0, unlinkOf(kRoot, "a"))->until;
    EXPECT_EQ(w.ask(kS0, PurgeNow{kRoot, "a", Wall{until.value + 1}}).code(), Code::NotFound);
    EXPECT_EQ(w.ask(kS0, PurgeNow{f, "a", until}).code(), Code::NotDirectory);
    ASSERT_TRUE(w.ask(kS0, PurgeNow{kRoot, "a", until}));
    w.advance(29 * kMinute);
    EXPECT_TRUE(w.attributes(f));
    w.advance(2 * kMinute);
    EXPECT_FALSE(w.attributes(f));
}

TEST(Undelete, BringsItBackUnderAnotherName) {
    World w;
    const InodeId f = w.file(kRoot, "a");
    const Wall until = w.ask(kS0, unlinkOf(kRoot, "a"))->until;
    w.file(kRoot, "a", "another");
    EXPECT_EQ(w.ask(kS0, Undelete{kRoot, "a", until, "a"}).code(), Code::Exists);
    ASSERT_TRUE(w.ask(kS0, Undelete{kRoot, "a", until, "b"}));
    EXPECT_EQ(w.named(kRoot, "b"), f);
    EXPECT_EQ(w.attributes(f)->nlink, 1u);
    EXPECT_EQ(w.ask(kS0, Undelete{kRoot, "a", until, "c"}).code(), Code::NotFound);
    w.advance(2 * kHour);
    EXPECT_TRUE(w.attributes(f)) << "its past entry's expiry went with it";
}

TEST(ListPast, TellsEveryVersionInPages) {
    World w;
    std::set<std::pair<std::string, u64>> expected, seen;
    for (int i = 0; i < 6; i++)
        for (const char* name : {"a", "b"}) {
            w.file(kRoot, name);
            expected.emplace(name, w.ask(kS0, unlinkOf(kRoot, name))->until.value);
        }
    ListPast op{kRoot, "", {}, 5};
    for (bool end = false; !end;) {
        auto r = w.ask(kS0, op);
        ASSERT_TRUE(r);
        for (const auto& e : r->entries) {
            EXPECT_TRUE(seen.emplace(e.name, e.until.value).second);
            op.after_name = e.name;
            op.after_until = e.until;
        }
        end = r->end;
    }
    EXPECT_EQ(seen, expected);
    auto newest = w.ask(kS0, Versions{kRoot, "a"})->entries;
    for (std::size_t i = 1; i < newest.size(); i++) EXPECT_GT(newest[i - 1].until, newest[i].until);
}

TEST(Hold, KeepsWhatIsOpenThirtyMinutesLonger) {
    World w(1, 0);
    const InodeId f = w.file(kRoot, "a");
    ASSERT_TRUE(w.ask(kS0, unlinkOf(kRoot, "a")));
    w.advance(20 * kMinute);
    ASSERT_TRUE(w.ask(kS0, Hold{{f}, {}, false}));
    w.advance(20 * kMinute);
    EXPECT_TRUE(w.attributes(f));
    ASSERT_TRUE(w.ask(kS0, Hold{{f}, {}, false})); // prolonged
    w.advance(20 * kMinute);
    EXPECT_TRUE(w.attributes(f));
    w.advance(11 * kMinute);
    EXPECT_FALSE(w.attributes(f));
}

TEST(Hold, ReleasedEndsAtOnce) {
    World w(1, 0);
    const InodeId f = w.file(kRoot, "a");
    ASSERT_TRUE(w.ask(kS0, Unlink{kRoot, "a", {}, /*hold=*/true}));
    w.advance(20 * kMinute);
    ASSERT_TRUE(w.ask(kS0, Hold{{f}, {}, false}));
    ASSERT_TRUE(w.ask(kS0, Hold{{f}, {}, false}, kBob));
    w.advance(15 * kMinute);
    ASSERT_TRUE(w.ask(kS0, Hold{{f}, {}, true}));
    EXPECT_TRUE(w.attributes(f));
    ASSERT_TRUE(w.ask(kS0, Hold{{f}, {}, true}, kBob));
    EXPECT_FALSE(w.attributes(f));
}

// --- moving ---------------------------------------------------------------------------------------------------------

TEST(RenameHere, MovesANameWithinAndBetweenDirectories) {
    World w;
    const InodeId d = w.directory(kRoot, "d"), f = w.file(kRoot, "a");
    ASSERT_TRUE(w.ask(kS0, renameOf(kRoot, "a", kRoot, "b")));
    EXPECT_TRUE(w.named(kRoot, "a").none());
    EXPECT_EQ(w.named(kRoot, "b"), f);
    ASSERT_TRUE(w.ask(kS0, renameOf(kRoot, "b", d, "c")));
    EXPECT_EQ(w.named(d, "c"), f);
    EXPECT_EQ(w.attributes(d)->entries, 1u);
    EXPECT_EQ(w.attributes(kRoot)->entries, 1u);
    EXPECT_EQ(w.attributes(f)->nlink, 1u);
    EXPECT_TRUE(w.ask(kS0, Versions{kRoot, "a"})->entries.empty());
    ASSERT_TRUE(w.ask(kS0, renameOf(kRoot, "d", kRoot, "e"))); // a directory, within its own
    EXPECT_EQ(w.named(kRoot, "e"), d);
    EXPECT_EQ(w.attributes(kRoot)->nlink, 3u);
}

TEST(RenameHere, ReplacesAFileIntoThePast) {
    World w;
    const InodeId a = w.file(kRoot, "a"), b = w.file(kRoot, "b");
    RenameHere op = renameOf(kRoot, "a", kRoot, "b");
    op.no_replace = true;
    EXPECT_EQ(w.ask(kS0, op).code(), Code::Exists);
    op.no_replace = false;
    op.moved = b;
    EXPECT_EQ(w.ask(kS0, op).code(), Code::NotFound);
    op.moved = a;
    auto r = w.ask(kS0, op);
    ASSERT_TRUE(r);
    EXPECT_EQ(r->replaced, b);
    EXPECT_EQ(w.attributes(b)->nlink, 0u);
    EXPECT_EQ(w.attributes(kRoot)->entries, 1u);
    EXPECT_EQ(w.ask(kS0, Versions{kRoot, "b"})->entries.at(0).inode, b);
}

TEST(RenameHere, OntoTheSameInodeDoesNothing) {
    World w;
    const InodeId f = w.file(kRoot, "a");
    ASSERT_TRUE(w.ask(kS0, LinkHere{f, kRoot, "b"}));
    ASSERT_TRUE(w.ask(kS0, renameOf(kRoot, "a", kRoot, "b")));
    ASSERT_TRUE(w.ask(kS0, renameOf(kRoot, "a", kRoot, "a")));
    EXPECT_EQ(w.named(kRoot, "a"), f);
    EXPECT_EQ(w.named(kRoot, "b"), f);
    EXPECT_EQ(w.attributes(f)->nlink, 2u);
}

TEST(RenameHere, LeavesToTheCoordinatorWhatIsItsOwn) {
    World w(2);
    const InodeId d = w.directory(kRoot, "d"), e = w.directory(kRoot, "e"), far = w.directory(kRoot, "far", kS1);
    w.file(kRoot, "a");
    EXPECT_EQ(w.ask(kS0, renameOf(kRoot, "d", e, "d")).code(), Code::NotSupported);
    EXPECT_EQ(w.ask(kS0, renameOf(kRoot, "d", kRoot, "e")).code(), Code::NotSupported);
    EXPECT_EQ(w.ask(kS0, renameOf(kRoot, "a", kRoot, "d")).code(), Code::NotSupported);
    EXPECT_EQ(w.ask(kS0, renameOf(kRoot, "a", far, "a")).code(), Code::NotSupported);
    EXPECT_EQ(w.ask(kS0, renameOf(kRoot, "d", kRoot, "a")).code(), Code::NotDirectory);
    EXPECT_EQ(w.ask(kS0, renameOf(kRoot, "x", d, "a")).code(), Code::NotFound);
}

TEST(LinkHere, CountsNames) {
    World w;
    const InodeId f = w.file(kRoot, "a"), d = w.directory(kRoot, "d");
    auto r = w.ask(kS0, LinkHere{f, d, "b"});
    ASSERT_TRUE(r);
    EXPECT_EQ(r->attributes.nlink, 2u);
    EXPECT_EQ(w.ask(kS0, LinkHere{f, d, "b"}).code(), Code::Exists);
    EXPECT_EQ(w.ask(kS0, LinkHere{d, kRoot, "x"}).code(), Code::NotPermitted);
    ASSERT_TRUE(w.ask(kS0, unlinkOf(kRoot, "a")));
    EXPECT_EQ(w.attributes(f)->nlink, 1u);
    w.advance(2 * kHour);
    EXPECT_EQ(w.attributes(f)->nlink, 1u) << "a purged past entry is only a pin less";
    ASSERT_TRUE(w.ask(kS0, unlinkOf(d, "b")));
    EXPECT_EQ(w.ask(kS0, LinkHere{f, kRoot, "c"}).code(), Code::NotFound);
}

// --- policies ---------------------------------------------------------------------------------------------------------

TEST(SetPolicy, IsKeptAndRulesTheRetention) {
    World w;
    const InodeId d = w.directory(kRoot, "d");
    Policy own;
    own.retention = 2 * kHour + 1;
    ASSERT_TRUE(w.ask(kS0, SetPolicy{d, own, own}));
    auto p = w.ask(kS0, GetPolicy{d});
    EXPECT_EQ(p->own, own);
    EXPECT_EQ(p->resolved.retention, 2 * kHour + 1);
    EXPECT_EQ(p->resolved.scheme.size(), 2u) << "a resolved policy is complete";
    const InodeId f = w.file(d, "a");
    ASSERT_TRUE(w.ask(kS0, unlinkOf(d, "a")));
    w.advance(90 * kMinute);
    EXPECT_TRUE(w.attributes(f));
    w.advance(40 * kMinute);
    EXPECT_FALSE(w.attributes(f));
    own.scheme = {{100, 40, 0}};
    EXPECT_EQ(w.ask(kS0, SetPolicy{d, own, own}).code(), Code::Invalid);
}

TEST(Usage, FollowsTheInodes) {
    World w;
    w.file(kRoot, "a", "12345");
    w.directory(kRoot, "d");
    auto u = w.ask(kS0, Usage{});
    EXPECT_EQ(u->inodes, 3u);
    EXPECT_EQ(u->files, 1u);
    EXPECT_EQ(u->directories, 2u);
    EXPECT_EQ(u->bytes, 5u);
    ASSERT_TRUE(w.ask(kS0, unlinkOf(kRoot, "a")));
    u = w.ask(kS0, Usage{});
    EXPECT_EQ(u->bytes, 0u);
    EXPECT_EQ(u->past_bytes, 5u);
    w.advance(2 * kHour);
    EXPECT_EQ(w.ask(kS0, Usage{})->past_bytes, 0u);
}

} // namespace
} // namespace skua::shard
