// The coordinator: every transaction ends, whatever shards answer; an error before the point of no return undoes
// what was done, one after it is asked again; names are taken one after the other, directories moved one at a time.
#include <gtest/gtest.h>
#include <deque>
#include "cdc/state.h"
#include "cdc/transaction.h"
#include "core/net/group_caller.h"
#include "core/store/kv_memory.h"

namespace skua::cdc {
namespace {

const InodeId kP = InodeId::make(InodeType::kDirectory, 1, ShardId{0}), kQ = InodeId::make(InodeType::kDirectory, 2, ShardId{1});
const InodeId kD = InodeId::make(InodeType::kDirectory, 3, ShardId{1}), kF = InodeId::make(InodeType::kFile, 4, ShardId{0});

// A coordinator alone; shards are this test's answers.
class CoordinatorTest : public testing::Test, protected raft::Leader {
protected:
    struct Call {
        GroupId to;
        std::string body;
        u64 token = 0;
    };
    CoordinatorTest() {
        CoordinatorConfig config;
        config.shards = 2;
        store::Transaction t(static_cast<const store::Reader&>(kv));
        machine->format(t, now(), wire::encode(config));
        EXPECT_TRUE(kv.write(t.writes()));
        machine->started(kv, now(), *this);
    }
    void propose(std::string body) override { proposals.push_back(std::move(body)); }
    void call(GroupId to, std::string body, u64 token) override { calls.push_back({to, std::move(body), token}); }
    void tellHost(std::string, std::string, u64) override {}
    Random& random() override { return random_; }

    raft::Time now() const { return {Wall{kHour + age}, Age{age}}; }
    std::optional<raft::Answer> apply(const std::string& body, RequestId request, bool own) {
        const raft::Command c{own ? ClientId{} : ClientId{7}, request, own, own, body};
        if (auto ok = machine->admit(kv, now(), c); !ok) return raft::Answer{ok.error(), {}};
        store::Transaction t(static_cast<const store::Reader&>(kv));
        raft::Outcome out;
        machine->apply(t, now(), c, out);
        if (!out.answer || out.answer->error.code == Code::Ok) EXPECT_TRUE(kv.write(t.writes()));
        for (auto& late : out.late) answers[late.request.value] = late.answer;
        return out.answer;
    }
    template <class R>
    u64 ask(const R& request) {
        const u64 id = ++requests;
        if (auto refused = apply(net::encodeRequest(request), RequestId{id}, false)) answers[id] = *refused;
        run();
        return id;
    }
    // The leader acts until it waits for shards.
    void run() {
        for (int i = 0; i < 3 || !proposals.empty(); i++) {
            machine->lead(kv, now(), *this);
            for (const auto& body : std::exchange(proposals, {})) (void)apply(body, {}, true);
        }
    }
    void restart() {
        machine = std::make_unique<Coordinator>();
        calls.clear();
        proposals.clear();
        machine->started(kv, now(), *this);
        run();
    }
    // The only call under way, as its action's name; "GetParent" of a walk, "" if there is none.
    std::string next() {
        if (calls.empty()) return "";
        shard::Request request;
        EXPECT_TRUE(wire::decode(calls.front().body, request));
        if (std::holds_alternative<shard::GetParent>(request)) return "GetParent";
        return std::visit([](const auto& action) { return std::string(std::remove_cvref_t<decltype(action)>::kName); },
                          std::get<shard::Step>(request).action);
    }
    u32 stepNumber() {
        shard::Request request;
        EXPECT_TRUE(wire::decode(calls.front().body, request));
        return std::get<shard::Step>(request).step;
    }
    void reply(const Result<std::string>& bytes) {
        const Call c = calls.front();
        calls.pop_front();
        machine->heard(kv, now(), c.token, bytes, *this);
        run();
    }
    void locked(InodeId there) { reply(wire::encode(shard::LockEntry::Reply{there, {}})); }
    void parent(InodeId of) {
        shard::GetParent::Reply r;
        r.parent = of;
        reply(wire::encode(r));
    }
    void ok() {
        reply(next() == "CreateDir"  ? wire::encode(shard::CreateDir::Reply{})
              : next() == "AddEntry" ? wire::encode(shard::AddEntry::Reply{})
                                     : std::string());
    }
    std::string answer(u64 id) {
        auto at = answers.find(id);
        if (at == answers.end()) return "none";
        return at->second.error.code == Code::Ok ? "Ok" : std::string(name(at->second.error.code));
    }
    void nothingLeft() {
        EXPECT_TRUE(problems(kv).empty());
        Txns::scan(kv, Txns::All{}, [&](const TxnKey& key, const Txn&) {
            ADD_FAILURE() << "txn " << key.txn.value;
            return true;
        });
        EXPECT_TRUE(calls.empty());
    }
    static MakeDir makeDir(const std::string& name, InodeId dir = kP) {
        MakeDir make;
        make.dir = dir;
        make.name = name;
        return make;
    }
    static RemoveDir removeDir(const std::string& name) {
        RemoveDir remove;
        remove.dir = kP;
        remove.name = name;
        return remove;
    }
    static Rename rename(InodeId from, const std::string& a, InodeId to, const std::string& b) {
        Rename op;
        op.from_dir = from;
        op.from_name = a;
        op.to_dir = to;
        op.to_name = b;
        return op;
    }

