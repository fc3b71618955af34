#include "blocks/store.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cstring>
#include <filesystem>
#include <fstream>
#include "blocks/disk.h"
#include "core/base/log.h"
#include "core/base/random.h"

namespace skua::blocks {
namespace {

constexpr ClusterId kCluster{0x1234};
constexpr u64 kCapacity = 160u << 20;

class Folder {
public:
    Folder() {
        char name[] = "/tmp/skua-store-XXXXXX";
        path = mkdtemp(name);
        log::setLevel(log::Level::kError);
    }
    ~Folder() { std::filesystem::remove_all(path); }
    std::string path;
};

BlockId blockId(u32 n) { return {ContentId::make(5, ShardId{1}), ReservationId{7}, n}; }

// The bytes of block n: what a test expects again.
Buffer bytesOf(u32 n, u32 length) {
    Buffer b = Buffer::allocate(length);
    Random rng(n);
    for (u32 i = 0; i < length; i += 8) {
        const u64 word = rng.next();
        std::memcpy(b.data() + i, &word, 8);
    }
    return b;
}
std::vector<u64> sumsOf(const BlockId& id, const Buffer& data, u32 from, u32 length) {
    std::vector<u64> sums(length / kPage);
    makePageSums(id, from / kPage, data.data() + from, sums);
    return sums;
}
u64 sumOf(const BlockId& id, const Buffer& data) { return blockSum(id, sumsOf(id, data, 0, static_cast<u32>(data.size()))); }

// A store on a ring of its own; calls block.
struct World {
    explicit World(const std::string& dir, u64 ahead = 0, u64 capacity = kCapacity)
        : ring(Ring::makeOrExit()), pieces(kMaxPiece, 8) {
        StoreOptions o;
        o.capacity = capacity;
        o.segment = segmentBytesFor(capacity);
        o.ahead = ahead;
        store = std::make_unique<Store>(*ring, dir, o, pieces);
        auto started = store->start();
        EXPECT_TRUE(started) << (started ? "" : started.error().message());
    }
    ~World() { runBlocking(*ring, store->stop()); }

    Result<Store::Stored> write(u32 n, u32 length) {
        const BlockId id = blockId(n);
        const Buffer data = bytesOf(n, length);
        auto opened = runBlocking(*ring, store->open(id, length, 1));
        if (!opened) return opened.error();
        for (u32 at = 0; !*opened && at < length; at += kMaxPiece) {
            const u32 some = std::min(kMaxPiece, length - at);
            auto r = runBlocking(*ring, store->piece(id, at, data.slice(at, some), sumsOf(id, data, at, some)));
            if (!r) return r.error();
        }
        return runBlocking(*ring, store->finish(id, length, sumOf(id, data)));
    }
    // Empty: it reads back as written. Else why not.
    std::string check(u32 n, u32 length) {
        const BlockId id = blockId(n);
        const Buffer data = bytesOf(n, length);
        for (u32 at = 0; at < length; at += kMaxPiece) {
            const u32 some = std::min(kMaxPiece, length - at);
            auto r = runBlocking(*ring, store->read(id, at, some));
            if (!r) return r.error().message();
            if (firstBadPage(id, at / kPage, r->data.data(), r->sums) != r->sums.size()) return "sums do not fit the bytes";
            if (std::memcmp(r->data.data(), data.data() + at, some) != 0) return "other bytes";
        }
        return "";
    }
    DiskInfo info() {
        DiskInfo i;
        store->fillInfo(i);
        return i;
    }

