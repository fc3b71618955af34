// The rules of a replicated group (raft/group.h), each by name: elections and replication. Leases, members,
// snapshots: group_lead_test.cc; what chance finds: group_world_test.cc.
#include "tests/unit/group_fixture.h"

namespace skua::raft {
namespace {

// --- one member -------------------------------------------------------------------------------------------

TEST_F(GroupTest, AloneCommitsWithOneWriteAndNoMessage) {
    form(1);
    sync(1);
    ASSERT_TRUE(g(1).ready());
    EXPECT_EQ(nodes[1].applied.size(), 1u);
    EXPECT_EQ(g(1).term(), Term{1});
    const u64 before = nodes[1].durable;
    propose(1, "a");
    propose(1, "b");
    step(1, EndTurn{});
    EXPECT_FALSE(has(1, "a"));
    sync(1);
    EXPECT_TRUE(has(1, "a") && has(1, "b"));
    EXPECT_EQ(nodes[1].durable, before + 2); // a number a step: the owner puts them into one write
    EXPECT_TRUE(nodes[1].held.empty());
    EXPECT_TRUE(g(1).mayRead(Monotonic{clock + kHour}));
}
TEST_F(GroupTest, AloneLeadsAgainAtOnceAfterARestart) {
    form(1);
    sync(1);
    propose(1, "a");
    sync(1);
    nodes[1].rows = {};
    nodes[1].applied.clear();
    start(1);
    step(1, Tick{});
    EXPECT_FALSE(g(1).ready());
    EXPECT_EQ(nodes[1].numbers.size(), 1u); // vote and first entry together
    sync(1);
    EXPECT_TRUE(g(1).ready());
    EXPECT_TRUE(has(1, "a"));
    EXPECT_EQ(g(1).term(), Term{2});
}
TEST_F(GroupTest, IsMadeFromNothingOnce) {
    form(3);
    EXPECT_EQ(nodes[1].refused.code, Code::Ok);
    Format f;
    f.group = kGroup;
    f.members = {member(1)};
    Entry e;
    e.payload.value = wire::encode(f);
    step(1, MakeGroup{e});
    EXPECT_EQ(nodes[1].refused.code, Code::Exists);
    start(4);
    step(4, MakeGroup{e}); // it is not among them
    EXPECT_EQ(nodes[4].refused.code, Code::Invalid);
    EXPECT_TRUE(g(4).empty());
}

// --- elections --------------------------------------------------------------------------------------------

TEST_F(GroupTest, ElectsALeaderThatReadsOnlyAfterAnEntryOfItsOwnTerm) {
    form(3);
    for (u32 n = 1; n <= 3; n++) sync(n);
    for (int i = 0; i < 1000 && leader() == 0; i++) {
        clock += 2 * kMillisecond;
        for (u32 n = 1; n <= 3; n++) step(n, Tick{}), sync(n);
        if (leader() == 0) deliver();
    }
    const u32 l = leader();
    ASSERT_NE(l, 0u);
    EXPECT_FALSE(g(l).ready());
    EXPECT_FALSE(g(l).mayRead(Monotonic{clock}));
    settle();
    EXPECT_TRUE(g(l).mayRead(Monotonic{clock}));
    EXPECT_EQ(nodes[l].applied.back().term, g(l).term());
}
TEST_F(GroupTest, AVoteIsDurableBeforeItIsTold) {
    form(3);
    settle();
    nodes[2].slowDisk = true;
    clock += kHour;
    tell(1, 2, 5, AskVote{false, false, Index{9}, Term{4}});
    auto vote = wants<Vote>(2, 1);
    ASSERT_TRUE(vote && vote->first.granted);
    EXPECT_GT(vote->second, nodes[2].durable);
    // And not forgotten: after a crash that kept the write the other candidate gets nothing.
    sync(2);
    crash(2);
    start(2);
    clock += kHour;
    tell(3, 2, 5, AskVote{false, false, Index{9}, Term{4}});
    EXPECT_FALSE(wants<Vote>(2, 3)->first.granted);
}
TEST_F(GroupTest, VotesOnceATerm) {
    form(3);
    settle();
    clock += kHour;
    tell(1, 2, 5, AskVote{false, false, Index{9}, Term{4}});
    tell(3, 2, 5, AskVote{false, false, Index{9}, Term{4}});
    tell(1, 2, 5, AskVote{false, false, Index{9}, Term{4}});
    EXPECT_TRUE(wants<Vote>(2, 1)->first.granted); // again the same
    EXPECT_FALSE(wants<Vote>(2, 3)->first.granted);
}
TEST_F(GroupTest, VotesForNobodyWhoseLogIsBehind) {
    const u32 l = lead(3), f = other(l);
    propose(l, "a");
    run(kBeat);
    cutOff(f);
    clock += kHour;
    tell(other(l, f), f, 50, AskVote{false, false, Index{g(f).log().last().value - 1}, g(f).log().lastTerm()});
    EXPECT_FALSE(wants<Vote>(f, other(l, f))->first.granted);
    tell(other(l, f), f, 51, AskVote{false, false, Index{1000}, Term{1}});
    EXPECT_FALSE(wants<Vote>(f, other(l, f))->first.granted);
}
TEST_F(GroupTest, WhoCannotWinDisturbsNobody) { // pre-vote
    const u32 l = lead(3), f = other(l);
    const Term term = g(l).term();
    cutOff(f);
    run(5 * kSecond);
    EXPECT_EQ(g(f).term(), term);
    cut.clear();
    run(kSecond);
    EXPECT_EQ(leader(), l);
    EXPECT_EQ(g(l).term(), term);
    EXPECT_TRUE(g(f).follows(member(l), term));
}
TEST_F(GroupTest, NoVoteWithinATimeoutOfHearingTheLeader) {
    const u32 l = lead(3), f = other(l), c = other(l, f);
    run(kBeat);
    const Term term = g(f).term();
    cutOff(l);
    tell(c, f, 99, AskVote{false, false, Index{1000}, Term{98}});
    EXPECT_FALSE(wants<Vote>(f, c));
    EXPECT_EQ(g(f).term(), term);
    tell(c, f, 99, AskVote{true, false, Index{1000}, Term{98}});
    EXPECT_FALSE(wants<Vote>(f, c)->first.granted);
    clock += kE;
    tell(c, f, 99, AskVote{false, false, Index{1000}, Term{98}});
    EXPECT_TRUE(wants<Vote>(f, c)->first.granted);
}
TEST_F(GroupTest, NoVoteWithinATimeoutOfItsOwnStart) {
    const u32 l = lead(3), f = other(l), c = other(l, f);
    clock += kHour;
    start(f);
    tell(c, f, 99, AskVote{false, false, Index{1000}, Term{98}});
    EXPECT_FALSE(wants<Vote>(f, c));
    clock += kE - 1;
    tell(c, f, 99, AskVote{false, false, Index{1000}, Term{98}});
    EXPECT_FALSE(wants<Vote>(f, c));
    clock += 1;
    tell(c, f, 99, AskVote{false, false, Index{1000}, Term{98}});
    EXPECT_TRUE(wants<Vote>(f, c)->first.granted);
}
TEST_F(GroupTest, ALeaderThatHearsNoMajorityStepsDown) {
    const u32 l = lead(3);
    cutOff(l);
    run(kE);
    EXPECT_FALSE(g(l).mayRead(Monotonic{clock}));
    run(2 * kE);
    EXPECT_FALSE(g(l).leads());
    const u32 next = leader();
    ASSERT_NE(next, 0u);
    cut.clear();
    run(kSecond);
    EXPECT_EQ(leader(), next);
    EXPECT_TRUE(g(l).follows(member(next), g(next).term()));
}
TEST_F(GroupTest, TimeoutsDifferBySeedAndAreTheSameForTheSame) {
    auto firstTimeout = [&](u64 with) {
        seed = with;
        nodes.clear();
        form(3);
        return g(1).wakeAt();
    };
    EXPECT_EQ(firstTimeout(1), firstTimeout(1));
    EXPECT_NE(firstTimeout(1), firstTimeout(2));
}

// --- replication ------------------------------------------------------------------------------------------

TEST_F(GroupTest, CommitsWhatAMajorityHasOnDisk) {
    const u32 l = lead(3), a = other(l), b = other(l, a);
    nodes[a].slowDisk = nodes[b].slowDisk = true;
    propose(l, "x");
    settle();
    EXPECT_FALSE(has(l, "x")); // in memory of all, on one disk
    sync(a);
    settle();
    EXPECT_TRUE(has(l, "x"));
    nodes[b].slowDisk = false;
    run(2 * kBeat);
    EXPECT_TRUE(has(a, "x") && has(b, "x"));
}
TEST_F(GroupTest, SendsWhileItsOwnWriteIsUnderWay) {
    const u32 l = lead(3), a = other(l), b = other(l, a);
    nodes[l].slowDisk = true;
    propose(l, "x");
    settle();
    EXPECT_EQ(g(l).committed(), g(l).log().last()); // two others have it
    EXPECT_FALSE(has(l, "x"));                      // our rows are never ahead of our log
    run(2 * kBeat);
    EXPECT_TRUE(has(a, "x") && has(b, "x"));
    sync(l);
    EXPECT_TRUE(has(l, "x"));
}
TEST_F(GroupTest, AnAcknowledgementWaitsForTheVeryWriteOfTheEntry) {
    const u32 l = lead(3), f = other(l);
    cutOff(f);
    nodes[f].slowDisk = true;
    const Index last = g(f).log().last();
    const Term last_term = g(f).log().lastTerm();
    auto entry = [&](u64 index, u64 term, const std::string& what) {
        Entry e;
        e.group = kGroup;
        e.index = Index{index};
        e.term = Term{term};
        e.wall = Wall{~0ull >> 2};
        e.kind = EntryKind::kCommand;
        e.payload.value = what;
        return Bytes{wire::encode(e)};
    };
    // A leader of term 20 writes; before that is durable, one of term 21 replaces it.
    tell(7, f, 20, Append{last, last_term, {}, {}, {entry(last.value + 1, 20, "old"), entry(last.value + 2, 20, "old too")}});
    const u64 first = wants<Appended>(f, 7)->second;
    ASSERT_GT(first, 0u);
    tell(8, f, 21, Append{last, last_term, {}, {}, {entry(last.value + 1, 21, "new")}});
    const u64 second = wants<Appended>(f, 8)->second;
    EXPECT_GT(second, first);
    // The first write is durable: it proves nothing of the new entry.
    step(f, Durable{first});
    EXPECT_EQ(g(f).durable(), last);
    tell(8, f, 21, Append{last, last_term, {}, {}, {entry(last.value + 1, 21, "new")}});
    EXPECT_EQ(wants<Appended>(f, 8)->second, second);
    // Nor does a heartbeat claim it.
    tell(8, f, 21, Append{Index{last.value + 1}, Term{21}, {}, {}, {}});
    EXPECT_EQ(wants<Appended>(f, 8)->first.durable, last);
    step(f, Durable{second});
    EXPECT_EQ(g(f).durable().value, last.value + 1);
}
TEST_F(GroupTest, EntriesOfEarlierTermsAreNotCommittedByCounting) {
    const u32 l = lead(3), a = other(l), b = other(l, a);
    // An entry of the old term reaches nobody; its maker leads again later, and the new term's first entry is lost.
    cutOff(l);
    propose(l, "old");
    run(3 * kE);
    ASSERT_TRUE(!g(l).leads());
    const Index old = g(l).log().last();
    cutOff(a);
    cutOff(b);
    clock += kHour;
    const u64 term = 40;
    // It stands and wins in a later term; only its old entry is acknowledged by another.
    for (int i = 0; i < 10 && g(l).role() != Group::Role::kPreCandidate; i++) clock += kE, step(l, Tick{});
    (void)term;
    const u64 next = g(l).term().value + 1;
    tell(a, l, next, Vote{true, true});
    sync(l);
    tell(a, l, next, Vote{false, true});
    ASSERT_TRUE(g(l).leads());
    sync(l);
    Appended answer;
    answer.agrees = true;
    answer.up_to = answer.durable = old;
    tell(a, l, next, answer);
    EXPECT_LT(g(l).committed(), old);
    answer.up_to = answer.durable = g(l).log().last();
    tell(a, l, next, answer);
    EXPECT_EQ(g(l).committed(), g(l).log().last());
    EXPECT_TRUE(has(l, "old"));
}
TEST_F(GroupTest, WhatWasNotCommittedIsReplacedByTheNewLeaders) {
    const u32 l = lead(3);
    cutOff(l);
    for (int i = 0; i < 20; i++) propose(l, "lost " + std::to_string(i));
    run(3 * kSecond);
    const u32 next = leader();
    ASSERT_NE(next, l);
    propose(next, "kept");
    run(kBeat);
    cut.clear();
    run(kSecond);
    EXPECT_TRUE(has(l, "kept"));
    EXPECT_FALSE(has(l, "lost 0"));
    EXPECT_EQ(g(l).log().last(), g(next).log().last());
}
TEST_F(GroupTest, ACommittedEntryIsNeverReplacedWhoeverSaysSo) {
    const u32 l = lead(3), f = other(l);
    propose(l, "a");
    run(3 * kBeat);
    ASSERT_TRUE(has(f, "a"));
    const Index last = g(f).log().last();
    Entry e;
    e.group = kGroup;
    e.index = last;
    e.term = Term{77};
    e.kind = EntryKind::kCommand;
    tell(9, f, 77, Append{Index{last.value - 1}, g(f).log().termAt(Index{last.value - 1}), {}, {}, {Bytes{wire::encode(e)}}});
    EXPECT_EQ(g(f).log().last(), last);
    EXPECT_NE(g(f).log().lastTerm(), Term{77});
}
TEST_F(GroupTest, LogsThatPartFarBackMeetInOneTryATerm) {
    const u32 l = lead(3);
    cutOff(l);
    for (int i = 0; i < 500; i++) propose(l, "lost");
    run(3 * kSecond);
    const u32 next = leader();
    for (int i = 0; i < 300; i++) propose(next, "kept");
    run(kBeat);
    cut.clear();
    sent.clear();
    run(kSecond);
    std::size_t refusals = 0;
    for (auto& m : sent)
        if (auto* a = std::get_if<Appended>(&m.body); a && m.from == member(l) && !a->agrees) refusals++;
    EXPECT_LE(refusals, 3u);
    EXPECT_TRUE(has(l, "kept"));
}
TEST_F(GroupTest, ProposalsOfATurnTravelTogetherAndFlowIsBounded) {
    append = 1000;
    window = 3000;
    const u32 l = lead(3), f = other(l);
    settle();
    sent.clear();
    nodes[f].slowDisk = true; // acknowledges nothing
    for (int i = 0; i < 100; i++) propose(l, std::string(60, 'x'));
    settle();
    std::size_t messages = 0, bytes = 0;
    for (auto& m : sent) {
        auto* a = std::get_if<Append>(&m.body);
        if (!a || m.to != member(f) || a->entries.empty()) continue;
        messages++;
        std::size_t size = 0;
        for (auto& e : a->entries) size += e.value.size();
        EXPECT_LE(size, 1000u);
        EXPECT_GT(a->entries.size(), 1u);
        bytes += size;
    }
    EXPECT_GE(messages, 3u);
    EXPECT_LE(bytes, 4000u);
    nodes[f].slowDisk = false;
    settle();
    run(2 * kBeat);
    EXPECT_EQ(g(f).log().last(), g(l).log().last());
}
TEST_F(GroupTest, WhatIsLostIsSentAgain) {
    const u32 l = lead(3), f = other(l);
    cut.insert({l, f});
    propose(l, "a");
    settle();
    propose(l, "b");
    settle();
    cut.clear();
    run(4 * kBeat);
    EXPECT_TRUE(has(f, "a") && has(f, "b"));
}
TEST_F(GroupTest, TooMuchUncommittedIsRefused) {
    const u32 l = lead(3);
    cutOff(l);
    std::string big(7u << 20, 'x');
    for (int i = 0; i < 12 && nodes[l].refused.code == Code::Ok; i++) propose(l, big);
    EXPECT_EQ(nodes[l].refused.code, Code::Busy);
    propose(l, std::string(kMaxPayloadBytes + 1, 'x'));
    EXPECT_EQ(nodes[l].refused.code, Code::TooLarge);
    propose(other(l), "x");
    EXPECT_EQ(nodes[other(l)].refused.code, Code::NotLeader);
    EXPECT_EQ(nodes[other(l)].refused.leader, member(l).server);
}

} // namespace
} // namespace skua::raft
