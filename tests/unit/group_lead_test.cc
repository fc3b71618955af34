// The rules of a replicated group (raft/group.h), each by name: leases and reads, handing over, members,
// snapshots, liveness that the owner keeps, bytes that come from anywhere.
#include "tests/unit/group_fixture.h"

namespace skua::raft {
namespace {

// --- leases and reads -----------------------------------------------------------------------------------------

TEST_F(GroupTest, ALeaseCountsFromTheSendingOfTheHeartbeat) {
    const u32 l = lead(3), a = other(l), b = other(l, a);
    run(kBeat);
    cutOff(l);
    clock += 10 * kSecond; // nobody else stands here: time stands still for them
    EXPECT_FALSE(g(l).mayRead(Monotonic{clock}));
    Appended answer;
    answer.agrees = true;
    answer.sent = Monotonic{clock - leaseOf(kE)}; // an answer that was long under way
    tell(a, l, g(l).term().value, answer);
    EXPECT_FALSE(g(l).mayRead(Monotonic{clock}));
    answer.sent = Monotonic{clock - leaseOf(kE) + 1};
    tell(b, l, g(l).term().value, answer);
    EXPECT_TRUE(g(l).mayRead(Monotonic{clock}));
    EXPECT_FALSE(g(l).mayRead(Monotonic{clock + 1}));
}
TEST_F(GroupTest, ALeaseEndsBeforeAnybodyElseGetsAVoteWithClocksTenPercentApart) {
    EXPECT_LT(static_cast<double>(leaseOf(kE)) / 0.9, static_cast<double>(kE) / 1.1);
}
TEST_F(GroupTest, ReadIndexNeedsAMajorityThatStillFollows) {
    const u32 l = lead(3), a = other(l);
    propose(l, "a");
    settle();
    cutOff(l);
    clock += kE; // the lease is over
    nodes[l].reads.clear();
    step(l, ReadIndex{7});
    settle();
    EXPECT_TRUE(nodes[l].reads.empty());
    Appended answer;
    answer.agrees = true;
    answer.sent = Monotonic{clock - 1}; // from before the read was asked
    tell(a, l, g(l).term().value, answer);
    EXPECT_TRUE(nodes[l].reads.empty());
    answer.sent = Monotonic{clock};
    tell(a, l, g(l).term().value, answer);
    ASSERT_EQ(nodes[l].reads.size(), 1u);
    EXPECT_TRUE(nodes[l].reads[0].ok);
    EXPECT_EQ(nodes[l].reads[0].index, g(l).committed());
    // One that nobody confirms is refused when the leader steps down.
    clock += kE;
    step(l, ReadIndex{8});
    run(3 * kE);
    ASSERT_EQ(nodes[l].reads.size(), 2u);
    EXPECT_FALSE(nodes[l].reads[1].ok);
}
TEST_F(GroupTest, AFollowerAsksItsLeaderUpToWhereToRead) {
    const u32 l = lead(3), f = other(l);
    propose(l, "a");
    run(kBeat);
    step(f, ReadIndex{3});
    settle();
    ASSERT_EQ(nodes[f].reads.size(), 1u);
    EXPECT_TRUE(nodes[f].reads[0].ok);
    EXPECT_EQ(nodes[f].reads[0].index, g(l).committed());
    cutOff(f);
    step(f, ReadIndex{4});
    run(3 * kE);
    EXPECT_FALSE(nodes[f].reads.back().ok);
}

// --- handing over -----------------------------------------------------------------------------------------

TEST_F(GroupTest, ATransferTakesOneRoundAndTheLeaseIsGivenUpFirst) {
    const u32 l = lead(3), f = other(l);
    run(kBeat);
    ASSERT_TRUE(g(l).mayRead(Monotonic{clock}));
    step(l, Transfer{member(f)});
    EXPECT_FALSE(g(l).mayRead(Monotonic{clock}));
    propose(l, "x");
    EXPECT_EQ(nodes[l].refused.code, Code::Busy);
    settle();
    EXPECT_TRUE(g(f).leads()); // no time has passed
    EXPECT_FALSE(g(l).leads());
    run(kBeat);
    EXPECT_TRUE(g(f).mayRead(Monotonic{clock}));
}
TEST_F(GroupTest, AfterATransferThatFailedTheLeaseIsOfANewTerm) {
    const u32 l = lead(3), f = other(l);
    run(kBeat);
    const Term term = g(l).term();
    cut.insert({l, f}); // StandNow is lost, or comes much later
    step(l, Transfer{member(f)});
    const u64 until = clock + kE;
    while (g(l).term() == term && clock < until + kBeat) {
        EXPECT_FALSE(g(l).mayRead(Monotonic{clock}));
        run(5 * kMillisecond);
    }
    EXPECT_GE(clock, until - 5 * kMillisecond);
    cut.clear();
    run(kBeat);
    ASSERT_TRUE(g(l).leads());
    EXPECT_EQ(g(l).term().value, term.value + 1);
    EXPECT_FALSE(g(l).transferring());
    EXPECT_TRUE(g(l).mayRead(Monotonic{clock}));
    tell(l, f, term.value, StandNow{}); // here it is
    run(kSecond);
    EXPECT_TRUE(g(l).leads());
}
TEST_F(GroupTest, ATransferToWhoIsBehindIsGivenUpAndTheLeaseGoesOn) {
    const u32 l = lead(3), f = other(l);
    run(kBeat);
    const Term term = g(l).term();
    cut.insert({f, l});
    propose(l, "a");
    step(l, Transfer{member(f)}); // it never has all: it is never told
    run(2 * kE);
    EXPECT_EQ(g(l).term(), term);
    EXPECT_TRUE(g(l).mayRead(Monotonic{clock}));
}
TEST_F(GroupTest, WhoMayNotLeadHandsOver) {
    const u32 l = lead(3);
    step(l, MayLead{false});
    settle();
    EXPECT_NE(leader(), l);
    EXPECT_NE(leader(), 0u);
    run(2 * kSecond);
    EXPECT_NE(leader(), l);
}

// --- members ----------------------------------------------------------------------------------------------

TEST_F(GroupTest, AServerEntersAsALearnerAndThenVotes) {
    const u32 l = lead(3);
    for (int i = 0; i < 50; i++) propose(l, "entry");
    run(kBeat);
    start(4);
    Members m = g(l).members();
    m.voters.push_back(member(4));
    step(l, ChangeMembers{m});
    EXPECT_EQ(nodes[l].refused.code, Code::Invalid); // a learner first
    m = g(l).members();
    m.learners.push_back(member(4));
    step(l, ChangeMembers{m});
    EXPECT_EQ(nodes[l].refused.code, Code::Ok);
    EXPECT_TRUE(g(l).members().learns(member(4))); // in force at once
    m.learners.clear();
    m.voters.push_back(member(4));
    step(l, ChangeMembers{m});
    EXPECT_EQ(nodes[l].refused.code, Code::Busy); // the change before is not committed
    run(4 * kBeat);
    EXPECT_TRUE(has(4, "entry"));
    step(l, ChangeMembers{m});
    EXPECT_EQ(nodes[l].refused.code, Code::Ok);
    run(2 * kBeat);
    EXPECT_EQ(g(4).members().voters.size(), 4u);
    EXPECT_EQ(nodes[4].rows.members, m);
}
// However short the log is: it does not know that it votes, and with one more away nobody could be elected.
TEST_F(GroupTest, ALearnerThatHasNothingDoesNotBecomeAVoter) {
    const u32 l = lead(3);
    Members m = g(l).members();
    m.learners.push_back(member(4)); // it is not there yet
    step(l, ChangeMembers{m});
    EXPECT_EQ(nodes[l].refused.code, Code::Ok);
    run(4 * kBeat);
    m.learners.clear();
    m.voters.push_back(member(4));
    step(l, ChangeMembers{m});
    EXPECT_EQ(nodes[l].refused.code, Code::Busy);
    EXPECT_EQ(nodes[l].refused.detail, "the learner has not caught up yet");
}
TEST_F(GroupTest, ALearnerNeitherCountsNorStands) {
    const u32 l = lead(2), f = other(l);
    start(4);
    step(l, ChangeMembers{{{member(1), member(2)}, {member(4)}}});
    run(4 * kBeat);
    crash(f);
    propose(l, "x");
    run(kBeat);
    EXPECT_FALSE(has(l, "x")); // two have it, but one only learns
    crash(l);
    run(5 * kSecond);
    EXPECT_EQ(g(4).role(), Group::Role::kFollower);
}
TEST_F(GroupTest, OneVoterAtATimeAndOnlyAfterAnEntryOfTheOwnTerm) {
    const u32 l = lead(5);
    Members m = g(l).members();
    m.voters.pop_back();
    m.voters.pop_back();
    step(l, ChangeMembers{m});
    EXPECT_EQ(nodes[l].refused.code, Code::Invalid);
    step(l, ChangeMembers{{}});
    EXPECT_EQ(nodes[l].refused.code, Code::Invalid);
    step(other(l), ChangeMembers{m});
    EXPECT_EQ(nodes[other(l)].refused.code, Code::NotLeader);
    // A new leader: its first entry is not committed yet.
    const u32 f = other(l);
    step(l, Transfer{member(f)});
    for (int i = 0; i < 20 && !g(f).leads(); i++) {
        for (auto& [n, _] : nodes) sync(n);
        if (!g(f).leads()) deliver();
    }
    ASSERT_TRUE(g(f).leads());
    m = g(f).members();
    m.voters.pop_back();
    step(f, ChangeMembers{m});
    EXPECT_EQ(nodes[f].refused.code, Code::Busy);
    EXPECT_EQ(nodes[f].refused.detail, "the leader is new; again in a moment");
    settle();
    run(kBeat);
    step(f, ChangeMembers{m});
    EXPECT_EQ(nodes[f].refused.code, Code::Ok);
}
TEST_F(GroupTest, ALeaderThatRemovesItselfGoesWhenThatIsCommitted) {
    const u32 l = lead(3);
    Members m = g(l).members();
    std::erase(m.voters, member(l));
    step(l, ChangeMembers{m});
    ASSERT_EQ(nodes[l].refused.code, Code::Ok);
    settle();
    EXPECT_FALSE(g(l).leads());
    EXPECT_NE(leader(), 0u); // the best one was told to stand
    const Term term = g(leader()).term();
    run(5 * kSecond);
    EXPECT_EQ(g(leader()).term(), term); // who was removed disturbs nobody
    EXPECT_FALSE(g(l).leads());
}
TEST_F(GroupTest, AChangeThatWouldStopTheGroupIsRefused) {
    const u32 l = lead(3), a = other(l), b = other(l, a);
    cutOff(a);
    run(3 * kE);
    Members m = g(l).members();
    std::erase(m.voters, member(b)); // the one that lives
    step(l, ChangeMembers{m});
    EXPECT_EQ(nodes[l].refused.code, Code::Busy);
    m = g(l).members();
    std::erase(m.voters, member(a));
    step(l, ChangeMembers{m});
    EXPECT_EQ(nodes[l].refused.code, Code::Ok);
}
TEST_F(GroupTest, AnUncommittedChangeIsTakenBackWithItsEntry) {
    const u32 l = lead(3);
    cutOff(l);
    Members m = g(l).members();
    m.learners.push_back(member(4));
    step(l, ChangeMembers{m});
    EXPECT_TRUE(g(l).members().learns(member(4)));
    run(3 * kSecond);
    cut.clear();
    run(kSecond);
    EXPECT_FALSE(g(l).members().learns(member(4)));
}
TEST_F(GroupTest, AStoreThatCameBackEmptyIsNotTheMemberItWas) {
    const u32 l = lead(3), f = other(l);
    crash(f);
    nodes[f].disk.clear();
    nodes[f].rows = {};
    start(f);
    GroupOptions o = options(f);
    o.self.store = 999; // drawn anew
    nodes[f].group = std::make_unique<Group>(o, VoteRow{}, GroupLog{}, LogBase{}, false, now());
    run(3 * kSecond);
    EXPECT_TRUE(g(f).empty()); // nobody speaks to it
    clock += kHour;
    tell(other(l, f), f, 99, AskVote{false, false, Index{1000}, Term{98}});
    EXPECT_FALSE(wants<Vote>(f, other(l, f)));
}

// --- snapshots --------------------------------------------------------------------------------------------

TEST_F(GroupTest, AFollowerBehindTheLogGetsASnapshotAndGoesOnFromThere) {
    keep = 2000;
    const u32 l = lead(3), f = other(l);
    cutOff(f);
    for (int i = 0; i < 100; i++) propose(l, "entry " + std::to_string(i)), settle();
    ASSERT_GT(g(l).log().base().index, g(f).log().last());
    cut.clear();
    run(2 * kBeat);
    ASSERT_EQ(nodes[l].snapshots, std::vector<Member>{member(f)});
    const LogBase base = nodes[l].rows;
    step(f, SnapshotOffered{member(l), g(l).term(), base});
    ASSERT_TRUE(nodes[f].install);
    propose(l, "later");
    run(2 * kBeat);
    EXPECT_FALSE(has(f, "later"));
    nodes[f].rows = base;
    step(f, SnapshotInstalled{base});
    nodes[f].slowDisk = true;
    settle();
    EXPECT_LT(g(l).followers()[0].durable, base.index); // the new log begins on disk first
    nodes[f].slowDisk = false;
    settle();
    run(2 * kBeat);
    step(l, SnapshotEnded{member(f)});
    run(2 * kBeat);
    EXPECT_TRUE(has(f, "later"));
    EXPECT_EQ(nodes[l].snapshots.size(), 1u);
    // And after a restart the log begins behind the snapshot.
    start(f);
    EXPECT_EQ(g(f).members(), g(l).members());
    run(2 * kBeat);
    EXPECT_EQ(g(f).log().last(), g(l).log().last());
}
TEST_F(GroupTest, AnOlderSnapshotIsRefused) {
    const u32 l = lead(3), f = other(l);
    const LogBase old = nodes[l].rows;
    propose(l, "a");
    run(2 * kBeat);
    step(f, SnapshotOffered{member(l), g(l).term(), old});
    EXPECT_FALSE(nodes[f].install);
    step(f, SnapshotOffered{member(l), Term{g(l).term().value - 1}, nodes[l].rows});
    EXPECT_FALSE(nodes[f].install);
    step(f, SnapshotInstalled{old}); // nobody asked for it
    EXPECT_EQ(g(f).applied(), nodes[f].rows.index);
    EXPECT_TRUE(has(f, "a"));
}
TEST_F(GroupTest, WhoLostItsRowsHandsOverAndFetchesThem) {
    const u32 l = lead(3);
    propose(l, "a");
    run(kBeat);
    step(l, RowsLost{});
    EXPECT_FALSE(g(l).mayRead(Monotonic{clock}));
    run(kBeat);
    const u32 next = leader();
    ASSERT_NE(next, l);
    ASSERT_NE(next, 0u);
    EXPECT_EQ(nodes[next].snapshots, std::vector<Member>{member(l)});
    step(l, SnapshotOffered{member(next), g(next).term(), nodes[next].rows});
    EXPECT_TRUE(nodes[l].install);
    nodes[l].rows = nodes[next].rows;
    step(l, SnapshotInstalled{nodes[next].rows});
    propose(next, "b");
    run(2 * kBeat);
    EXPECT_TRUE(has(l, "b"));
}
TEST_F(GroupTest, ASnapshotOlderThanTheLostRowsIsRefused) {
    const u32 l = lead(3), f = other(l);
    const LogBase old = nodes[l].rows;
    propose(l, "a");
    run(2 * kBeat);
    step(f, RowsLost{});
    step(f, SnapshotOffered{member(l), g(l).term(), old}); // its log on disk may begin behind that
    EXPECT_FALSE(nodes[f].install);
    step(f, SnapshotOffered{member(l), g(l).term(), nodes[l].rows});
    EXPECT_TRUE(nodes[f].install);
}
TEST_F(GroupTest, ALogThatTheRowsHaveOvertakenBeginsAnewOnTheDiskToo) {
    const u32 l = lead(3), f = other(l);
    for (int i = 0; i < 20; i++) propose(l, "a");
    run(2 * kBeat);
    // Rows of a snapshot, and a crash before the log had begun behind them.
    std::erase_if(nodes[f].disk,
                  [&](auto& r) { return r.kind == GroupRecordKind::kEntry && readEntry(kGroup, *r.payload)->index > Index{5}; });
    crash(f);
    start(f);
    run(2 * kBeat);
    propose(l, "b");
    run(2 * kBeat);
    EXPECT_TRUE(has(f, "b"));
    crash(f);
    start(f); // reads its records: no gap
    run(2 * kBeat);
    propose(l, "c");
    run(2 * kBeat);
    EXPECT_TRUE(has(f, "c"));
}
TEST_F(GroupTest, ACaretakerLeadsWhenOnlyItsLogHasWhatIsNeeded) {
    const u32 l = lead(3), a = other(l), b = other(l, a);
    crash(b);
    cut.insert({l, a});
    propose(l, "only here");
    settle();
    crash(l);
    start(l);
    step(l, RowsLost{});
    cut.clear();
    run(10 * kSecond);
    EXPECT_EQ(leader(), a); // the other could not win without that entry
    EXPECT_TRUE(has(a, "only here"));
}

TEST_F(GroupTest, ACaretakerGivesNobodyItsRows) {
    const u32 l = lead(3), behind = other(l), b = other(l, behind);
    cut.insert({l, behind});
    propose(l, "before");
    run(2 * kBeat);
    crash(b);
    propose(l, "only here");
    settle();
    crash(l);
    const Index applied = nodes[l].rows.index; // the log on disk begins behind the rows, and the other one's ends before
    std::erase_if(nodes[l].disk,
                  [&](auto& r) { return r.kind == GroupRecordKind::kEntry && readEntry(kGroup, *r.payload)->index <= applied; });
    start(l);
    step(l, RowsLost{});
    cut.clear();
    run(10 * kSecond);
    EXPECT_TRUE(nodes[l].snapshots.empty()) << "half of them may be gone";
    start(b);
    run(10 * kSecond);
    EXPECT_EQ(leader(), b);
    EXPECT_TRUE(has(b, "only here"));
    EXPECT_TRUE(nodes[l].snapshots.empty());
    EXPECT_FALSE(nodes[b].snapshots.empty());
}

TEST_F(GroupTest, EntriesThatAreNotAppliedOrFollowASnapshotUnderWayStayInMemory) {
    const u32 l = lead(3), f = other(l), third = other(l, f);
    for (int i = 0; i < 20; i++) propose(l, "entry " + std::to_string(i)), settle();
    const Index applied = g(l).applied();
    cutOff(f);
    cutOff(third);
    propose(l, "not committed");
    step(l, Keep{0, true});
    EXPECT_EQ(g(l).log().base().index, applied);
    EXPECT_EQ(g(l).log().last().value, applied.value + 1);
    EXPECT_EQ(g(l).kept(), 0u);
    // A follower gets a snapshot; what comes meanwhile stays for it, unless there is no other way.
    cut.clear();
    run(2 * kBeat);
    cutOff(f);
    for (int i = 0; i < 20; i++) propose(l, "more " + std::to_string(i)), settle();
    step(l, Keep{0, false});
    EXPECT_EQ(g(l).kept(), 0u);
    propose(l, "behind");
    settle();
    cut.clear();
    run(2 * kBeat);
    ASSERT_EQ(nodes[l].snapshots, std::vector<Member>{member(f)});
    const Index snapshot = g(l).applied();
    for (int i = 0; i < 20; i++) propose(l, "after " + std::to_string(i)), settle();
    step(l, Keep{0, false});
    EXPECT_LE(g(l).log().base().index, snapshot);
    EXPECT_GT(g(l).kept(), 0u);
    step(l, Keep{0, true});
    EXPECT_EQ(g(l).kept(), 0u);
}

// --- liveness that the owner keeps ------------------------------------------------------------------------------

TEST_F(GroupTest, AnIdleGroupIsSilentWhileItsOwnerKeepsItAlive) {
    own = false;
    form(3);
    auto beat = [&](u64 time) {
        for (u64 end = clock + time; clock < end;) {
            run(50 * kMillisecond);
            const u32 l = leader();
            if (l == 0) continue;
            for (u32 n = 1; n <= 3; n++) {
                if (n == l) continue;
                if (g(n).follows(member(l), g(l).term())) {
                    step(n, LeaderHeard{g(l).term()});
                    step(l, Renewed{member(n), g(l).term(), Monotonic{clock}});
                } else step(l, Speak{member(n)});
            }
        }
    };
    beat(3 * kSecond);
    const u32 l = leader();
    ASSERT_NE(l, 0u);
    propose(l, "a");
    beat(kSecond);
    sent.clear();
    const Term term = g(l).term();
    beat(20 * kSecond);
    EXPECT_TRUE(sent.empty());
    EXPECT_EQ(leader(), l);
    EXPECT_EQ(g(l).term(), term);
    EXPECT_TRUE(g(l).mayRead(Monotonic{clock}));
    for (u32 n = 1; n <= 3; n++) EXPECT_TRUE(has(n, "a"));
    // A restarted follower does not follow yet: the owner sees that, and the group speaks.
    const u32 f = other(l);
    start(f);
    EXPECT_FALSE(g(f).follows(member(l), term));
    step(l, Renewed{member(f), Term{term.value - 1}, Monotonic{clock}}); // of another term: nothing
    beat(kSecond);
    EXPECT_TRUE(g(f).follows(member(l), term));
    EXPECT_EQ(g(f).committed(), g(l).committed());
}

// --- times, and bytes that come from anywhere -------------------------------------------------------------------

TEST_F(GroupTest, AgeStandsStillWithoutALeaderAndWallAlwaysGrows) {
    const u32 l = lead(3);
    run(kSecond);
    const Age before = g(l).timeNow(now()).age;
    propose(l, "a");
    settle();
    EXPECT_EQ(nodes[l].applied.back().age, before);
    crash(l);
    const u64 at = clock;
    run(3 * kSecond);
    const u32 next = leader();
    ASSERT_NE(next, 0u);
    EXPECT_LT(g(next).timeNow(now()).age.value - before.value, clock - at);
    Entry e;
    e.kind = EntryKind::kCommand;
    GroupEffects out;
    const Wall last = g(next).log().lastWall();
    g(next).step({Monotonic{clock}, Wall{5}}, Propose{e}, out); // the wall clock jumped back
    EXPECT_EQ(g(next).log().lastWall(), Wall{last.value + 1});
}
TEST_F(GroupTest, AnOldAgeIsLoggedWhenSomebodyAsks) {
    const u32 l = lead(3);
    run(5 * kSecond);
    const Index last = g(l).log().last();
    step(l, Touch{});
    EXPECT_EQ(g(l).log().last(), last);
    run(6 * kSecond);
    step(l, Touch{});
    EXPECT_EQ(g(l).log().last().value, last.value + 1);
}
TEST_F(GroupTest, MessagesThatCannotBeAreDropped) {
    const u32 l = lead(3), f = other(l);
    propose(l, "a");
    run(2 * kBeat);
    const Term term = g(f).term();
    const Index last = g(f).log().last();
    auto entry = [&](u64 index, u64 term2, GroupId group) {
        Entry e;
        e.group = group;
        e.index = Index{index};
        e.term = Term{term2};
        return Bytes{wire::encode(e)};
    };
    const u64 t = term.value, i = last.value;
    tell(l, f, t, Append{last, term, {}, {}, {Bytes{"nonsense"}}});
    tell(l, f, t, Append{last, term, {}, {}, {entry(i + 2, t, kGroup)}});
    tell(l, f, t, Append{last, term, {}, {}, {entry(i + 1, t + 1, kGroup)}});
    tell(l, f, t, Append{last, term, {}, {}, {entry(i + 1, t, GroupId{9})}});
    tell(l, f, t, Append{last, term, {}, {}, {entry(i + 1, t, kGroup), entry(i + 2, t - 1, kGroup)}});
    tell(l, f, t, Append{Index{~0ull}, term, {}, {}, {entry(i + 1, t, kGroup)}});
    tell(l, f, t, Append{last, Term{t + 5}, Index{~0ull}, {}, {}});
    tell(other(l, f), f, t, Append{last, term, {}, {}, {entry(i + 1, t, kGroup)}}); // two leaders in a term
    tell(f, l, t, Append{last, term, {}, {}, {entry(i + 1, t, kGroup)}});
    EXPECT_EQ(g(f).log().last(), last);
    EXPECT_EQ(g(l).log().last(), last);
    tell(l, f, ~0ull, Vote{});
    tell(l, f, ~0ull, AskVote{false, true, Index{~0ull}, Term{~0ull}});
    EXPECT_EQ(g(f).term(), term);
    Appended a;
    a.agrees = true;
    a.durable = Index{i + 100};
    tell(f, l, t, a);
    a.durable = {};
    a.up_to = Index{~0ull};
    tell(f, l, t, a);
    a.up_to = {};
    a.sent = Monotonic{~0ull};
    tell(f, l, t, a);
    tell(9, l, t, Appended{true, true, last, last, {}, {}, last, {}});
    tell(f, l, t, TellIndex{1, true, Index{~0ull}});
    step(l, Renewed{member(f), term, Monotonic{~0ull}});
    EXPECT_TRUE(g(l).leads());
    EXPECT_EQ(g(l).committed(), last);
    clock += kSecond;
    EXPECT_FALSE(g(l).mayRead(Monotonic{clock}));
}
TEST_F(GroupTest, WhateverBytesComeNobodyStops) {
    const u32 l = lead(3);
    propose(l, "a");
    run(kBeat);
    std::vector<std::string> seen;
    for (auto& m : sent) seen.push_back(wire::encode(m));
    Random random(1);
    std::size_t decoded = 0;
    for (int i = 0; i < 20'000; i++) {
        std::string bytes = seen[random.below(seen.size())];
        for (u64 n = 1 + random.below(3); n > 0; n--)
            bytes[random.below(bytes.size())] = static_cast<char>(random.oneIn(3) ? 0xff : random.next());
        GroupMessage m;
        if (!wire::decode(bytes, m)) continue;
        decoded++;
        const u32 to = m.to.server.value;
        if (to < 1 || to > 3) continue;
        step(to, Received{m});
        if (i % 50 == 0) settle();
        if (i % 200 == 0) clock += random.below(kE);
    }
    EXPECT_GT(decoded, 5000u);
    run(kSecond);
}

TEST_F(GroupTest, ARecoveryIsOnlyCheckedFirstAndThenBeginsAFarTerm) {
    const u32 l = lead(3), kept = other(l);
    step(kept, Recover{true});
    EXPECT_EQ(nodes[kept].refused.code, Code::Busy); // a leader is there
    for (u32 n = 1; n <= 3; n++)
        if (n != kept) crash(n);
    run(5 * kSecond);
    const Term before = g(kept).term();
    const Index last = g(kept).log().last();
    step(kept, Recover{true});
    EXPECT_EQ(nodes[kept].refused.code, Code::Ok);
    EXPECT_EQ(g(kept).term(), before);
    EXPECT_EQ(g(kept).log().last(), last);
    EXPECT_EQ(g(kept).members().voters.size(), 3u);
    step(kept, Recover{false});
    EXPECT_EQ(nodes[kept].refused.code, Code::Ok);
    EXPECT_GE(g(kept).term().value, before.value + (1u << 20));
    EXPECT_EQ(g(kept).members().voters.size(), 1u);
}
} // namespace
} // namespace skua::raft
