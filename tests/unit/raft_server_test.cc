// The host, purely: exactly once, whatever is repeated, lost or forgotten; nothing answered before it is durable.
#include <gtest/gtest.h>
#include <algorithm>
#include "core/store/kv_memory.h"
#include "raft/server.h"
#include "raft/server_leader.h"

namespace skua::raft {
namespace {

// Adds numbers; "pend" stays pending until "end"; "bad" is refused after writing; "slow" queries wait.
class Adder final : public StateMachine {
public:
    Class classify(std::string_view body) const override {
        return body.starts_with("get") || body.starts_with("wait") ? Class::kQuery : Class::kCommand;
    }
    void apply(store::Transaction& t, Time, const Command& c, Outcome& out) override {
        u64 sum = value(t);
        if (c.body == "bad") {
            t.put("sum", "999");
            out.answer = Answer{Code::Invalid, {}};
        } else if (c.body == "pend") {
            t.put("pending", wire::encode(c.client) + wire::encode(c.request));
        } else if (c.body == "end") {
            ClientId client;
            RequestId request;
            const std::string who = t.get("pending").value_or("");
            if (who.size() == 16 && wire::decode(std::string_view(who).substr(0, 8), client) &&
                wire::decode(std::string_view(who).substr(8), request))
                out.late.push_back({client, request, {{}, "ended"}});
            out.answer = Answer{};
        } else {
            sum += c.body.size();
            t.put("sum", std::to_string(sum));
            out.answer = Answer{{}, std::to_string(sum)};
        }
    }
    std::optional<Answer> query(const store::Reader& r, Time, const Command& c, bool last) override {
        if (c.body == "wait" && value(r) < 3 && !last) return std::nullopt;
        return Answer{{}, std::to_string(value(r))};
    }
    static u64 value(const store::Reader& r) { return std::stoull(r.get("sum").value_or("0")); }
};

const GroupId kGroup = skua::groupOf(ShardId{0});

class ServerTest : public testing::Test {
protected:
    ServerTest() {
        start();
        Format format;
        format.cluster = ClusterId{1};
        format.group = kGroup;
        host(format);
        turn();
        EXPECT_TRUE(server->leads(kGroup));
    }
    void start() {
        server = std::make_unique<Server>(kv, [](GroupId) { return std::make_unique<Adder>(); }, 1);
        for (const auto& r : log) server->recover(r.kind, r.group, r.payload);
        server->begin(now(), out);
        turn();
    }
    // Everything not durable is lost; rows go back to the last flush; the log is replayed.
    void crash() {
        kv.crash();
        server.reset();
        out = {};
        writes.clear();
        start();
    }
    Moment now() { return {Monotonic{clock}, Wall{1'700'000'000 * kSecond + clock}}; }
    void host(const Format& format) { server->hostRequest(now(), ++tokens, wire::encode(HostRequest{format}), out); }
    u64 ask(ClientId client, u64 request, const std::string& body, u64 lowest = 0, std::optional<Age> base = {}) {
        net::GroupRequest r;
        r.group = kGroup;
        r.client = client;
        r.request = RequestId{request};
        r.lowest = RequestId{lowest ? lowest : request};
        r.base = base ? *base : age();
        r.body.value = body;
        server->request(now(), ++tokens, client.value == 0, std::move(r), out);
        return tokens;
    }
    Age age() { return server->status(now())[0].age; }
    // To the log, but not yet durable.
    void toLog() {
        server->flush(now(), out);
        if (out.write) writes.emplace_back(out.write, out.log);
        out.write = 0;
        out.log.clear();
    }
    void syncAll() {
        for (auto& [number, records] : std::exchange(writes, {})) {
            log.insert(log.end(), records.begin(), records.end());
            server->durable(now(), number, out);
        }
    }
    void turn() {
        for (int i = 0; i < 4; i++) {
            toLog();
            syncAll();
        }
    }
    std::optional<net::GroupReply> reply(u64 token) {
        for (auto& r : out.replies)
            if (r.token == token) return r.reply;
        return std::nullopt;
    }
    std::string answer(u64 token) {
        auto r = reply(token);
        if (!r) return "none";
        return r->error.code == Code::Ok ? r->body.value : std::string(name(r->error.code));
    }

    store::KvMemory kv;
    std::unique_ptr<Server> server;
    Effects out;
    std::vector<RecordToWrite> log;                                 // durable
    std::vector<std::pair<u64, std::vector<RecordToWrite>>> writes; // under way
    u64 clock = kHour, tokens = 0;
    const ClientId client{7};
};

TEST_F(ServerTest, NothingIsAnsweredBeforeItIsDurable) {
    const u64 t = ask(client, 1, "ab");
    toLog();
    EXPECT_EQ(answer(t), "none");
    syncAll();
    EXPECT_EQ(answer(t), "2");
}

TEST_F(ServerTest, ARepeatGetsTheFirstAnswerAndChangesNothing) {
    ask(client, 1, "ab");
    turn();
    const u64 again = ask(client, 1, "ab");
    EXPECT_EQ(answer(again), "2");
    const u64 next = ask(client, 2, "c");
    turn();
    EXPECT_EQ(answer(next), "3");
}

TEST_F(ServerTest, ARepeatWhileTheFirstIsInTheLogGetsTheSameAnswer) {
    const u64 a = ask(client, 1, "ab"), b = ask(client, 1, "ab");
    turn();
    EXPECT_EQ(answer(a), "2");
    EXPECT_EQ(answer(b), "2");
    EXPECT_EQ(Adder::value(store::Prefixed(kv, std::string("\0\2\0\0", 4))), 2u);
}

TEST_F(ServerTest, AnswersSurviveACrashAndAReplayAppliesOnce) {
    ask(client, 1, "ab");
    turn();
    for (int i = 0; i < 3; i++) {
        if (i == 1) EXPECT_TRUE(kv.flush());
        crash();
        const u64 again = ask(client, 1, "ab");
        turn();
        EXPECT_EQ(answer(again), "2");
    }
}

TEST_F(ServerTest, WhatWasNotDurableIsGoneAndMayBeAskedAgain) {
    ask(client, 1, "ab");
    toLog();
    crash();
    const u64 again = ask(client, 1, "ab");
    turn();
    EXPECT_EQ(answer(again), "2");
}

TEST_F(ServerTest, ARefusalChangesNothingAndIsRemembered) {
    const u64 t = ask(client, 1, "bad");
    turn();
    EXPECT_EQ(answer(t), "Invalid");
    const u64 get = ask(ClientId{0}, 0, "get");
    EXPECT_EQ(answer(get), "0");
    const u64 again = ask(client, 1, "bad");
    EXPECT_EQ(answer(again), "Invalid");
}

TEST_F(ServerTest, BelowTheLowestUnansweredIdARequestIsExpired) {
    ask(client, 1, "a");
    ask(client, 2, "b");
    turn();
    ask(client, 3, "c", 3);
    turn();
    const u64 late = ask(client, 1, "a");
    turn();
    EXPECT_EQ(answer(late), "Expired");
}

TEST_F(ServerTest, ARequestFirstSentOverFiveMinutesAgoIsExpired) {
    const Age old = age();
    clock += 6 * kMinute;
    const u64 t = ask(client, 1, "a", 1, old);
    turn();
    EXPECT_EQ(answer(t), "Expired");
}

TEST_F(ServerTest, AnAnswerIsKeptAsLongAsTheQuestionMayBeRepeated) {
    const Age base = age();
    ask(client, 1, "ab", 1, base);
    turn();
    clock += 4 * kMinute;
    for (u64 i = 0; i < 100; i++) {
        ask(ClientId{100 + i}, 1, "x");
        turn();
    }
    const u64 again = ask(client, 1, "ab", 1, base);
    turn();
    EXPECT_EQ(answer(again), "2");
}

TEST_F(ServerTest, OldAnswersAreForgottenInTheEnd) {
    for (u64 i = 0; i < 50; i++) ask(ClientId{1000 + i}, 1, "x");
    turn();
    const std::size_t before = kv.size();
    clock += 11 * kMinute;
    for (u64 i = 0; i < 60; i++) {
        ask(client, i + 1, "y");
        turn();
    }
    EXPECT_LT(kv.size(), before - 80); // 150 rows of others go, 60 of ours come
}

TEST_F(ServerTest, AllAnswersOfAClientThatNeverSaysWhatItHeardAreForgottenInTheEnd) {
    for (u64 i = 1; i <= 300; i++) {
        ask(ClientId{70}, i, "x", 1);
        if (i % 10 == 0) turn();
    }
    clock += 11 * kMinute;
    for (u64 i = 1; i <= 20; i++) { // each entry forgets a bounded number
        ask(client, i, "y", i);
        turn();
    }
    std::size_t left = 0;
    const store::Prefixed rows(kv, prefixOf(kGroup));
    Answers::scan(rows, ClientKey{ClientId{70}}, [&](const AnswerKey&, const StoredAnswer&) { return ++left > 0; });
    EXPECT_EQ(left, 0u);
    EXPECT_FALSE(Clients::has(rows, {ClientId{70}}));
    std::size_t to_forget = 0;
    Forgets::scan(rows, Forgets::All{}, [&](const ForgetKey&, const Nothing&) { return ++to_forget > 0; });
    EXPECT_EQ(to_forget, 1u); // the other client
}

TEST_F(ServerTest, APendingRequestIsAnsweredWhenItsTransactionEnds) {
    const u64 t = ask(client, 1, "pend");
    turn();
    EXPECT_EQ(answer(t), "none");
    crash();
    const u64 again = ask(client, 1, "pend");
    turn();
    EXPECT_EQ(answer(again), "none");
    ask(ClientId{8}, 1, "end");
    turn();
    EXPECT_EQ(answer(again), "ended");
    EXPECT_EQ(answer(ask(client, 1, "pend")), "ended");
}

TEST_F(ServerTest, AWaitingQueryIsAnsweredWhenTheRowsChangeOrTimeIsUp) {
    const u64 w = ask(ClientId{0}, 0, "wait");
    turn();
    EXPECT_EQ(answer(w), "none");
    ask(client, 1, "abc");
    turn();
    EXPECT_EQ(answer(w), "3");
    crash();
}

TEST_F(ServerTest, AFormatIsDoneOnceAndAnotherOneRefused) {
    Format same;
    same.cluster = ClusterId{1};
    same.group = kGroup;
    host(same);
    EXPECT_TRUE(out.host_replies.back().reply);
    same.config.value = "other";
    host(same);
    EXPECT_EQ(out.host_replies.back().reply.code(), Code::Exists);
}

TEST_F(ServerTest, AgeGoesOnAcrossACrashAndNeverBack) {
    clock += 20 * kSecond;
    ask(client, 1, "a");
    turn();
    const Age before = age();
    crash();
    EXPECT_GE(age(), Age{before.value - kIdleAgeNs});
    const u64 t = ask(client, 2, "b");
    turn();
    EXPECT_EQ(answer(t), "2");
    EXPECT_GE(age(), before);
}

TEST_F(ServerTest, AGroupThatIsNotFormattedSaysSo) {
    net::GroupRequest r;
    r.group = skua::groupOf(ShardId{5});
    r.body.value = "get";
    server->request(now(), ++tokens, true, std::move(r), out);
    EXPECT_EQ(answer(tokens), "Unavailable");
}

TEST_F(ServerTest, AChangeWithoutAnIdIsRefusedFromClients) {
    const u64 t = ask(client, 0, "a");
    EXPECT_EQ(answer(t), "Invalid");
}

TEST_F(ServerTest, RowsThatCannotBeWrittenStopTheGroupAndNobodyIsAnswered) {
    const u64 t = ask(client, 1, "a");
    kv.refuse(true);
    turn();
    // Its entry is committed: others, or this one after a restart, apply it. Who waits is hung up on, and asks again.
    EXPECT_EQ(std::count(out.lost.begin(), out.lost.end(), t), 1);
    EXPECT_TRUE(out.rows_refused); // the process ends, and its start replays
    EXPECT_FALSE(server->leads(kGroup));
    EXPECT_EQ(answer(ask(client, 2, "b")), "Unavailable");
    kv.refuse(false);
    crash();
    const u64 again = ask(client, 1, "a");
    turn();
    EXPECT_EQ(answer(again), "1");
}

TEST_F(ServerTest, AWriteToTheLogIsBoundedAndTheRestFollows) {
    std::vector<u64> asked;
    for (u64 i = 0; i < 10; i++) asked.push_back(ask(ClientId{10 + i}, 1, std::string(5u << 20, 'x')));
    for (int i = 0; i < 20; i++) {
        server->flush(now(), out);
        std::size_t bytes = 0;
        for (const auto& record : out.log) bytes += record.payload.size();
        EXPECT_LE(bytes, kMaxWriteBytes + 1000);
        if (out.write) writes.emplace_back(out.write, out.log);
        out.write = 0;
        out.log.clear();
        syncAll();
    }
    for (u64 t : asked) EXPECT_NE(answer(t), "none");
}

TEST_F(ServerTest, WhoRepeatsForEverWaitsWithTheLastQuestionsOnly) {
    const u64 first = ask(client, 1, "pend");
    turn();
    u64 last = 0;
    for (int i = 0; i < 100; i++) last = ask(client, 1, "pend");
    EXPECT_EQ(answer(first), "Busy");
    ask(ClientId{8}, 1, "end");
    turn();
    EXPECT_EQ(answer(last), "ended");
}

TEST_F(ServerTest, AServersRequestThatStaysPendingIsToldSo) {
    const u64 t = ask(ClientId{0}, 0, "pend");
    turn();
    EXPECT_EQ(answer(t), "OutcomeUnknown");
}

TEST_F(ServerTest, WaitingQueriesOfAGroupThatGoesDownAreAnswered) {
    const u64 w = ask(ClientId{0}, 0, "wait");
    ask(client, 1, "a");
    kv.refuse(true);
    turn();
    EXPECT_EQ(answer(w), "Unavailable");
    EXPECT_TRUE(server->anyTrouble()) << "its log must be kept";
}

TEST_F(ServerTest, AParkedQueryIsAnsweredBeforeItsAskerHangsUp) {
    const u64 w = ask(ClientId{0}, 0, "wait");
    clock += kParkNs;
    server->tick(now(), out);
    EXPECT_EQ(answer(w), "0");
}

} // namespace
} // namespace skua::raft
