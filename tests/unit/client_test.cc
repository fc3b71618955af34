// The client library against real shards and a real coordinator in made-up time, with block services that fail.
#include "client/edit.h"
#include "tests/unit/client_world.h"

namespace skua::test {
namespace {

using client::Follow;

Policy fourAndTwo() { return geometry::defaultPolicy(8); }

// --- reading what was written ---------------------------------------------------------------------------

class Sizes : public testing::TestWithParam<u64> {};
TEST_P(Sizes, AFileReadsBackAsItWasWritten) {
    World w;
    const std::string data = World::bytes(GetParam());
    ASSERT_TRUE(w.put("/f", data));
    auto back = w.get("/f");
    ASSERT_TRUE(back) << back.error().message();
    EXPECT_TRUE(*back == data);
}
INSTANTIATE_TEST_SUITE_P(Writer, Sizes,
                         testing::Values(0, 1, 4096, 4097, 100'000, 128u << 10, (128u << 10) + 1, 1u << 20, (1u << 20) + 8,
                                         (4u << 20) + 12'344, 16u << 20, (16u << 20) + 8, 40'000'000));

TEST(Writer, SmallContentsStayInTheShard) {
    World w;
    ASSERT_TRUE(w.put("/f", World::bytes(4096)));
    for (auto& [id, disk] : w.transport.disks) EXPECT_EQ(disk.writes, 0u);
    EXPECT_EQ(w.transport.asked["CommitFile"], 1u);
    EXPECT_EQ(w.transport.asked["ReserveIds"], 1u);
}

TEST(Writer, BlocksOfASpanAreInDistinctDomainsAndWhole) {
    World w;
    ASSERT_TRUE(w.put("/f", World::bytes(20u << 20)));
    auto reader = w.run(w.fs.open("/f"));
    ASSERT_TRUE(reader);
    for (u64 at = 0; at < (*reader)->size();) {
        auto span = w.run((*reader)->spanAt(at));
        ASSERT_TRUE(span);
        EXPECT_EQ((*span)->geometry, (Geometry{4, 2, 256u << 10}));
        std::set<u32> services;
        for (auto& b : (*span)->blocks) services.insert(b.service.value);
        EXPECT_EQ(services.size(), 6u);
        at = (*span)->end();
    }
}

TEST(Writer, HolesCostNothingAndReadAsZeros) {
    World w;
    struct Sparse final : client::Source {
        int turn = 0;
        std::string head = World::bytes(10'000), tail = World::bytes(70'000, 8);
        Task<Result<Some>> next() override {
            Some some;
            const int now = turn++;
            if (now == 0) some.bytes = {reinterpret_cast<const u8*>(head.data()), head.size()};
            if (now == 1) some.hole = 100u << 20;
            if (now == 2) some.hole = 1u << 20;
            if (now == 3) some.bytes = {reinterpret_cast<const u8*>(tail.data()), tail.size()};
            if (now == 4) some.hole = 1u << 20;
            co_return some;
        }
    } source;
    auto put = w.run(w.fs.putFile("/f", {}, source));
    ASSERT_TRUE(put) << put.error().message();
    EXPECT_EQ(put->size, 80'000u + (102u << 20));
    EXPECT_LT(put->stored, 200'000u);
    auto back = w.get("/f");
    ASSERT_TRUE(back);
    EXPECT_TRUE(*back == source.head + std::string(101u << 20, '\0') + source.tail + std::string(1u << 20, '\0'));
    auto reader = w.run(w.fs.open("/f"));
    EXPECT_EQ(*w.run((*reader)->seekHole(0)), 10'000u);
    EXPECT_EQ(*w.run((*reader)->seekData(10'001)), 10'000u + (101u << 20));
    EXPECT_EQ(w.run((*reader)->seekData(put->size - 5)).code(), Code::NoAttribute);
}

TEST(Writer, ManySpansAreStagedFirst) {
    Policy p = fourAndTwo();
    p.cell = 4096;
    p.span = 16384;
    p.scheme = {{~0ull, 4, 2}};
    World w(8, p);
    const std::string data = World::bytes(300 * 16384 + 100);
    ASSERT_TRUE(w.put("/f", data));
    EXPECT_GE(w.transport.asked["StageSpans"], 3u);
    auto back = w.get("/f");
    ASSERT_TRUE(back) << back.error().message();
    EXPECT_TRUE(*back == data);
}

// --- writing around failures ------------------------------------------------------------------------------

u32 blocksOnService(World& w, const std::string& path, u32 service, u32* left_out = nullptr) {
    auto reader = w.run(w.fs.open(path));
    u32 n = 0;
    for (u64 at = 0; at < (*reader)->size();) {
        auto span = w.run((*reader)->spanAt(at));
        for (auto& b : (*span)->blocks) {
            n += b.service.value == service;
            if (left_out && b.service.value == 0) ++*left_out;
        }
        at = (*span)->end();
    }
    return n;
}

class WriteFaults : public testing::TestWithParam<int> {};
TEST_P(WriteFaults, ABlockOfAFailingServiceIsWrittenElsewhere) {
    World w;
    for (u32 bad : {2u, 5u}) {
        Fault& f = w.fault(bad);
        if (GetParam() == 0) f.refuse = true;
        if (GetParam() == 1) f.silent = true;
        if (GetParam() == 2) f.full = true;
        if (GetParam() == 3) f.delay_ns = 3 * kSecond;
    }
    const u64 start = w.clock.now().value;
    const std::string data = World::bytes(50u << 20);
    auto put = w.put("/f", data);
    ASSERT_TRUE(put) << put.error().message();
    EXPECT_LT(w.clock.now().value - start, 20 * kSecond);
    u32 left_out = 0;
    EXPECT_EQ(blocksOnService(w, "/f", 2, &left_out), 0u);
    EXPECT_EQ(blocksOnService(w, "/f", 5), 0u);
    EXPECT_EQ(left_out, 0u);
    auto back = w.get("/f");
    ASSERT_TRUE(back) << back.error().message();
    EXPECT_TRUE(*back == data);
}
INSTANTIATE_TEST_SUITE_P(Writer, WriteFaults, testing::Values(0, 1, 2, 3));

TEST(Writer, WithTooFewDomainsFewerBlocksAreCommittedAndOwed) {
    World w;
    for (u32 i : {1u, 2u, 3u}) w.fault(i).refuse = true;
    const std::string data = World::bytes(5u << 20);
    auto put = w.put("/f", data);
    ASSERT_TRUE(put) << put.error().message();
    u32 left_out = 0;
    (void)blocksOnService(w, "/f", 0, &left_out);
    EXPECT_EQ(left_out, 1u);
    EXPECT_TRUE(*w.get("/f") == data);
}

TEST(Writer, TooFewServicesThatAnswerAreNamedAndWaitedForOnce) {
    World w;
    for (u32 i : {1u, 2u, 3u, 4u}) w.fault(i).refuse = true;
    u64 start = w.clock.now().value;
    auto put = w.put("/f", World::bytes(5u << 20));
    EXPECT_EQ(put.code(), Code::Io) << put.error().message();
    EXPECT_NE(put.error().detail.find("5 needed"), std::string::npos) << put.error().message();
    EXPECT_NE(put.error().detail.find("4 of 8 answer; do not answer: 1 2 3 4"), std::string::npos) << put.error().message();
    EXPECT_LT(w.clock.now().value - start, 7 * kSecond);
    EXPECT_EQ(w.run(w.fs.stat("/f")).code(), Code::NotFound);
    start = w.clock.now().value;
    EXPECT_EQ(w.put("/g", World::bytes(50u << 20)).code(), Code::Io);
    EXPECT_LT(w.clock.now().value - start, 2 * kSecond);
    for (u32 i : {1u, 2u, 3u, 4u}) w.fault(i).refuse = false;
    (void)w.run(sleepFor(w.clock, 40 * kSecond));
    EXPECT_TRUE(w.put("/g", World::bytes(50u << 20)));
}

TEST(Writer, FullDisksAreNoSpaceAtOnceAndUsedAgainWhenTheyHaveRoom) {
    World w;
    for (auto& [id, disk] : w.transport.disks) disk.fault.full = true;
    for (int i = 0; i < 3; i++) {
        const u64 start = w.clock.now().value;
        auto put = w.put("/f", World::bytes(50u << 20));
        EXPECT_EQ(put.code(), Code::NoSpace) << put.error().message();
        EXPECT_NE(put.error().detail.find("0 of 8 have"), std::string::npos) << put.error().message();
        EXPECT_LT(w.clock.now().value - start, 500 * kMillisecond);
    }
    for (auto& [id, disk] : w.transport.disks) disk.fault.full = false;
    (void)w.run(sleepFor(w.clock, 6 * kSecond));
    EXPECT_TRUE(w.put("/f", World::bytes(50u << 20)));
}

TEST(Writer, WhatAFailedWriteStoredIsGivenBack) {
    World w;
    // The first spans find room, later ones do not.
    client::FileWriter writer(w.client, fourAndTwo(), ShardId{0});
    const std::string data = World::bytes(40u << 20);
    const std::span<const u8> bytes{reinterpret_cast<const u8*>(data.data()), data.size()};
    ASSERT_TRUE(w.run(writer.append(bytes)));
    (void)w.run(sleepFor(w.clock, kSecond));
    for (auto& [id, disk] : w.transport.disks) disk.fault.full = true;
    (void)w.run(writer.append(bytes));
    EXPECT_EQ(w.run(writer.finish()).code(), Code::NoSpace);
    const u64 before = w.run(w.client.metadata.usage())->garbage_blocks;
    (void)w.run(writer.giveUp());
    EXPECT_EQ(w.transport.asked["AbandonBlocks"], 1u);
    EXPECT_GE(w.run(w.client.metadata.usage())->garbage_blocks, before + 12);
    // Whole files say it by themselves.
    (void)w.run(sleepFor(w.clock, 6 * kSecond));
    for (auto& [id, disk] : w.transport.disks) disk.fault.full = id > 3;
    EXPECT_EQ(w.put("/f", data).code(), Code::NoSpace);
    EXPECT_EQ(w.transport.asked["AbandonBlocks"], 2u);
}

TEST(Writer, SomeFullAndSomeAwayIsSaidOfEach) {
    World w;
    for (u32 i : {1u, 2u}) w.fault(i).refuse = true;
    for (u32 i : {3u, 4u, 5u}) w.fault(i).full = true;
    auto put = w.put("/f", World::bytes(50u << 20));
    EXPECT_EQ(put.code(), Code::NoSpace) << put.error().message();
    EXPECT_NE(put.error().detail.find("3 of 8 have; do not answer: 1 2; full: 3 4 5"), std::string::npos)
        << put.error().message();
}

TEST(Writer, ADiskWithoutRoomForLargeBlocksStillTakesSmallOnes) {
    World w;
    for (auto& [id, disk] : w.transport.disks) disk.fault.full_from = 64u << 10;
    for (auto& hint : w.transport.map.disks) { // no whole segment is left
        hint.free = 0;
        hint.used = 1;
    }
    EXPECT_TRUE(w.run(w.client.cluster.refresh()));
    EXPECT_EQ(w.put("/large", World::bytes(5u << 20)).code(), Code::NoSpace);
    const std::string small = World::bytes(8u << 10);
    auto put = w.put("/small", small);
    ASSERT_TRUE(put) << put.error().message();
    EXPECT_TRUE(*w.get("/small") == small);
}

TEST(Writer, RoomIsAskedForAnewWhereOthersMayHaveTakenIt) {
    for (const bool little : {false, true}) {
        World w;
        for (auto& d : w.transport.map.disks) d.free = little ? 1ull << 30 : 1ull << 39;
        ASSERT_TRUE(w.run(w.client.cluster.refresh()));
        const u64 before = w.client.services.roomIn(5);
        for (auto& d : w.transport.map.disks) d.free = 0, d.used = 1;
        // A second later little room may be gone, much is not; after a pause nobody knows.
        (void)w.run(sleepFor(w.clock, 1500 * kMillisecond));
        (void)w.run(w.client.services.freshenRoom(before));
        EXPECT_EQ(w.client.services.roomIn(5) < 1u << 20, little);
        (void)w.run(sleepFor(w.clock, kMinute));
        (void)w.run(w.client.services.freshenRoom(before));
        EXPECT_LT(w.client.services.roomIn(5), 1u << 20);
    }
    // A registry that is away costs a moment, not each time.
    World w;
    (void)w.run(sleepFor(w.clock, kMinute));
    w.transport.registry_away = true;
    const u64 start = w.clock.now().value;
    for (int i = 0; i < 100; i++) (void)w.run(w.client.services.freshenRoom(1ull << 39));
    EXPECT_LT(w.clock.now().value - start, 300 * kMillisecond);
}

TEST(Writer, AWriterThatIsGivenUpLeavesNothingRunning) {
    World w;
    {
        client::FileWriter writer(w.client, fourAndTwo(), ShardId{0});
        const std::string data = World::bytes(7u << 20);
        ASSERT_TRUE(w.run(writer.append({reinterpret_cast<const u8*>(data.data()), data.size()})));
    }
}

// --- reading around failures ----------------------------------------------------------------------------------

TEST(Reader, EveryPairOfLostServicesIsDecodedAround) {
    const std::string data = World::bytes((16u << 20) + 345'678);
    for (u32 a = 1; a <= 8; a++)
        for (u32 b = a + 1; b <= 8; b++) {
            World w;
            ASSERT_TRUE(w.put("/f", data));
            w.fault(a).refuse = w.fault(b).refuse = true;
            const u64 start = w.clock.now().value;
            auto back = w.get("/f");
            ASSERT_TRUE(back) << a << " " << b << " " << back.error().message();
            ASSERT_TRUE(*back == data) << a << " " << b;
            EXPECT_LT(w.clock.now().value - start, kSecond);
        }
}

TEST(Reader, ASilentServiceCostsLessThanASecondOnce) {
    World w;
    const std::string data = World::bytes(64u << 20);
    ASSERT_TRUE(w.put("/f", data));
    w.fault(3).silent = true;
    const u64 start = w.clock.now().value;
    auto back = w.get("/f");
    ASSERT_TRUE(back && *back == data);
    EXPECT_LT(w.clock.now().value - start, kSecond);
    const u64 again = w.clock.now().value;
    back = w.get("/f");
    ASSERT_TRUE(back && *back == data);
    EXPECT_LT(w.clock.now().value - again, 200 * kMillisecond);
}

TEST(Reader, WrongBytesNeverComeBackAndAreReported) {
    World w;
    const std::string data = World::bytes(20u << 20);
    ASSERT_TRUE(w.put("/f", data));
    w.fault(1).wrong_bytes = w.fault(4).wrong_bytes = true;
    auto back = w.get("/f");
    ASSERT_TRUE(back) << back.error().message();
    EXPECT_TRUE(*back == data);
    (void)w.run(sleepFor(w.clock, kSecond));
    EXPECT_GE(w.transport.asked["ReportBad"], 1u);
}

TEST(Reader, TooMuchDamageIsCorruptAndNotOtherBytes) {
    World w;
    ASSERT_TRUE(w.put("/f", World::bytes(20u << 20)));
    for (auto& [id, disk] : w.transport.disks) disk.fault.wrong_bytes = true;
    EXPECT_EQ(w.get("/f").code(), Code::Corrupt);
}

TEST(Reader, WaitsForServicesThatComeBack) {
    World w;
    const std::string data = World::bytes(9u << 20);
    ASSERT_TRUE(w.put("/f", data));
    for (auto& [id, disk] : w.transport.disks) disk.fault.refuse = true;
    struct Healer final : Timer {
        World& w;
        explicit Healer(World& world) : w(world) {}
        void fire() override {
            for (auto& [id, disk] : w.transport.disks) disk.fault.refuse = false;
        }
    } healer(w);
    w.clock.arm(healer, Monotonic{w.clock.now().value + 3 * kSecond});
    auto back = w.get("/f");
    ASSERT_TRUE(back) << back.error().message();
    EXPECT_TRUE(*back == data);
}

TEST(Reader, TooFewServicesAreNamedAndWaitedForOnce) {
    for (const bool silent : {false, true}) {
        World w;
        const std::string data = World::bytes(40u << 20);
        ASSERT_TRUE(w.put("/f", data));
        for (u32 i : {2u, 4u, 7u, 8u}) (silent ? w.fault(i).silent : w.fault(i).refuse) = true;
        u64 start = w.clock.now().value;
        auto back = w.get("/f");
        EXPECT_EQ(back.code(), Code::Io);
        EXPECT_NE(back.error().detail.find("need 4 of 6 disks"), std::string::npos) << back.error().message();
        EXPECT_NE(back.error().detail.find("disk 4 (blocks-4)"), std::string::npos) << back.error().message();
        EXPECT_LT(w.clock.now().value - start, (silent ? 12 : 5) * kSecond);
        // Whoever comes next does not wait for them once more.
        start = w.clock.now().value;
        EXPECT_EQ(w.get("/f").code(), Code::Io);
        EXPECT_LT(w.clock.now().value - start, kSecond);
        // But hears of it soon when they are back.
        for (auto& [id, disk] : w.transport.disks) disk.fault = Fault{};
        (void)w.run(sleepFor(w.clock, 2 * kSecond));
        (void)w.get("/f");
        (void)w.run(sleepFor(w.clock, kSecond));
        back = w.get("/f");
        ASSERT_TRUE(back) << back.error().message();
        EXPECT_TRUE(*back == data);
    }
}

TEST(Reader, SmallReadsAnywhereGiveTheirBytes) {
    World w;
    const std::string data = World::bytes(18u << 20);
    ASSERT_TRUE(w.put("/f", data));
    auto reader = w.run(w.fs.open("/f"));
    ASSERT_TRUE(reader);
    Random random(3);
    w.fault(2).refuse = true;
    for (int i = 0; i < 300; i++) {
        const u64 offset = random.below(data.size() + 1000), length = 1 + random.below(i % 3 ? 9000 : 3'000'000);
        std::string into(length, 'x');
        auto n = w.run((*reader)->read(offset, {reinterpret_cast<u8*>(into.data()), into.size()}));
        ASSERT_TRUE(n) << n.error().message();
        const u64 want = offset >= data.size() ? 0 : std::min<u64>(length, data.size() - offset);
        ASSERT_EQ(*n, want);
        ASSERT_TRUE(std::string_view(into).substr(0, want) ==
                    std::string_view(data).substr(std::min<u64>(offset, data.size()), want));
    }
}

TEST(Reader, ASmallReadAsksForItsPagesOnly) {
    World w;
    ASSERT_TRUE(w.put("/f", World::bytes(18u << 20)));
    auto reader = w.run(w.fs.open("/f"));
    std::string into(4096, 'x');
    ASSERT_TRUE(w.run((*reader)->read(5u << 20, {reinterpret_cast<u8*>(into.data()), into.size()})));
    u64 reads = 0;
    for (auto& [id, disk] : w.transport.disks) reads += disk.reads;
    EXPECT_EQ(reads, 1u);
}

TEST(Reader, EverySchemeReadsBackWithItsParityLost) {
    for (auto [data, parity] : {std::pair<u8, u8>{1, 0}, {1, 2}, {2, 1}, {3, 3}, {10, 4}}) {
        Policy p = fourAndTwo();
        p.scheme = {{~0ull, data, parity}};
        p.span = 0;
        World w(16, p);
        const std::string bytes = World::bytes(data * (9u << 20) / 2 + 777);
        ASSERT_TRUE(w.put("/f", bytes));
        auto reader = w.run(w.fs.open("/f"));
        auto span = w.run((*reader)->spanAt(0));
        ASSERT_TRUE(span);
        std::vector<u32> lost;
        for (u8 i = 0; i < parity; i++) lost.push_back((*span)->blocks[i].service.value);
        for (u32 service : lost) w.fault(service).refuse = true;
        std::string into((*span)->length, 'x');
        auto n = w.run((*reader)->read(0, {reinterpret_cast<u8*>(into.data()), into.size()}));
        ASSERT_TRUE(n) << int(data) << "+" << int(parity) << " " << n.error().message();
        EXPECT_TRUE(into == bytes.substr(0, into.size())) << int(data) << "+" << int(parity);
    }
}

TEST(Client, UnderChangingFaultsWhatWasAcknowledgedReadsBack) {
    for (u64 seed = 1; seed <= 12; seed++) {
        World w;
        Random random(seed);
        std::map<std::string, std::string> model;
        u32 refused = 0;
        for (int round = 0; round < 25; round++) {
            for (auto& [id, disk] : w.transport.disks) disk.fault = {};
            // Two services at most are broken while reading: what 4 + 2 promises.
            for (u64 n = random.below(3); n > 0; n--) {
                Fault& f = w.fault(1 + static_cast<u32>(random.below(8)));
                switch (random.below(6)) {
                    case 0: f.refuse = true; break;
                    case 1: f.silent = true; break;
                    case 2: f.full = true; break;
                    case 3: f.wrong_bytes = true; break;
                    case 4: f.delay_ns = 50 * kMillisecond + random.below(2 * kSecond); break;
                    case 5: f.forgets = true; break;
                }
            }
            const std::string path = "/f" + std::to_string(random.below(4));
            if (random.oneIn(2) || !model.contains(path)) {
                const u64 seed_of_bytes = random.next(); // before the size: compilers choose the order of arguments
                const std::string data = World::bytes(8 * random.below(3'000'000), seed_of_bytes);
                auto put = w.put(path, data);
                if (put) model[path] = data;
                else refused++;
            } else {
                auto back = w.get(path);
                ASSERT_TRUE(back) << "seed " << seed << " round " << round << " " << back.error().message();
                ASSERT_TRUE(*back == model[path]) << "seed " << seed << " round " << round;
            }
            (void)w.run(sleepFor(w.clock, random.below(3 * kSecond)));
        }
        EXPECT_LT(refused, 5u) << "seed " << seed;
    }
}

TEST(Cluster, WorksOnWithTheOldMapWhileTheRegistryIsAway) {
    World w;
    w.transport.registry_away = true;
    const std::string data = World::bytes(3u << 20);
    ASSERT_TRUE(w.put("/f", data));
    EXPECT_TRUE(*w.get("/f") == data);
}

// --- edits -----------------------------------------------------------------------------------------------------

Buffer bufferOf(const std::string& s) { return Buffer::copyOf(s); }

TEST(Edit, RandomEditsGiveWhatAStringWouldHave) {
    Policy p = fourAndTwo();
    p.cell = 16384;
    p.span = 256u << 10;
    World w(8, p);
    Random random(11);
    std::string model = World::bytes(900'000);
    auto put = w.put("/f", model);
    ASSERT_TRUE(put);
    for (int i = 0; i < 60; i++) {
        client::Edit edit;
        edit.inode = put->inode;
        edit.policy = p;
        if (random.oneIn(4)) {
            edit.cut = random.below(random.oneIn(3) ? 5000 : model.size() + 300'000);
            model.resize(std::min<u64>(model.size(), *edit.cut));
        }
        if (random.oneIn(5)) {
            const u64 from = random.below(model.size() + 1), n = random.below(400'000);
            edit.holes.push_back({from, {}});
            edit.hole_lengths.push_back(n);
            for (u64 k = from; k < std::min<u64>(from + n, model.size()); k++) model[k] = 0;
        }
        for (u64 n = random.below(4); n > 0; n--) {
            const u64 at = random.below(model.size() + (random.oneIn(5) ? 500'000 : 1));
            const std::string piece = World::bytes(1 + random.below(random.oneIn(4) ? 300'000 : 5000), random.next());
            edit.pieces.push_back({at, bufferOf(piece)});
            if (model.size() < at + piece.size()) model.resize(at + piece.size(), '\0');
            model.replace(at, piece.size(), piece);
        }
        if (random.oneIn(3)) {
            const std::string tail = World::bytes(random.below(20'000) + 1, random.next());
            edit.append.push_back(bufferOf(tail));
            model += tail;
        }
        if (edit.cut && random.oneIn(2)) {
            edit.size = model.size() + random.below(200'000);
            model.resize(*edit.size, '\0');
        }
        auto done = w.run(client::editFile(w.client, edit));
        ASSERT_TRUE(done) << i << " " << done.error().message();
        ASSERT_EQ(done->size, model.size()) << i;
        auto back = w.get("/f");
        ASSERT_TRUE(back) << i << " " << back.error().message();
        ASSERT_TRUE(*back == model) << i;
    }
}

TEST(Edit, TwoWritersOfOneFileMergeTheirRanges) {
    World w;
    std::string model = World::bytes(6u << 20);
    auto put = w.put("/f", model);
    ASSERT_TRUE(put);
    struct Both {
        static Task<> one(World& w, InodeId inode, u64 at, std::string bytes, Result<Attributes>& out) {
            client::Edit edit;
            edit.inode = inode;
            edit.pieces.push_back({at, bufferOf(bytes)});
            out = co_await client::editFile(w.client, std::move(edit));
            co_return Ok{};
        }
        static Task<> all(World& w, InodeId inode, Result<Attributes>& a, Result<Attributes>& b) {
            TaskGroup group;
            group.spawn(one(w, inode, 1000, std::string(5000, 'a'), a));
            group.spawn(one(w, inode, 3000, std::string(9000, 'b'), b));
            (void)co_await group.all();
            co_return Ok{};
        }
    };
    Result<Attributes> a = Error(Code::Invalid), b = Error(Code::Invalid);
    (void)w.run(Both::all(w, put->inode, a, b));
    ASSERT_TRUE(a) << a.error().message();
    ASSERT_TRUE(b) << b.error().message();
    auto back = w.get("/f");
    ASSERT_TRUE(back);
    EXPECT_EQ(back->substr(1000, 2000), std::string(2000, 'a'));
    EXPECT_EQ(back->substr(6000, 6000), std::string(6000, 'b'));
    EXPECT_EQ(back->substr(12'000), model.substr(12'000));
}

TEST(Edit, AnOldReaderKeepsReadingWhatItOpened) {
    World w;
    const std::string data = World::bytes(3u << 20);
    auto put = w.put("/f", data);
    auto reader = w.run(w.fs.open("/f"));
    ASSERT_TRUE(reader);
    client::Edit edit;
    edit.inode = put->inode;
    edit.pieces.push_back({0, bufferOf("new")});
    ASSERT_TRUE(w.run(client::editFile(w.client, edit)));
    std::string into(data.size(), 'x');
    ASSERT_TRUE(w.run((*reader)->read(0, {reinterpret_cast<u8*>(into.data()), into.size()})));
    EXPECT_TRUE(into == data);
}

// --- names ---------------------------------------------------------------------------------------------------------

TEST(Path, LinksDotsAndErrorsAreAsUsersExpect) {
    World w;
    ASSERT_TRUE(w.run(w.fs.mkdir("/a/b/c", 0755, {}, true)));
    ASSERT_TRUE(w.put("/a/b/f", "hello"));
    ASSERT_TRUE(w.run(w.fs.symlink("../b/f", "/a/b/link", {})));
    ASSERT_TRUE(w.run(w.fs.symlink("/a/b", "/dir", {})));
    ASSERT_TRUE(w.run(w.fs.symlink("loop", "/loop", {})));
    EXPECT_EQ(*w.get("/a/b/link"), "hello");
    EXPECT_EQ(*w.get("//dir/./c/../f"), "hello");
    EXPECT_EQ(w.run(w.fs.stat("/dir", Follow::kNotLast))->inode.type(), InodeType::kSpecial);
    EXPECT_TRUE(w.run(w.fs.stat("/dir/"))->inode.isDirectory());
    EXPECT_EQ(w.run(w.fs.stat("/loop")).code(), Code::Invalid);
    EXPECT_EQ(w.run(w.fs.stat("/a/b/f/x")).code(), Code::NotDirectory);
    auto missing = w.run(w.fs.stat("/a/nothing/here"));
    EXPECT_EQ(missing.code(), Code::NotFound);
    EXPECT_NE(missing.error().detail.find("/a/nothing"), std::string::npos);
    EXPECT_TRUE(w.run(w.fs.stat("/"))->inode == kRoot);
    EXPECT_EQ(w.run(w.fs.list("/a/b"))->size(), 3u);
}

TEST(Files, MoveRemoveAndBringBackTrees) {
    World w;
    ASSERT_TRUE(w.run(w.fs.mkdir("/t/u/v", 0755, {}, true)));
    for (int i = 0; i < 20; i++) ASSERT_TRUE(w.put("/t/u/f" + std::to_string(i), "x" + std::to_string(i)));
    ASSERT_TRUE(w.run(w.fs.rename("/t/u", "/moved")));
    EXPECT_EQ(*w.get("/moved/f7"), "x7");
    ASSERT_TRUE(w.run(w.fs.link("/moved/f7", "/t/other")));
    EXPECT_EQ(*w.get("/t/other"), "x7");
    auto removed = w.run(w.fs.removeTree("/moved"));
    ASSERT_TRUE(removed) << removed.error().message();
    EXPECT_EQ(*removed, 22u);
    EXPECT_EQ(w.run(w.fs.stat("/moved")).code(), Code::NotFound);
    auto back = w.run(w.fs.undeleteTree("/moved"));
    ASSERT_TRUE(back) << back.error().message();
    EXPECT_EQ(*back, 22u);
    EXPECT_EQ(*w.get("/moved/f19"), "x19");
}

TEST(Files, EarlierContentsAreVersions) {
    World w;
    ASSERT_TRUE(w.put("/f", "one"));
    ASSERT_TRUE(w.put("/f", "two"));
    auto versions = w.run(w.fs.versions("/f"));
    ASSERT_TRUE(versions);
    ASSERT_EQ(versions->size(), 1u);
    ASSERT_TRUE(w.run(w.fs.undelete("/f", "/old")));
    EXPECT_EQ(*w.get("/old"), "one");
    EXPECT_EQ(*w.get("/f"), "two");
}

TEST(Files, PoliciesAreInheritedDownTheTree) {
    World w;
    ASSERT_TRUE(w.run(w.fs.mkdir("/p/q", 0755, {}, true)));
    auto dir = w.run(w.fs.stat("/p"));
    Policy own;
    own.scheme = {{~0ull, 2, 1}};
    auto set = w.run(w.client.metadata.setPolicy(dir->inode, own));
    ASSERT_TRUE(set) << set.error().message();
    EXPECT_EQ(*set, 2u);
    ASSERT_TRUE(w.put("/p/q/f", World::bytes(1u << 20)));
    auto reader = w.run(w.fs.open("/p/q/f"));
    auto span = w.run((*reader)->spanAt(0));
    EXPECT_EQ((*span)->geometry.data, 2);
    EXPECT_EQ((*span)->geometry.parity, 1);
}

TEST(Files, CopyWithinAndSpace) {
    World w;
    const std::string data = World::bytes(5u << 20);
    ASSERT_TRUE(w.put("/f", data));
    ASSERT_TRUE(w.run(w.fs.copyFile("/f", "/g", {})));
    EXPECT_TRUE(*w.get("/g") == data);
    ASSERT_TRUE(w.run(w.fs.truncate("/g", 100)));
    EXPECT_EQ(*w.get("/g"), data.substr(0, 100));
    auto space = w.run(w.fs.space());
    ASSERT_TRUE(space);
    EXPECT_EQ(space->disks_up, 8u);
    EXPECT_GT(space->free_logical, 0u);
}

TEST(Files, FreeIsWhatCanStillBeWritten) {
    World w;
    for (auto& hint : w.transport.map.disks) {
        hint.free = hint.id.value <= 4 ? 0 : 1ull << 30;
        hint.used = 1;
    }
    auto space = w.run(w.fs.space());
    ASSERT_TRUE(space);
    EXPECT_EQ(space->disks_full, 4u);
    EXPECT_EQ(space->free, 4ull << 30);
    EXPECT_EQ(space->free_logical, 0u); // five disks must have room
    for (auto& hint : w.transport.map.disks) hint.free = 1ull << 30;
    EXPECT_EQ(w.run(w.fs.space())->free_logical, (8ull << 30) / 6 * 4);
    w.transport.map.disks[0].free = 1ull << 38; // one large disk helps only as far as the others go along
    EXPECT_EQ(w.run(w.fs.space())->free_logical, (7ull << 30) / 5 * 4);
    for (auto& hint : w.transport.map.disks) hint.free = hint.id.value <= 3 ? 0 : 1ull << 30;
    EXPECT_EQ(w.run(w.fs.space())->free_logical, 4ull << 30); // with five blocks of six
}

} // namespace
} // namespace skua::test
