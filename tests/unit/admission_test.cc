// Admission and overload: who asks too much is told so before anything is done, and nobody else waits for him.
#include <gtest/gtest.h>
#include <algorithm>
#include "core/store/kv_memory.h"
#include "raft/server.h"

namespace skua::raft {
namespace {

using Lane = Admission::Lane;

// --- the class alone ---------------------------------------------------------------------------------------

class AdmissionTest : public testing::Test {
protected:
    void take(u64 connection, Lane lane, const std::string& body = "x", std::size_t bytes = 100, bool server = false) {
        net::GroupRequest r;
        r.group = groupOf(ShardId{0});
        r.body.value = body;
        admission.take(++tokens, {connection, server}, lane, lane == Lane::kReads, std::move(r), bytes);
        from[tokens] = connection;
    }
    // One turn: the connections in the order in which they are looked at.
    std::vector<u64> turn(Admission::Hold hold = {}) {
        std::vector<u64> order;
        admission.beginTurn();
        while (auto asked = admission.next(0, hold)) {
            order.push_back(from[asked->token]);
            admission.answered(asked->token);
            for (u64 also : asked->also) admission.answered(also);
        }
        return order;
    }
    Admission admission{AdmissionLimits{}};
    std::map<u64, u64> from;
    u64 tokens = 0;
};

TEST_F(AdmissionTest, AFloodOfOneClientDelaysAnotherByOneRequestOnly) {
    for (int i = 0; i < 5000; i++) take(1, Lane::kWrites);
    take(2, Lane::kWrites);
    const auto order = turn();
    EXPECT_EQ(order.size(), AdmissionLimits{}.turn_requests) << "a turn ends, whatever waits";
    EXPECT_EQ(order[1], 2u);
}

TEST_F(AdmissionTest, ClientsShareATurnEqually) {
    for (int i = 0; i < 1000; i++) take(1, Lane::kWrites);
    for (int i = 0; i < 1000; i++) take(2, Lane::kReads, "r" + std::to_string(i));
    for (int i = 0; i < 1000; i++) take(3, Lane::kWrites);
    std::map<u64, int> got;
    for (int i = 0; i < 4; i++)
        for (u64 c : turn()) got[c]++;
    EXPECT_EQ(got[1], got[3]);
    EXPECT_EQ(got[2], got[1] + got[3]) << "reads and writes by turns";
}

TEST_F(AdmissionTest, ServersGoBeforeClientsAndTheBackgroundLast) {
    take(1, Lane::kBackground);
    take(2, Lane::kWrites);
    take(3, Lane::kReads);
    take(4, Lane::kSteps, "s", 100, true);
    EXPECT_EQ(turn(), (std::vector<u64>{4, 3, 2, 1}));
}

TEST_F(AdmissionTest, NoClassStarves) {
    for (int i = 0; i < 1000; i++) take(1, Lane::kSteps, "s", 1u << 20, true), take(2, Lane::kWrites), take(3, Lane::kBackground);
    for (int i = 0; i < 3; i++) {
        auto order = turn();
        EXPECT_GT(std::count(order.begin(), order.end(), 1u), 0);
        EXPECT_GT(std::count(order.begin(), order.end(), 2u), 0) << "bytes of others are spent, one is served";
        EXPECT_GT(std::count(order.begin(), order.end(), 3u), 0);
    }
}

TEST_F(AdmissionTest, WhatIsHeldForTheLogWaitsAndTheOthersDoNot) {
    for (int i = 0; i < 10; i++) take(1, Lane::kWrites), take(2, Lane::kReads, std::to_string(i)), take(3, Lane::kBackground);
    EXPECT_EQ(turn({.writes = true, .background = true}), std::vector<u64>(10, 2));
    EXPECT_FALSE(admission.wantsTurn({.writes = true, .background = true})) << "no turn for what only waits";
    EXPECT_EQ(turn({.writes = true}), std::vector<u64>(10, 3));
    EXPECT_TRUE(admission.wantsTurn({}));
    EXPECT_EQ(turn(), std::vector<u64>(10, 1));
}

TEST_F(AdmissionTest, AWindowIsOfOneConnectionAndOpensWithEachAnswer) {
    const AdmissionLimits limits;
    for (std::size_t i = 0; i < limits.window; i++) {
        ASSERT_FALSE(admission.refuse({1, false}, false, 100));
        take(1, Lane::kWrites);
    }
    auto after = admission.refuse({1, false}, false, 100);
    ASSERT_TRUE(after);
    EXPECT_GE(after->ms, kRetryLeastMs);
    EXPECT_FALSE(admission.refuse({2, false}, false, 100));
    EXPECT_FALSE(admission.refuse({1, true}, false, 100)) << "servers have no window: who asks them has";
    admission.answered(1);
    EXPECT_FALSE(admission.refuse({1, false}, false, 100));
    EXPECT_EQ(admission.counters().refused, 1u);
}

TEST_F(AdmissionTest, QueuedBytesAreBoundedAndWhoMattersMoreIsRefusedLater) {
    const std::size_t quarter = AdmissionLimits{}.queued_bytes / 4;
    u64 connection = 10;
    auto fill = [&] { take(connection++, Lane::kWrites, "x", quarter); };
    EXPECT_FALSE(admission.refuse({1, false}, false, 2 * AdmissionLimits{}.queued_bytes)) << "one that is alone";
    fill(), fill();
    EXPECT_TRUE(admission.refuse({1, false}, true, 100));
    EXPECT_FALSE(admission.refuse({1, false}, false, 100));
    fill();
    EXPECT_TRUE(admission.refuse({1, false}, false, 100));
    EXPECT_FALSE(admission.refuse({1, true}, false, 100));
    fill();
    EXPECT_TRUE(admission.refuse({1, true}, false, 100));
    EXPECT_EQ(turn().size(), 1u) << "a turn's bytes are bounded";
    while (!admission.empty()) turn();
    EXPECT_EQ(admission.queuedBytes(), 0u);
}

TEST_F(AdmissionTest, WhatAClosedConnectionAskedIsDroppedUnlessOthersAskTheSame) {
    take(1, Lane::kWrites);
    take(1, Lane::kReads, "alone");
    take(1, Lane::kReads, "same");
    take(2, Lane::kReads, "same");
    std::vector<u64> dropped;
    admission.gone(1, dropped);
    EXPECT_EQ(dropped, (std::vector<u64>{2, 1}));
    admission.beginTurn();
    auto asked = admission.next(0, {});
    ASSERT_TRUE(asked);
    EXPECT_EQ(asked->also, std::vector<u64>{4});
    EXPECT_FALSE(admission.next(0, {}));
    EXPECT_TRUE(admission.empty());
}

// --- in the host ----------------------------------------------------------------------------------------------

int queries = 0;

class Summer final : public StateMachine {
public:
    Class classify(std::string_view body) const override {
        return body.starts_with("get") || body.starts_with("wait") ? Class::kQuery : Class::kCommand;
    }
    void apply(store::Transaction& t, Time, const Command& c, Outcome& out) override {
        const std::string sum = std::to_string(value(t) + c.body.size());
        t.put("sum", sum);
        out.answer = Answer{{}, sum};
    }
    std::optional<Answer> query(const store::Reader& r, Time, const Command& c, bool last) override {
        queries++;
        if (c.body == "wait" && value(r) == 0 && !last) return std::nullopt;
        return Answer{{}, std::to_string(value(r))};
    }
    static u64 value(const store::Reader& r) { return std::stoull(r.get("sum").value_or("0")); }
};

class OverloadTest : public testing::Test {
protected:
    explicit OverloadTest() {
        ServerOptions options{.seed = 1, .clock = {}};
        options.admission.window = 4;
        server = std::make_unique<Server>(kv, [](GroupId) { return std::make_unique<Summer>(); }, options);
        server->begin(now(), out);
        Format format;
        format.cluster = ClusterId{1};
        format.group = group;
        server->hostRequest(now(), ++tokens, wire::encode(HostRequest{format}), out);
        turns(4);
        queries = 0;
    }
    Moment now() { return {Monotonic{kHour}, Wall{1'700'000'000 * kSecond}}; }
    u64 ask(u64 connection, const std::string& body, u64 request = 0) {
        net::GroupRequest r;
        r.group = group;
        if (request) r.client = ClientId{connection};
        r.request = r.lowest = RequestId{request};
        r.base = server->status(now())[0].age;
        r.body.value = body;
        server->arrive(++tokens, {connection, false}, wire::encode(r), out);
        return tokens;
    }
    void turns(int n) {
        for (int i = 0; i < n; i++) {
            server->flush(now(), out);
            out.log.clear();
            if (const u64 write = std::exchange(out.write, 0)) server->durable(now(), write, out);
        }
    }
    std::string answer(u64 token) {
        for (auto& r : out.replies)
            if (r.token == token)
                return r.reply.error.code == Code::Ok ? r.reply.body.value : std::string(name(r.reply.error.code));
        return "none";
    }
    const GroupId group = groupOf(ShardId{0});
    store::KvMemory kv;
    std::unique_ptr<Server> server;
    Effects out;
    u64 tokens = 0;
};

TEST_F(OverloadTest, BusyHasNoEffectAndTheSameRequestIsDoneOnceLater) {
    for (u64 i = 1; i <= 4; i++) ask(1, "a", i);
    const u64 fifth = ask(1, "a", 5);
    EXPECT_EQ(answer(fifth), "Busy") << "at once";
    net::RetryAfter after;
    ASSERT_TRUE(wire::decode(out.replies.back().reply.body.value, after));
    EXPECT_GE(after.ms, kRetryLeastMs);
    turns(4);
    const u64 again = ask(1, "a", 5);
    turns(4);
    EXPECT_EQ(answer(again), "5") << "the refused one has not been done";
    const u64 repeat = ask(1, "a", 5);
    turns(4);
    EXPECT_EQ(answer(repeat), "5") << "nor is it done twice";
    EXPECT_EQ(server->admission().counters().refused, 1u);
}

TEST_F(OverloadTest, AThousandIdenticalLookupsCostOneEvaluation) {
    std::vector<u64> all;
    for (u64 i = 0; i < 1000; i++) all.push_back(ask(10 + i, "get"));
    const u64 other = ask(1, "get ");
    turns(1);
    EXPECT_EQ(queries, 2);
    for (u64 token : all) ASSERT_EQ(answer(token), "0");
    EXPECT_EQ(answer(other), "0");
    EXPECT_EQ(server->admission().counters().joined, 999u);
    EXPECT_EQ(server->admission().counters().admitted, 1001u);
}

TEST_F(OverloadTest, AReadThatComesAfterAWriteWasAnsweredSeesItWhoeverItJoins) {
    const u64 before = ask(2, "get");
    ask(1, "a", 1);
    turns(1);
    turns(3); // the write is answered now
    const u64 first = ask(2, "get"), second = ask(3, "get");
    turns(1);
    EXPECT_EQ(answer(before), "0");
    EXPECT_EQ(answer(first), "1");
    EXPECT_EQ(answer(second), "1");
}

TEST_F(OverloadTest, ThoseWhoWaitForTheSameAreAllAnswered) {
    const u64 a = ask(2, "wait"), b = ask(3, "wait");
    turns(1);
    EXPECT_EQ(answer(a), "none");
    ask(1, "a", 1);
    turns(4);
    EXPECT_EQ(answer(a), "1");
    EXPECT_EQ(answer(b), "1");
    EXPECT_EQ(queries, 2);
}

TEST_F(OverloadTest, AnsweredRequestsOpenTheWindowAgainThoughThousandsPass) {
    for (u64 i = 1; i <= 2000; i++) {
        const u64 token = ask(1, i % 2 ? "a" : "get", i % 2 ? i : 0);
        turns(2);
        ASSERT_NE(answer(token), "Busy");
        ASSERT_NE(answer(token), "none");
        out.replies.clear();
    }
}

TEST_F(OverloadTest, FramesOfRaftAreHeardBeforeRequestsThatCameEarlier) {
    const u64 read = ask(2, "get");
    ask(1, "a", 1);
    PeerFrame frame; // of a host whose clock is two minutes ahead
    frame.from = {ServerId{9}, 9};
    frame.wall = Wall{now().wall.value + 2 * kMinute};
    server->frame(now(), wire::encode(frame), out);
    server->tick(now(), out);
    EXPECT_FALSE(server->clocksAgree()) << "heard";
    EXPECT_EQ(answer(read), "none") << "not yet looked at";
    EXPECT_TRUE(server->wantsTurn());
    turns(1);
    EXPECT_EQ(answer(read), "0");
}

TEST_F(OverloadTest, AFloodWaitsForItsTurnAndNotInTheLogThatAllShare) {
    std::vector<u64> flood;
    for (u64 c = 10; c < 300; c++)
        for (u64 i = 1; i <= 4; i++) flood.push_back(ask(c, "a", i));
    for (int i = 0; i < 20; i++) { // nothing is durable
        server->flush(now(), out, 0);
    }
    EXPECT_EQ(server->admission().queued(), flood.size() - kEnoughInLog);
    EXPECT_FALSE(server->wantsTurn());
    const u64 read = ask(1, "get");
    server->flush(now(), out, 0);
    EXPECT_EQ(answer(read), "0");
    turns(40);
    for (u64 token : flood) ASSERT_NE(answer(token), "none");
    EXPECT_EQ(server->admission().queued(), 0u);
}

TEST_F(OverloadTest, ARequestThatDoesNotDecodeIsInvalid) {
    server->arrive(++tokens, {1, false}, "\xff", out);
    EXPECT_EQ(answer(tokens), "Invalid");
}

} // namespace
} // namespace skua::raft
