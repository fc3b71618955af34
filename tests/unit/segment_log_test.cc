// The log's bytes: what was durable is found again or its loss is told; what was torn is cut, silently.
#include "raft/segment_log.h"
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>
#include <atomic>
#include <filesystem>
#include <fstream>
#include "core/base/random.h"
#include "raft/segment_format.h"

namespace skua::raft {
namespace {

constexpr u64 kLog = 77;
const GroupId kA = groupOf(ShardId{0}), kB = groupOf(ShardId{1});

// Writes of a short log: two segments, two groups; what is known durable is everything but the last write.
struct ShortLog {
    std::vector<std::string> segments;
    std::vector<std::string> payloads;   // of all records, in order
    std::vector<std::size_t> records_of; // per write
    u64 writes = 0;

    ShortLog() {
        std::map<GroupId, u64> running;
        segments.resize(2);
        for (int i = 0; i < 6; i++) {
            std::vector<RecordToWrite> records;
            const u64 segment = i < 3 ? 1 : 2;
            if (i == 3)
                for (auto& [g, n] : running) records.push_back({RecordKind::kState, g, n, {}});
            for (GroupId g : {kA, kB}) {
                std::string payload = "entry " + std::to_string(i) + " of " + std::to_string(g.value) +
                                      std::string(static_cast<std::size_t>(i) * 700, 'x');
                records.push_back({RecordKind::kEntry, g, ++running[g], payload});
                payloads.push_back(payload);
            }
            writes++;
            segments[segment - 1] += layOutWrite(kLog, segment, writes, writes - 1, i == 0, records);
        }
        for (auto& s : segments) s.resize(s.size() + 2 * kLogPage, '\0');
    }
    std::vector<SegmentBytes> views() const { return {{1, segments[0]}, {2, segments[1]}}; }
};

std::vector<std::string> entriesOf(const Scan& scan) {
    std::vector<std::string> all;
    for (const auto& r : scan.records)
        if (r.kind == RecordKind::kEntry) all.emplace_back(r.payload);
    return all;
}
bool isPrefix(const std::vector<std::string>& a, const std::vector<std::string>& of) {
    return a.size() <= of.size() && std::equal(a.begin(), a.end(), of.begin());
}

TEST(SegmentFormat, AWholeLogIsReadBackInOrder) {
    ShortLog log;
    const Scan scan = scanLog(kLog, log.views());
    EXPECT_FALSE(scan.corrupt) << scan.trouble;
    EXPECT_EQ(entriesOf(scan), log.payloads);
    EXPECT_EQ(scan.last_write, log.writes);
    EXPECT_EQ(scan.synced, log.writes - 1);
}

TEST(SegmentFormat, AnEmptyLogIsEmpty) {
    const Scan scan = scanLog(kLog, {});
    EXPECT_FALSE(scan.corrupt);
    EXPECT_TRUE(scan.records.empty());
    const std::string zeros(4 * kLogPage, '\0');
    EXPECT_FALSE(scanLog(kLog, {{1, zeros}}).corrupt);
}

// The last write alone was not known to be durable: whatever of it is missing is cut, the rest stays.
TEST(SegmentFormat, ATornLastWriteIsCutAtEveryByte) {
    const ShortLog whole;
    const std::size_t end = whole.segments[1].size() - 2 * kLogPage;
    const Scan all = scanLog(kLog, whole.views());
    std::size_t last_begins = 0;
    for (std::size_t at = 0; at < end; at += kLogPage)
        if (whole.segments[1].compare(at, 8, whole.segments[1], 0, 8) == 0) last_begins = at;
    for (std::size_t cut = last_begins; cut < end; cut += cut % 64 == 0 ? 1 : 7) {
        ShortLog torn;
        std::fill(torn.segments[1].begin() + static_cast<long>(cut), torn.segments[1].end(), '\0');
        const Scan scan = scanLog(kLog, torn.views());
        ASSERT_FALSE(scan.corrupt) << "cut at " << cut << ": " << scan.trouble;
        ASSERT_TRUE(isPrefix(entriesOf(scan), whole.payloads)) << cut;
        ASSERT_GE(entriesOf(scan).size(), whole.payloads.size() - 2) << cut;
    }
    (void)all;
}

// Cut anywhere: either a prefix that holds all that was known durable, or it is told.
TEST(SegmentFormat, ALogTruncatedAnywhereNeverForgetsSilently) {
    const ShortLog whole;
    for (std::size_t segment = 0; segment < 2; segment++)
        for (std::size_t cut = 0; cut < whole.segments[segment].size(); cut += 61) {
            ShortLog torn;
            std::fill(torn.segments[segment].begin() + static_cast<long>(cut), torn.segments[segment].end(), '\0');
            const Scan scan = scanLog(kLog, torn.views());
            const auto entries = entriesOf(scan);
            if (scan.corrupt) {
                EXPECT_FALSE(scan.trouble.empty());
                EXPECT_FALSE(scan.suspect.empty()) << "segment " << segment << " cut at " << cut;
                continue;
            }
            ASSERT_TRUE(isPrefix(entries, whole.payloads));
            // What is left may be short only by writes that nothing left says were durable.
            ASSERT_GE(entries.size(), 2 * scan.synced) << "segment " << segment << " cut at " << cut;
            if (segment == 0)
                ASSERT_EQ(entries.size(), whole.payloads.size())
                    << "segment 0 cut at " << cut << " and the second one knows better";
        }
}

// A flip of any bit of what a later write says was durable is told from a tear, and the groups are named.
TEST(SegmentFormat, AFlippedByteOfWhatWasDurableIsAlwaysTold) {
    const ShortLog whole;
    u64 told = 0, harmless = 0, torn = 0;
    for (std::size_t segment = 0; segment < 2; segment++)
        for (std::size_t at = 0; at < whole.segments[segment].size(); at++) {
            if (at % kLogPage > 512 && at % 97 != 0) continue; // mostly padding or one long payload
            ShortLog bad;
            bad.segments[segment][at] = static_cast<char>(bad.segments[segment][at] ^ (1 << (at % 8)));
            const Scan scan = scanLog(kLog, bad.views());
            const auto entries = entriesOf(scan);
            if (scan.corrupt) {
                told++;
                EXPECT_FALSE(scan.suspect.empty()) << "segment " << segment << " byte " << at << ": " << scan.trouble;
                continue;
            }
            ASSERT_TRUE(isPrefix(entries, whole.payloads)) << "segment " << segment << " byte " << at;
            if (entries.size() == whole.payloads.size()) harmless++;
            else {
                torn++; // only the very last write, which nobody knew to be durable
                ASSERT_EQ(entries.size(), whole.payloads.size() - 2) << "segment " << segment << " byte " << at;
            }
        }
    EXPECT_GT(told, 100u);
    EXPECT_GT(harmless, 0u);
    EXPECT_GT(torn, 10u);
}

TEST(SegmentFormat, AnotherLogsBytesAreNotOurs) {
    ShortLog log;
    EXPECT_TRUE(scanLog(kLog + 1, log.views()).records.empty());
}

TEST(SegmentFormat, RandomBytesAreNoLog) {
    Random rng(9);
    for (int i = 0; i < 200; i++) {
        std::string bytes(rng.below(5) * kLogPage + rng.below(100), '\0');
        for (char& c : bytes) c = static_cast<char>(rng.next());
        EXPECT_TRUE(scanLog(kLog, {{1, bytes}}).records.empty());
    }
}

// --- on a disk ---------------------------------------------------------------------------------------------

class SegmentLogTest : public testing::Test {
protected:
    SegmentLogTest()
        : dir(testing::TempDir() + "skua-log-" + std::to_string(getpid())), ring(Ring::makeOrExit()), offload(*ring, 1) {
        std::filesystem::remove_all(dir);
    }
    ~SegmentLogTest() override { std::filesystem::remove_all(dir); }
    struct Closer {
        Ring* ring;
        void operator()(SegmentLog* log) const {
            (void)runBlocking(*ring, log->settled());
            delete log;
        }
    };
    std::unique_ptr<SegmentLog, Closer> open(std::vector<std::string>& entries) {
        SegmentLogOptions options;
        options.segment_bytes = 64 << 10;
        options.log_id = kLog;
        options.state = [this](GroupId) { return vote; };
        options.allocate = [this](int fd, u64 bytes) {
            struct stat st;
            const bool spare = fstat(fd, &st) == 0 && static_cast<u64>(st.st_size) >= bytes; // has its blocks already
            return full && !spare ? ENOSPC : posix_fallocate(fd, 0, static_cast<off_t>(bytes));
        };
        states.clear();
        auto log = SegmentLog::open(*ring, offload, dir, options, [&](const Record& r) {
            if (r.kind == RecordKind::kEntry) entries.emplace_back(r.payload);
            if (r.kind == RecordKind::kState) states.emplace_back(r.payload);
        });
        EXPECT_TRUE(log) << log.error().message();
        return {log->release(), Closer{ring.get()}};
    }
    Result<> append(SegmentLog& log, GroupId group, const std::string& payload) {
        std::vector<RecordToWrite> records{{RecordKind::kEntry, group, 0, payload}};
        return runBlocking(*ring, log.append(std::move(records)));
    }
    std::string dir, vote;
    std::atomic<bool> full = false;  // the disk: nothing new is allocated
    std::vector<std::string> states; // found at the start
    std::unique_ptr<Ring> ring;
    Offload offload;
};

TEST_F(SegmentLogTest, KeepsEverythingOverManySegmentsAndRestarts) {
    std::vector<std::string> want;
    for (int start = 0; start < 4; start++) {
        std::vector<std::string> got;
        auto log = open(got);
        EXPECT_TRUE(log->trouble().empty()) << log->trouble();
        EXPECT_EQ(got, want);
        for (int i = 0; i < 40; i++) {
            want.push_back("start " + std::to_string(start) + " entry " + std::to_string(i) +
                           std::string(static_cast<std::size_t>(i) * 50, 'y'));
            ASSERT_TRUE(append(*log, i % 3 ? kA : kB, want.back()));
        }
        if (start % 2) ASSERT_TRUE(runBlocking(*ring, log->markSynced()));
    }
}

Task<> appendOne(SegmentLog& log, std::string payload, int& done) {
    std::vector<RecordToWrite> records{{RecordKind::kEntry, kA, 0, std::move(payload)}};
    auto ok = co_await log.append(std::move(records));
    EXPECT_TRUE(ok);
    done++;
    co_return Ok{};
}

TEST_F(SegmentLogTest, SeveralAppendsAtOnceBecomeDurableInOrder) {
    std::vector<std::string> got;
    int done = 0;
    {
        auto log = open(got);
        TaskGroup tasks;
        for (int i = 0; i < 30; i++) tasks.spawn(appendOne(*log, "entry " + std::to_string(i), done));
        (void)runBlocking(*ring, tasks.all());
        EXPECT_EQ(done, 30);
    }
    auto log = open(got);
    ASSERT_EQ(got.size(), 30u);
    for (int i = 0; i < 30; i++) EXPECT_EQ(got[static_cast<std::size_t>(i)], "entry " + std::to_string(i));
}

TEST_F(SegmentLogTest, DroppedSegmentsAreGoneAndTheRestStaysReadable) {
    std::vector<std::string> got;
    {
        auto log = open(got);
        for (int i = 0; i < 60; i++) ASSERT_TRUE(append(*log, kA, std::string(3000, 'z') + std::to_string(i)));
        auto closed = log->closedSegments();
        ASSERT_GT(closed.size(), 1u);
        log->drop(closed);
    }
    auto log = open(got);
    EXPECT_TRUE(log->trouble().empty()) << log->trouble();
    EXPECT_LT(got.size(), 60u);
    EXPECT_GT(got.size(), 0u);
}

TEST_F(SegmentLogTest, ADroppedSegmentForgetsNoVoteAlthoughNothingElseIsWritten) {
    std::vector<std::string> got;
    { ASSERT_TRUE(append(*open(got), kA, "entry")); }
    {
        vote = "term 7";
        auto log = open(got);
        const auto closed = log->closedSegments();
        ASSERT_EQ(closed.size(), 1u);
        ASSERT_TRUE(runBlocking(*ring, log->begin()));
        log->drop(closed);
    }
    auto log = open(got);
    EXPECT_EQ(states, std::vector<std::string>{"term 7"});
    EXPECT_TRUE(log->trouble().empty()) << log->trouble();
}

TEST_F(SegmentLogTest, StartsThatWriteNothingLeaveNothingInTheWay) {
    std::vector<std::string> got;
    for (int i = 0; i < 4; i++) EXPECT_TRUE(open(got)->trouble().empty());
    { ASSERT_TRUE(append(*open(got), kA, "entry")); }
    for (int i = 0; i < 4; i++) EXPECT_TRUE(open(got)->trouble().empty());
    got.clear();
    auto log = open(got);
    EXPECT_TRUE(log->trouble().empty()) << log->trouble();
    EXPECT_EQ(got, std::vector<std::string>{"entry"});
    EXPECT_LE(log->closedSegments().size(), 2u);
}

TEST_F(SegmentLogTest, ADamagedLogTakesNothingMoreAndSaysWhere) {
    std::vector<std::string> got;
    {
        auto log = open(got);
        for (int i = 0; i < 5; i++) ASSERT_TRUE(append(*log, kA, "entry"));
    }
    const std::string segment = dir + "/segment-000000000001";
    std::fstream file(segment, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(kLogPage + 80);
    file.put('!');
    file.close();
    auto log = open(got);
    EXPECT_NE(log->trouble().find("segment 1"), std::string::npos) << log->trouble();
    EXPECT_TRUE(log->suspects().contains(kA));
    EXPECT_FALSE(append(*log, kA, "more"));
}

TEST_F(SegmentLogTest, AMissingSegmentIsDamage) {
    std::vector<std::string> got;
    {
        auto log = open(got);
        for (int i = 0; i < 90; i++) ASSERT_TRUE(append(*log, kA, std::string(3000, 'z')));
    }
    ASSERT_TRUE(std::filesystem::remove(dir + "/segment-000000000002"));
    auto log = open(got);
    EXPECT_FALSE(log->trouble().empty());
}

Task<> sleepFor(Ring& ring, u64 ns) {
    Sleep nap(ring, ns);
    co_await nap;
    co_return Ok{};
}

Task<> untilCramped(Ring& ring, SegmentLog& log) {
    while (!log.cramped()) {
        Sleep nap(ring, kMillisecond);
        co_await nap;
    }
    co_return Ok{};
}

TEST_F(SegmentLogTest, OnAFullDiskAnAppendWaitsUnacknowledgedAndGoesOnWhenThereIsRoom) {
    std::vector<std::string> got;
    int wanted = 0, done = 0;
    {
        auto log = open(got);
        full = true;
        while (!log->cramped()) { // its segment takes what it can
            ASSERT_TRUE(append(*log, kA, "entry " + std::to_string(wanted++) + std::string(3000, 'z')));
            if (wanted == 6) (void)runBlocking(*ring, untilCramped(*ring, *log));
        }
        TaskGroup tasks;
        for (int i = 0; i < 30; i++)
            tasks.spawn(appendOne(*log, "entry " + std::to_string(wanted + i) + std::string(3000, 'z'), done));
        (void)runBlocking(*ring, sleepFor(*ring, 50 * kMillisecond));
        EXPECT_TRUE(log->full());
        const int before = done;
        EXPECT_LT(before, 30);
        EXPECT_TRUE(log->closedSegments().empty());
        (void)runBlocking(*ring, sleepFor(*ring, 20 * kMillisecond));
        EXPECT_EQ(done, before);
        full = false;
        (void)runBlocking(*ring, tasks.all());
        EXPECT_EQ(done, 30);
        EXPECT_FALSE(log->full());
    }
    auto log = open(got);
    EXPECT_TRUE(log->trouble().empty()) << log->trouble();
    ASSERT_EQ(got.size(), static_cast<std::size_t>(wanted + 30));
    for (std::size_t i = 0; i < got.size(); i++) EXPECT_EQ(got[i], "entry " + std::to_string(i) + std::string(3000, 'z'));
}

TEST_F(SegmentLogTest, WhatWaitsForRoomWhenTheProcessEndsWasNeverAcknowledged) {
    std::vector<std::string> got;
    std::size_t acknowledged = 0;
    {
        auto log = open(got);
        full = true;
        std::vector<Result<>> answers(40, Result<>(Ok{}));
        TaskGroup tasks;
        auto one = [](SegmentLog& l, std::string payload, Result<>& answer) -> Task<> {
            std::vector<RecordToWrite> records{{RecordKind::kEntry, kA, 0, std::move(payload)}};
            answer = co_await l.append(std::move(records));
            co_return Ok{};
        };
        for (std::size_t i = 0; i < answers.size(); i++)
            tasks.spawn(one(*log, std::to_string(i) + std::string(3000, 'z'), answers[i]));
        (void)runBlocking(*ring, untilCramped(*ring, *log));
        (void)runBlocking(*ring, log->settled());
        (void)runBlocking(*ring, tasks.all());
        for (const auto& a : answers) acknowledged += a.has_value();
    }
    EXPECT_LT(acknowledged, 40u);
    full = false;
    auto log = open(got);
    EXPECT_EQ(got.size(), acknowledged);
}

TEST_F(SegmentLogTest, OnAFullDiskDroppedSegmentsAreUsedAgain) {
    std::vector<std::string> got;
    auto log = open(got);
    for (int i = 0; i < 30; i++) ASSERT_TRUE(append(*log, kA, std::string(3000, 'z')));
    ASSERT_GE(log->closedSegments().size(), 1u);
    full = true;
    std::string last;
    for (int i = 0; i < 300; i++) {
        if (log->full()) log->drop(log->closedSegments());
        last = "entry " + std::to_string(i) + std::string(3000, 'y');
        ASSERT_TRUE(append(*log, kA, last));
    }
    log.reset();
    got.clear();
    full = false;
    log = open(got);
    EXPECT_TRUE(log->trouble().empty()) << log->trouble();
    ASSERT_FALSE(got.empty());
    EXPECT_EQ(got.back(), last);
}

TEST_F(SegmentLogTest, ALogThatStartsOnAFullDiskWaitsAndForgetsNoVote) {
    std::vector<std::string> got;
    { ASSERT_TRUE(append(*open(got), kA, "entry")); }
    vote = "term 9";
    full = true;
    {
        auto log = open(got);
        EXPECT_TRUE(log->full());
        EXPECT_EQ(got, std::vector<std::string>{"entry"});
        TaskGroup tasks; // begin() is before any drop(): it must not return before the vote is in a new segment
        auto begin = [](SegmentLog& l, bool& begun) -> Task<> {
            auto ok = co_await l.begin();
            begun = ok.has_value();
            co_return Ok{};
        };
        bool begun = false;
        tasks.spawn(begin(*log, begun));
        (void)runBlocking(*ring, sleepFor(*ring, 20 * kMillisecond));
        EXPECT_FALSE(begun);
        full = false;
        (void)runBlocking(*ring, tasks.all());
        EXPECT_TRUE(begun);
        log->drop(log->closedSegments());
    }
    got.clear();
    auto log = open(got);
    EXPECT_EQ(states, std::vector<std::string>{"term 9"});
}

} // namespace
} // namespace skua::raft