    store::KvMemory kv;
    std::unique_ptr<Coordinator> machine = std::make_unique<Coordinator>();
    std::deque<Call> calls;
    std::vector<std::string> proposals;
    std::map<u64, raft::Answer> answers;
    Random random_{1};
    u64 requests = 0, age = kHour;
};

TEST_F(CoordinatorTest, MakeDirMakesTheDirectoryThenItsName) {
    const u64 id = ask(makeDir("a"));
    EXPECT_EQ(next(), "CreateDir");
    ok();
    EXPECT_EQ(next(), "AddEntry");
    EXPECT_EQ(answer(id), "none");
    ok();
    EXPECT_EQ(answer(id), "Ok");
    nothingLeft();
}

TEST_F(CoordinatorTest, MakeDirOfATakenNameDropsTheDirectoryAgain) {
    const u64 id = ask(makeDir("a"));
    ok();
    reply(Code::Exists);
    EXPECT_EQ(next(), "DropDir");
    ok();
    EXPECT_EQ(answer(id), "Exists");
    nothingLeft();
}

TEST_F(CoordinatorTest, ANamedDirectoryIsNotDroppedWhateverTheReplyLooksLike) {
    const u64 id = ask(makeDir("a"));
    ok();
    reply(std::string("nonsense"));
    EXPECT_EQ(answer(id), "Ok");
    nothingLeft();
}

// Who renames the new name within its directory needs no transaction, and a move of that other name waits for nobody.
TEST_F(CoordinatorTest, MakeDirMayComeWithItsPolicyAfterTheDirectoryWasMoved) {
    const u64 made = ask(makeDir("a"));
    ok();
    shard::AddEntry::Reply added;
    added.resolved.retention = 99;
    reply(wire::encode(added));
    ASSERT_EQ(next(), "SetParent");
    shard::Request request;
    ASSERT_TRUE(wire::decode(calls.front().body, request));
    EXPECT_EQ(std::get<shard::SetParent>(std::get<shard::Step>(request).action).created_in, kP);
    const Call late = calls.front();
    calls.clear();
    const u64 moved = ask(rename(kP, "b", kQ, "c"));
    locked(kD);
    locked({});
    parent(kRoot); // of kQ
    EXPECT_EQ(next(), "SetParent") << "the move does not wait for MakeDir";
    for (int i = 0; i < 3; i++) ok();
    EXPECT_EQ(answer(moved), "Ok");
    EXPECT_EQ(answer(made), "none");
    calls.push_back(late);
    ok();
    EXPECT_EQ(answer(made), "Ok");
    nothingLeft();
}

TEST_F(CoordinatorTest, ALockedDirectoryTurnsItsRemovalBackAndIsAnswered) {
    const u64 id = ask(removeDir("d"));
    locked(kD);
    EXPECT_EQ(next(), "CloseDir");
    reply(Code::Locked);
    EXPECT_EQ(next(), "UnlockEntry");
    ok();
    EXPECT_EQ(answer(id), "Locked");
    nothingLeft();
}

TEST_F(CoordinatorTest, PastThePointOfNoReturnAnErrorIsAskedAgainUnderANewStep) {
    const u64 id = ask(removeDir("d"));
    locked(kD);
    ok();
    EXPECT_EQ(next(), "RemoveEntry");
    const u32 first = stepNumber();
    for (int i = 0; i < 5; i++) {
        reply(Code::Io);
        EXPECT_EQ(next(), "") << "not at once";
        age += kRetryMostNs;
        run();
        ASSERT_EQ(next(), "RemoveEntry");
    }
    EXPECT_GT(stepNumber(), first);
    ok();
    EXPECT_EQ(answer(id), "Ok");
    nothingLeft();
}

TEST_F(CoordinatorTest, WhoNamesTheSameEntryWaitsForTheEarlierOne) {
    const u64 a = ask(makeDir("x")), b = ask(removeDir("x")), c = ask(makeDir("y"));
    EXPECT_EQ(calls.size(), 2u) << "x once, and y beside it";
    ok();
    EXPECT_EQ(next(), "CreateDir");
    ok();
    while (answer(a) == "none" || answer(c) == "none") ok();
    EXPECT_EQ(next(), "LockEntry");
    EXPECT_EQ(answer(b), "none");
    reply(Code::NotFound);
    EXPECT_EQ(answer(b), "NotFound");
    nothingLeft();
}

TEST_F(CoordinatorTest, ADirectoryIsNotMovedBelowItself) {
    const u64 id = ask(rename(kP, "d", kQ, "e"));
    locked(kD);
    locked({});
    EXPECT_EQ(next(), "GetParent");
    parent(kD);
    EXPECT_EQ(next(), "UnlockEntry");
    ok();
    ok();
    EXPECT_EQ(answer(id), "Invalid");
    nothingLeft();
}

TEST_F(CoordinatorTest, DirectoriesAreMovedOneAtATime) {
    const InodeId e = InodeId::make(InodeType::kDirectory, 9, ShardId{0});
    const u64 first = ask(rename(kP, "d", kQ, "d"));
    locked(kD);
    locked({});
    ASSERT_EQ(next(), "GetParent");
    const Call walk = calls.front();
    calls.clear();
    const u64 second = ask(rename(kQ, "e", kP, "e"));
    locked(e);
    locked({});
    EXPECT_EQ(next(), "") << "it waits for the move lock before it walks";
    calls.push_back(walk);
    parent(kRoot);
    for (const char* step : {"SetParent", "SetEntry", "RemoveEntry"}) {
        EXPECT_EQ(next(), step);
        EXPECT_EQ(calls.size(), 1u);
        ok();
    }
    EXPECT_EQ(answer(first), "Ok");
    ASSERT_EQ(next(), "GetParent");
    parent(e); // the first move has closed what would be a loop
    ok();
    ok();
    EXPECT_EQ(answer(second), "Invalid");
    nothingLeft();
}

// Else both have walked when neither has moved, and close a loop together.
TEST_F(CoordinatorTest, AnEarlierMoveDoesNotTakeTheMoveLockFromALaterOneThatHasIt) {
    const InodeId e = InodeId::make(InodeType::kDirectory, 9, ShardId{0});
    const u64 first = ask(rename(kP, "d", kQ, "d"));
    locked(kD);
    ASSERT_EQ(next(), "LockEntry");
    const Call late = calls.front();
    calls.clear();
    const u64 second = ask(rename(kQ, "e", kP, "e"));
    locked(e);
    locked({});
    ASSERT_EQ(next(), "GetParent");
    const Call walk = calls.front();
    calls.clear();
    calls.push_back(late);
    locked({});
    EXPECT_EQ(next(), "") << "the other one is on its way up";
    calls.push_back(walk);
    parent(kRoot);
    for (const char* step : {"SetParent", "SetEntry", "RemoveEntry"}) {
        EXPECT_EQ(next(), step);
        ok();
    }
    EXPECT_EQ(answer(second), "Ok");
    ASSERT_EQ(next(), "GetParent");
    parent(kD);
    ok();
    ok();
    EXPECT_EQ(answer(first), "Invalid");
    nothingLeft();
}

TEST_F(CoordinatorTest, AnIdOfAShardThatIsNotThereIsRefusedAndNotAwaited) {
    const u64 id = ask(makeDir("a", InodeId::make(InodeType::kDirectory, 1, ShardId{999})));
    ok();
    EXPECT_EQ(next(), "DropDir");
    ok();
    EXPECT_EQ(answer(id), "NotFound");
    const u64 moved = ask(rename(kP, "d", kQ, "e"));
    locked(kD);
    locked({});
    parent(InodeId::make(InodeType::kDirectory, 1, ShardId{999}));
    ok();
    ok();
    EXPECT_EQ(answer(moved), "NotFound");
    nothingLeft();
}

TEST_F(CoordinatorTest, ARestartAfterAnyStepGoesOnWithTheSameStep) {
    Link link;
    link.dir = kQ;
    link.name = "l";
    link.inode = kF;
    Exchange exchange;
    exchange.dir_a = kP;
    exchange.name_a = "a";
    exchange.dir_b = kQ;
    exchange.name_b = "b";
    UndeleteDir undelete;
    undelete.dir = kP;
    undelete.name = "gone";
    undelete.inode = kD;
    undelete.to_dir = kQ;
    undelete.to_name = "back";
    std::vector<u64> ids;
    auto finish = [&](u64 id) {
        for (int i = 0; i < 40 && answer(id) == "none"; i++) {
            ASSERT_NE(next(), "");
            const std::string before = calls.front().body;
            restart();
            ASSERT_EQ(calls.size(), 1u);
            EXPECT_EQ(calls.front().body, before);
            if (next() == "GetParent") parent(kRoot);
            else if (next() == "LockEntry") locked(kF);
            else ok();
        }
        EXPECT_EQ(answer(id), "Ok");
    };
    finish(ask(link));
    finish(ask(exchange));
    finish(ask(undelete));
    finish(ask(makeDir("m")));
    finish(ask(rename(kP, "f", kQ, "g")));
    nothingLeft();
}

TEST_F(CoordinatorTest, NoAnswerOfAShardStopsOrBlocksIt) {
    Random random(3);
    std::vector<u64> ids;
    for (int i = 0; i < 60; i++) {
        ids.push_back(ask(makeDir("n" + std::to_string(i % 7))));
        ids.push_back(ask(removeDir("n" + std::to_string(i % 5))));
        ids.push_back(ask(rename(kP, "n" + std::to_string(i % 7), kQ, "n" + std::to_string(i % 3))));
    }
    for (int i = 0; i < 200'000 && (i < 3000 || answers.size() < ids.size()); i++) {
        if (calls.empty()) {
            age += kRetryMostNs;
            run();
            if (calls.empty()) break;
        }
        const bool odd = i < 3000; // then shards come to their senses
        std::string bytes(random.below(40), 'x');
        for (char& c : bytes) c = static_cast<char>(random.below(256));
        if (odd && random.oneIn(3)) reply(Code(1 + random.below(27)));
        else if (odd && random.oneIn(3)) reply(bytes);
        else if (odd && random.oneIn(20)) reply(std::string(100'000, 'y'));
        else if (next() == "GetParent") parent(kRoot);
        else if (next() == "LockEntry") locked(random.oneIn(2) ? kD : kF);
        else ok();
        if (random.oneIn(100)) restart();
    }
    for (u64 id : ids) EXPECT_NE(answer(id), "none");
    nothingLeft();
}

TEST_F(CoordinatorTest, BytesThatAreNoRequestAreRefused) {
    Random random(5);
    for (int i = 0; i < 20'000; i++) {
        std::string bytes(random.below(80), 'x');
        for (char& c : bytes) c = static_cast<char>(random.below(256));
        const raft::Command c{ClientId{7}, RequestId{1}, false, false, bytes};
        if (machine->classify(bytes) == raft::StateMachine::Class::kQuery) (void)machine->query(kv, now(), c, true);
        else (void)apply(bytes, RequestId{1'000'000u + static_cast<u64>(i)}, false);
    }
    StepDone forged;
    EXPECT_EQ(apply(net::encodeRequest(forged), RequestId{1}, false)->error.code, Code::NotPermitted);
}

TEST_F(CoordinatorTest, TooManyThatWaitForOneNameAreBusy) {
    const std::string body = net::encodeRequest(makeDir("x"));
    for (u32 i = 0; i <= kMaxRunning; i++) ASSERT_FALSE(apply(body, RequestId{i + 1}, false));
    EXPECT_EQ(apply(body, RequestId{1'000'000}, false)->error.code, Code::Busy);
}

} // namespace
} // namespace skua::cdc
