// When old segments of the log may go (raft/log_cut.h), and that a start finds everything without them.
#include "raft/log_cut.h"
#include "tests/unit/raft_hosts.h"

namespace skua::raft {
namespace {

using Do = LogCut::Do;

class LogCutTest : public Hosts {
protected:
    static constexpr u64 kSegment = 1u << 20;
    void begin() {
        format(group);
        format(other);
        run(3 * kSecond);
        ask(leader(group), "a", 1);
        run(kSecond);
    }
    void apart() {
        for (auto& [i, _] : hosts) cutOff(i);
    }
    // The two others do not hear each other: it is they who need this one's vote, and its log.
    void together(u32 leads) {
        cut.clear();
        const u32 a = leads % 3 + 1, b = a % 3 + 1;
        cut = {{a, b}, {b, a}};
    }
    // What it says at last; the segment that is closed is all that the log has when this begins.
    Do cutLog(u32 i, LogCut& cut, u64 patience = 4 * kSecond) {
        Host& h = hosts[i];
        const std::size_t closed = h.log.size();
        for (const u64 end = clock + patience; clock < end;) {
            switch (cut.next(*h.server, {1}, Monotonic{clock})) {
                case Do::kNothing: return Do::kNothing;
                case Do::kWait: run(kTickNs); break;
                case Do::kFlush:
                    EXPECT_TRUE(h.kv.flush());
                    cut.flushed();
                    break;
                case Do::kBegin:
                    for (const GroupId g : {group, other}) h.log.push_back({RecordKind::kState, g, 0, h.server->voteRow(g)});
                    cut.begun();
                    break;
                case Do::kDrop:
                    h.log.erase(h.log.begin(), h.log.begin() + static_cast<std::ptrdiff_t>(closed));
                    cut.dropped();
                    return Do::kDrop;
            }
        }
        return Do::kWait;
    }
    std::size_t carried(u32 i, GroupId g) const {
        const auto& log = hosts.at(i).log;
        return static_cast<std::size_t>(
            std::count_if(log.begin(), log.end(), [&](const auto& r) { return r.kind == RecordKind::kCarried && r.group == g; }));
    }
    const GroupId other = groupOf(ShardId{1});
};

TEST_F(LogCutTest, WhatIsAppliedEverywhereGoesAtOnceAndNothingIsWrittenAgain) {
    begin();
    LogCut cut(kSegment);
    const u64 began = clock;
    EXPECT_EQ(cutLog(1, cut), Do::kDrop);
    EXPECT_LT(clock, began + kSecond);
    EXPECT_EQ(carried(1, group) + carried(1, other), 0u);
}

TEST_F(LogCutTest, AGroupWithoutItsMajorityDoesNotKeepTheLogAndLosesNeitherEntriesNorItsVote) {
    begin();
    const u32 l = leader(group);
    apart();
    ask(l, "b", 2);
    ask(l, "c", 3);
    settle();
    LogCut cut(kSegment);
    const u64 began = clock;
    ASSERT_EQ(cutLog(l, cut), Do::kDrop);
    EXPECT_GE(clock, began + kCutPatienceNs);
    EXPECT_EQ(carried(l, group), 2u);
    const VoteRow vote = hosts[l].server->group(group)->voteRow();
    const Index last = hosts[l].server->group(group)->log().last();
    crash(l);
    start(l);
    ASSERT_NE(hosts[l].server->group(group), nullptr);
    EXPECT_EQ(hosts[l].server->group(group)->log().last(), last);
    EXPECT_EQ(hosts[l].server->group(group)->voteRow().term, vote.term);
    EXPECT_EQ(hosts[l].server->group(group)->voteRow().vote, vote.vote);
    together(l);
    run(5 * kSecond);
    for (auto& [i, h] : hosts) EXPECT_EQ(h.kv.get(prefixOf(group) + "all"), "a;b;c;") << i;
}

TEST_F(LogCutTest, NoSegmentGoesBeforeWhatIsCarriedIsDurable) {
    begin();
    const u32 l = leader(group);
    apart();
    ask(l, "b", 2);
    settle();
    Host& h = hosts[l];
    LogCut cut(kSegment);
    EXPECT_EQ(cut.next(*h.server, {1}, Monotonic{clock}), Do::kWait);
    run(kCutPatienceNs);
    EXPECT_EQ(cut.next(*h.server, {1}, Monotonic{clock}), Do::kFlush);
    cut.flushed();
    for (int i = 0; i < 5; i++) EXPECT_EQ(cut.next(*h.server, {1}, Monotonic{clock}), Do::kWait);
    settle();
    EXPECT_EQ(cut.next(*h.server, {1}, Monotonic{clock}), Do::kBegin);
}

TEST_F(LogCutTest, WhatIsAppliedButNotFlushedIsNotTakenForFlushed) {
    begin();
    const u32 l = leader(group);
    apart();
    ask(l, "b", 2);
    settle();
    Host& h = hosts[l];
    LogCut cut(kSegment);
    (void)cut.next(*h.server, {1}, Monotonic{clock});
    run(kCutPatienceNs);
    ASSERT_EQ(cut.next(*h.server, {1}, Monotonic{clock}), Do::kFlush);
    ASSERT_TRUE(h.kv.flush());
    cut.flushed();
    together(l);
    const std::size_t closed = h.log.size();
    run(5 * kSecond); // it is applied after the flush
    ASSERT_EQ(h.kv.get(prefixOf(group) + "all"), "a;b;");
    ASSERT_EQ(cut.next(*h.server, {1}, Monotonic{clock}), Do::kWait);
    settle();
    ASSERT_EQ(cut.next(*h.server, {1}, Monotonic{clock}), Do::kBegin);
    h.log.erase(h.log.begin(), h.log.begin() + static_cast<std::ptrdiff_t>(closed));
    crash(l);
    start(l);
    run(3 * kSecond);
    EXPECT_EQ(h.kv.get(prefixOf(group) + "all"), "a;b;");
}

TEST_F(LogCutTest, TheLogIsNotWrittenAnewForLittle) {
    begin();
    const u32 l = leader(group);
    apart();
    ask(l, std::string(kSegment / 3, 'x'), 2);
    settle();
    LogCut cut(kSegment);
    const u64 began = clock;
    EXPECT_EQ(cutLog(l, cut), Do::kNothing);
    EXPECT_GE(clock, began + kCutPatienceNs);
    EXPECT_EQ(carried(l, group), 0u);
}

TEST_F(LogCutTest, AGroupThatStoppedIsCarriedWithItsVote) {
    begin();
    const u32 l = leader(group), f = l % 3 + 1;
    Host& h = hosts[f];
    const VoteRow vote = h.server->group(group)->voteRow();
    ASSERT_NE(vote.vote.store, 0u);
    h.kv.refuse(true);
    ask(l, "b", 2);
    run(kSecond);
    h.kv.refuse(false);
    ASSERT_EQ(h.server->group(group), nullptr);
    ASSERT_TRUE(h.server->anyTrouble());
    LogCut cut(kSegment);
    ASSERT_EQ(cutLog(f, cut), Do::kDrop);
    EXPECT_GE(carried(f, group), 1u);
    crash(f);
    start(f);
    ASSERT_NE(h.server->group(group), nullptr);
    EXPECT_EQ(h.server->group(group)->voteRow().term, vote.term);
    EXPECT_EQ(h.server->group(group)->voteRow().vote, vote.vote);
    run(2 * kSecond);
    EXPECT_EQ(h.kv.get(prefixOf(group) + "all"), "a;b;");
}

TEST_F(LogCutTest, AGroupWhosePastIsNotKnownKeepsTheLog) {
    begin();
    hosts[1].server->setTrouble(groupOf(ShardId{7}), "its log has a gap");
    LogCut cut(kSegment);
    EXPECT_EQ(cutLog(1, cut), Do::kNothing);
}

// --- what a start makes of carried entries -------------------------------------------------------------------

const GroupId kGroup = groupOf(ShardId{0});

std::string entry(u64 index, u64 term) {
    Entry e;
    e.group = kGroup;
    e.index = Index{index};
    e.term = Term{term};
    e.kind = EntryKind::kCommand;
    return wire::encode(e);
}
std::string carriedEntry(u64 index, u64 term, u64 first, u64 last) {
    return wire::encode(Carried{Index{first}, Index{last}, Bytes{entry(index, term)}});
}
std::string said(const GroupPast& past) {
    std::string all;
    for (const LoggedEntry& e : past.entries()) all += std::to_string(e.index.value) + ":" + std::to_string(e.term.value) + " ";
    return all;
}

TEST(CarriedEntries, StandForThoseWhoseSegmentsAreGone) {
    GroupPast past(kGroup);
    EXPECT_TRUE(past.takeEntry(entry(5, 1)));
    EXPECT_TRUE(past.takeEntry(entry(6, 2)));
    for (u64 i = 3; i <= 6; i++) EXPECT_TRUE(past.takeCarried(carriedEntry(i, i < 6 ? 1 : 2, 3, 6)));
    EXPECT_TRUE(past.takeEntry(entry(7, 2)));
    EXPECT_EQ(said(past), "3:1 4:1 5:1 6:2 7:2 ");
    EXPECT_EQ(past.vote().term.value, 2u);
}

TEST(CarriedEntries, ACrashAmongThemLosesNothing) {
    GroupPast past(kGroup);
    for (u64 i = 3; i <= 6; i++) EXPECT_TRUE(past.takeEntry(entry(i, 1)));
    EXPECT_TRUE(past.takeCarried(carriedEntry(3, 1, 3, 6)));
    EXPECT_TRUE(past.takeCarried(carriedEntry(4, 1, 3, 6)));
    EXPECT_EQ(said(past), "3:1 4:1 5:1 6:1 ");
    EXPECT_TRUE(past.takeEntry(entry(7, 1)));
    for (u64 i = 5; i <= 7; i++) EXPECT_TRUE(past.takeCarried(carriedEntry(i, 1, 5, 7)));
    EXPECT_EQ(said(past), "3:1 4:1 5:1 6:1 7:1 ");
}

TEST(CarriedEntries, TheirEndAloneSaysNothing) {
    GroupPast past(kGroup);
    EXPECT_TRUE(past.takeCarried(carriedEntry(5, 1, 3, 6)));
    EXPECT_TRUE(past.takeCarried(carriedEntry(6, 1, 3, 6)));
    EXPECT_EQ(said(past), "");
    EXPECT_TRUE(past.takeEntry(entry(7, 1)));
    EXPECT_EQ(said(past), "7:1 ");
}

TEST(CarriedEntries, WhatReplacedThemSinceStays) {
    GroupPast past(kGroup);
    for (u64 i = 3; i <= 6; i++) EXPECT_TRUE(past.takeCarried(carriedEntry(i, 1, 3, 6)));
    EXPECT_TRUE(past.takeEntry(entry(5, 2)));
    EXPECT_EQ(said(past), "3:1 4:1 5:2 ");
}

TEST(CarriedEntries, BytesThatAreNoneAreRefused) {
    GroupPast past(kGroup);
    EXPECT_FALSE(past.takeCarried("nonsense"));
    EXPECT_FALSE(past.takeCarried(carriedEntry(7, 1, 3, 6)));
    EXPECT_TRUE(past.takeEntry(entry(3, 1)));
    EXPECT_FALSE(past.takeCarried(carriedEntry(9, 1, 9, 9))) << "what is between is lost";
}

} // namespace
} // namespace skua::raft