    std::unique_ptr<Ring> ring;
    BufferPool pieces;
    std::unique_ptr<Store> store;
};

TEST(Slots, ClassesAreFourPerDoubling) {
    EXPECT_EQ(classOf(1), 0u);
    EXPECT_EQ(classOf(64u << 10), kSmallClasses);
    EXPECT_EQ(classData(classOf((64u << 10) + 1)), 80u << 10);
    EXPECT_EQ(classData(classOf(4u << 20)), 4u << 20);
    EXPECT_EQ(classOf(kMaxBlock), kClasses - 1);
    for (u32 c = kSmallClasses + 1; c < kClasses; c++) EXPECT_LE(classData(c) * 4, classData(c - 1) * 5);
}

TEST(Slots, ReadyOnesGoFirstAndNoneIsGivenTwice) {
    Slots slots(17u << 20);
    const u32 c = classOf(1u << 20);
    slots.addSegment(1, c, false);
    slots.addSegment(2, c, true);
    std::set<Place> given;
    for (u32 i = 0; i < slots.slotsOf(c) * 2; i++) {
        const auto p = slots.allocate(c);
        ASSERT_TRUE(p);
        EXPECT_EQ(p->segment, i < slots.slotsOf(c) ? 2u : 1u);
        EXPECT_TRUE(given.insert(*p).second);
    }
    EXPECT_FALSE(slots.allocate(c));
    EXPECT_EQ(slots.freeBytes(), 0u);
    for (const auto& p : given) slots.release(p);
    EXPECT_EQ(slots.readyBytes(c), slots.slotsOf(c) * 2u * classData(c));
    EXPECT_EQ(slots.emptySegments(), 2u);
    slots.changeClass(1, 0);
    EXPECT_EQ(slots.readyBytes(0), slots.slotsOf(0) * u64{classData(0)}); // its bytes were written
}

TEST(Store, GivesBackWhatWasWrittenInEverySize) {
    Folder folder;
    const std::vector<u32> lengths{4096,     8192,     12288, 20480, 65536, 65536 + 4096, 1u << 20, (1u << 20) + 4096,
                                   4u << 20, kMaxBlock};
    {
        World w(folder.path);
        for (u32 i = 0; i < lengths.size(); i++) {
            auto r = w.write(i, lengths[i]);
            ASSERT_TRUE(r) << r.error().message();
            EXPECT_EQ(w.check(i, lengths[i]), "");
        }
    }
    World again(folder.path);
    for (u32 i = 0; i < lengths.size(); i++) {
        EXPECT_EQ(again.check(i, lengths[i]), "");
        EXPECT_TRUE(*runBlocking(*again.ring, again.store->verify(blockId(i))));
    }
    EXPECT_EQ(again.info().blocks, lengths.size());
    EXPECT_EQ(again.info().unsettled, lengths.size());
}

TEST(Store, ARepeatedWriteIsTheSameBlockAndOtherBytesAreRefused) {
    Folder folder;
    World w(folder.path);
    auto first = w.write(1, 1u << 20), second = w.write(1, 1u << 20);
    ASSERT_TRUE(first && second);
    EXPECT_EQ(first->sum, second->sum);
    const BlockId id = blockId(1);
    EXPECT_EQ(runBlocking(*w.ring, w.store->finish(id, 1u << 20, first->sum ^ 1)).code(), Code::Exists);
    EXPECT_EQ(w.check(1, 1u << 20), "");
}

TEST(Store, PiecesMayComeInAnyOrderAndTwice) {
    Folder folder;
    World w(folder.path);
    const BlockId id = blockId(3);
    const u32 length = 3u << 20;
    const Buffer data = bytesOf(3, length);
    ASSERT_TRUE(runBlocking(*w.ring, w.store->open(id, length, 1)));
    for (const u32 at : {2u << 20, 0u, 2u << 20, 1u << 20})
        ASSERT_TRUE(runBlocking(*w.ring, w.store->piece(id, at, data.slice(at, kMaxPiece), sumsOf(id, data, at, kMaxPiece))));
    // The same place with other bytes is a mistake of the writer's.
    const Buffer other = bytesOf(4, kMaxPiece);
    std::vector<u64> sums(kMaxPiece / kPage);
    makePageSums(id, 0, other.data(), sums);
    EXPECT_EQ(runBlocking(*w.ring, w.store->piece(id, 0, other, sums)).code(), Code::Invalid);
    ASSERT_TRUE(runBlocking(*w.ring, w.store->finish(id, length, sumOf(id, data))));
    EXPECT_EQ(w.check(3, length), "");
}

TEST(Store, RefusesWhatDoesNotFitItsSums) {
    Folder folder;
    World w(folder.path);
    const BlockId id = blockId(1);
    const Buffer data = bytesOf(1, 1u << 20);
    auto sums = sumsOf(id, data, 0, 1u << 20);
    ASSERT_TRUE(runBlocking(*w.ring, w.store->open(id, 1u << 20, 1)));
    EXPECT_EQ(runBlocking(*w.ring, w.store->piece(blockId(2), 0, data, sums)).code(), Code::NotFound); // not open
    EXPECT_EQ(runBlocking(*w.ring, w.store->piece(id, 4096, data, sums)).code(), Code::Invalid);       // beyond `most`
    EXPECT_EQ(runBlocking(*w.ring, w.store->piece(id, 100, data, sums)).code(), Code::Invalid);
    sums[17] ^= 1;
    EXPECT_EQ(runBlocking(*w.ring, w.store->piece(id, 0, data, sums)).code(), Code::Corrupt);
    sums[17] ^= 1;
    ASSERT_TRUE(runBlocking(*w.ring, w.store->piece(id, 0, data, sums)));
    EXPECT_EQ(runBlocking(*w.ring, w.store->finish(id, 2u << 20, 5)).code(), Code::Invalid);
    EXPECT_EQ(runBlocking(*w.ring, w.store->finish(id, 1u << 20, 5)).code(), Code::Corrupt);
    EXPECT_EQ(runBlocking(*w.ring, w.store->finish(id, 1u << 20, 5)).code(), Code::NotFound); // dropped
    EXPECT_EQ(runBlocking(*w.ring, w.store->open(id, kMaxBlock + 1, 1)).code(), Code::Invalid);
    EXPECT_EQ(runBlocking(*w.ring, w.store->open(BlockId{}, 4096, 1)).code(), Code::Invalid);
    EXPECT_EQ(w.info().blocks, 0u);
    EXPECT_EQ(w.info().open, 0u);
}

TEST(Store, AFullDiskTakesNoMoreAndGoesOnServingAndErasingGivesTheRoomBack) {
    Folder folder;
    World w(folder.path);
    u32 n = 0;
    Result<Store::Stored> last = Store::Stored{};
    while ((last = w.write(n, 4u << 20))) ASSERT_LT(++n, 100u);
    EXPECT_EQ(last.code(), Code::NoSpace);
    EXPECT_GE(u64{n} * (4u << 20), kCapacity * 7 / 10); // most of the disk is data
    EXPECT_EQ(w.check(0, 4u << 20), "");
    EXPECT_TRUE(w.write(1000, 4096)); // the small ones may still find room, or not; others are unharmed
    std::vector<BlockId> all;
    for (u32 i = 0; i < n; i++) all.push_back(blockId(i));
    ASSERT_TRUE(runBlocking(*w.ring, w.store->erase(all)));
    EXPECT_EQ(runBlocking(*w.ring, w.store->read(blockId(0), 0, 4096)).code(), Code::NotFound);
    // The same room serves another class.
    for (u32 i = 0; i < 60; i++) ASSERT_TRUE(w.write(2000 + i, 1u << 20)) << i;
    EXPECT_EQ(w.check(2059, 1u << 20), "");
    EXPECT_FALSE(w.store->readOnly());
}

TEST(Store, AnErasedBlocksSlotIsNotReusedWhileItIsRead) {
    Folder folder;
    World w(folder.path);
    const u32 length = 1u << 20;
    ASSERT_TRUE(w.write(1, length));
    for (u32 round = 0; round < 20; round++) {
        // A read and the erasure are under way together; then another block takes the next slot.
        struct Both {
            static Task<bool> run(Store& store, u32 n) {
                bool good = false;
                TaskGroup group;
                group.spawn(readIt(store, n, good));
                std::vector<BlockId> ids{blockId(n)};
                (void)co_await store.erase(ids);
                const BlockId next = blockId(n + 1);
                const Buffer data = bytesOf(n + 1, 1u << 20);
                std::vector<u64> sums = sumsOf(next, data, 0, 1u << 20);
                const auto written = co_await store.write(next, sumOf(next, data), data, sums, 1);
                co_await group.all();
                co_return good&& written;
            }
            static Task<> readIt(Store& store, u32 n, bool& good) {
                const auto r = co_await store.read(blockId(n), 0, 1u << 20);
                good = r && firstBadPage(blockId(n), 0, r->data.data(), r->sums) == r->sums.size();
                co_return Ok{};
            }
        };
        ASSERT_TRUE(runBlocking(*w.ring, Both::run(*w.store, 1 + round)));
    }
    EXPECT_EQ(w.check(21, length), "");
}

TEST(Store, ManyBlocksShareTheirSyncs) {
    Folder folder;
    World w(folder.path, 8u << 20);
    struct Many {
        static Task<bool> run(Store& store, u32 count) {
            TaskGroup group;
            u32 good = 0;
            for (u32 i = 0; i < count; i++) group.spawn(one(store, i, good));
            co_await group.all();
            co_return good == count;
        }
        static Task<> one(Store& store, u32 n, u32& good) {
            const u32 length = n % 3 == 0 ? 8192 : 128u << 10;
            const Buffer data = bytesOf(n, length);
            std::vector<u64> sums = sumsOf(blockId(n), data, 0, length);
            const auto r = co_await store.write(blockId(n), sumOf(blockId(n), data), data, sums, 1);
            good += r.has_value();
            co_return Ok{};
        }
    };
    ASSERT_TRUE(runBlocking(*w.ring, Many::run(*w.store, 200)));
    for (u32 n = 0; n < 200; n++) ASSERT_EQ(w.check(n, n % 3 == 0 ? 8192 : 128u << 10), "");
}

TEST(Store, AskedAboutUntilItsFateIsKnown) {
    Folder folder;
    {
        World w(folder.path);
        for (u32 n = 0; n < 4; n++) ASSERT_TRUE(w.write(n, 4096));
        EXPECT_TRUE(w.store->toAsk(kHour, kHour, 10).empty());
        EXPECT_EQ(w.store->toAsk(0, kHour, 10).size(), 4u);
        EXPECT_TRUE(w.store->toAsk(0, kHour, 10).empty()); // asked: not again for an hour
        EXPECT_EQ(w.store->toAsk(0, 0, 2).size(), 2u);
        ASSERT_TRUE(runBlocking(*w.ring, w.store->settle({blockId(0), blockId(1)})));
        EXPECT_EQ(w.store->toAsk(0, 0, 10).size(), 2u);
    }
    World again(folder.path);
    EXPECT_EQ(again.info().unsettled, 2u);
    ASSERT_TRUE(runBlocking(*again.ring, again.store->erase({blockId(2), blockId(3), blockId(77)})));
    EXPECT_EQ(again.info().unsettled, 0u);
    EXPECT_EQ(again.info().blocks, 2u);
}

TEST(Store, ABitThatRotsIsFoundAndTheBlockAnsweredAsCorrupt) {
    Folder folder;
    {
        World w(folder.path);
        ASSERT_TRUE(w.write(1, 1u << 20));
    }
    {
        std::fstream f(folder.path + "/segments/000001", std::ios::in | std::ios::out | std::ios::binary);
        f.seekp(70'000);
        const char c = static_cast<char>(f.peek() ^ 1);
        f.seekp(70'000);
        f.put(c);
    }
    World w(folder.path);
    EXPECT_FALSE(*runBlocking(*w.ring, w.store->verify(blockId(1))));
    EXPECT_EQ(runBlocking(*w.ring, w.store->read(blockId(1), 0, 4096)).code(), Code::Corrupt);
    EXPECT_EQ(w.info().bad, 1u);
}

// A child writes blocks and says which are durable; it is killed in the middle; what it said is there, whole,
// and whatever else is there is whole too.
TEST(Store, KilledAtAnyMomentItKeepsWholeBlocksOrNone) {
    for (int round = 0; round < 6; round++) {
        Folder folder;
        int pipe_fds[2];
        ASSERT_EQ(pipe(pipe_fds), 0);
        auto lengthOf = [](u32 n) { return n % 4 == 0 ? 8192u : n % 4 == 1 ? 256u << 10 : n % 4 == 2 ? 1u << 20 : 2u << 20; };
        const pid_t child = fork();
        if (child == 0) {
            close(pipe_fds[0]);
            World w(folder.path, 8u << 20);
            for (u32 n = 0; n < 100'000; n++) {
                if (!w.write(n, lengthOf(n))) _exit(1);
                if (::write(pipe_fds[1], &n, sizeof n) != sizeof n) _exit(1);
                if (n >= 20 && !runBlocking(*w.ring, w.store->erase({blockId(n - 20)}))) _exit(1);
            }
            _exit(0);
        }
        close(pipe_fds[1]);
        u32 last = 0;
        const u32 until = 10 + static_cast<u32>(round) * 13;
        while (last < until) ASSERT_EQ(::read(pipe_fds[0], &last, sizeof last), static_cast<ssize_t>(sizeof last));
        kill(child, SIGKILL);
        waitpid(child, nullptr, 0);
        for (u32 n; ::read(pipe_fds[0], &n, sizeof n) == sizeof n;) last = n;
        close(pipe_fds[0]);

        World w(folder.path);
        for (u32 n = last >= 19 ? last - 19 : 0; n <= last; n++)
            ASSERT_EQ(w.check(n, lengthOf(n)), "") << "block " << n << " of " << last;
        auto all = runBlocking(*w.ring, w.store->list(BlockId{}, 4096));
        ASSERT_TRUE(all);
        EXPECT_LE(all->size(), 22u);
        for (const auto& b : *all) ASSERT_EQ(w.check(b.id.n, b.length), "");
        for (u32 n = 0; n < 30; n++) ASSERT_TRUE(w.write(1'000'000 + n, 1u << 20)); // and goes on
    }
}

TEST(Disk, IsNeverMadeByOpeningIt) {
    Folder folder;
    const auto opened = Disk::open(folder.path, kCluster);
    ASSERT_FALSE(opened);
    EXPECT_NE(opened.error().detail.find("skua-blocks format"), std::string::npos);
}

TEST(Disk, IsRefusedToAnotherClusterAndToASecondProcessByNames) {
    Folder folder;
    ASSERT_TRUE(Disk::format(folder.path, kCluster, kCapacity));
    EXPECT_EQ(Disk::format(folder.path, kCluster, kCapacity).code(), Code::Exists);
    const auto foreign = Disk::open(folder.path, ClusterId{0x99});
    ASSERT_FALSE(foreign);
    EXPECT_NE(foreign.error().detail.find("0000000000001234"), std::string::npos);
    EXPECT_NE(foreign.error().detail.find("0000000000000099"), std::string::npos);
    auto mine = Disk::open(folder.path, kCluster);
    ASSERT_TRUE(mine);
    const auto second = Disk::open(folder.path, kCluster);
    ASSERT_EQ(second.code(), Code::Busy);
    EXPECT_NE(second.error().detail.find(std::to_string(getpid())), std::string::npos);
}

TEST(Disk, KeepsItsIdentity) {
    Folder folder;
    ASSERT_TRUE(Disk::format(folder.path, kCluster, kCapacity));
    u64 uuid = 0;
    {
        auto disk = Disk::open(folder.path, kCluster);
        ASSERT_TRUE(disk);
        uuid = disk->info().uuid;
        ASSERT_TRUE(disk->setIdentity(BlockServiceId{9}, Incarnation{2}));
    }
    auto disk = Disk::open(folder.path, kCluster);
    ASSERT_TRUE(disk);
    EXPECT_EQ(disk->info().service, BlockServiceId{9});
    EXPECT_EQ(disk->info().incarnation, Incarnation{2});
    EXPECT_EQ(disk->info().uuid, uuid);
    EXPECT_EQ(disk->info().capacity, kCapacity);
}

TEST(Disk, AFolderWithOtherThingsIsNotFormattedAndAFutureFormatIsRefused) {
    Folder folder;
    std::ofstream(folder.path + "/thesis.txt") << "dear";
    EXPECT_EQ(Disk::format(folder.path, kCluster, kCapacity).code(), Code::NotEmpty);
    std::filesystem::remove(folder.path + "/thesis.txt");
    ASSERT_TRUE(Disk::format(folder.path, kCluster, kCapacity));
    std::ofstream(folder.path + "/FORMAT") << "kind = skua-blocks\nversion = 7\n";
    const auto opened = Disk::open(folder.path, kCluster);
    ASSERT_FALSE(opened);
    EXPECT_NE(opened.error().detail.find("format 7"), std::string::npos);
    std::ofstream(folder.path + "/FORMAT") << "kind = skua-shard\nversion = 1\n";
    EXPECT_FALSE(Disk::open(folder.path, kCluster));
}

} // namespace
} // namespace skua::blocks
