// A hard mount's client: it waits for disks that are away, as long as nobody has said that they are dead.
#include "client/reader.h"
#include "tests/unit/client_world.h"

namespace skua::test {
namespace {

client::Services::Patience hard() {
    client::Services::Patience patience;
    patience.hard = true;
    return patience;
}

Task<> laterDo(World& w, u64 ns, std::function<void()> what) {
    Sleep until(w.clock, ns);
    co_await until;
    what();
    co_return Ok{};
}
void after(World& w, u64 ns, std::function<void()> what) {
    w.client.services.background().spawn(laterDo(w, ns, std::move(what)));
}

void breakSome(World& w, bool silent) {
    for (u32 i : {2u, 4u, 7u, 8u}) (silent ? w.fault(i).silent : w.fault(i).refuse) = true;
}
void mendAll(World& w) {
    for (auto& [id, disk] : w.transport.disks) disk.fault = Fault{};
}
void declareDead(World& w) {
    for (auto& disk : w.transport.map.map->disks)
        for (u32 i : {2u, 4u, 7u, 8u})
            if (disk.id.value == i) disk.state = registry::DiskState::kDead;
    w.transport.map.map->version.number++;
    w.client.cluster.suspectMap();
}

TEST(HardMount, ReadsWaitForDisksThatAreNotLost) {
    for (const bool silent : {false, true}) {
        World w(8, geometry::defaultPolicy(8), 3, hard());
        std::vector<std::string> told;
        w.client.services.setWaiting([&](const std::string& missing) { told.push_back(missing); });
        const std::string data = World::bytes(40u << 20);
        ASSERT_TRUE(w.put("/f", data));
        breakSome(w, silent);
        const u64 start = w.clock.now().value;
        after(w, 5 * kMinute, [&] { mendAll(w); });
        auto back = w.get("/f");
        ASSERT_TRUE(back) << back.error().message();
        EXPECT_TRUE(*back == data);
        const u64 took = w.clock.now().value - start;
        EXPECT_GE(took, 5 * kMinute);
        EXPECT_LT(took, 5 * kMinute + (silent ? 15 : 5) * kSecond);
        ASSERT_EQ(told.size(), 2u) << "once that it waits, once that it is over";
        EXPECT_NE(told[0].find("disk 4 (blocks-4)"), std::string::npos) << told[0];
        EXPECT_EQ(told[1], "");
    }
}

TEST(HardMount, ReadsFailSoonWhereTooManyDisksAreDeclaredDead) {
    World w(8, geometry::defaultPolicy(8), 3, hard());
    ASSERT_TRUE(w.put("/f", World::bytes(40u << 20)));
    breakSome(w, false);
    after(w, kMinute, [&] { declareDead(w); });
    const u64 start = w.clock.now().value;
    auto back = w.get("/f");
    EXPECT_EQ(back.code(), Code::Io);
    EXPECT_NE(back.error().detail.find("disk 4 (blocks-4)"), std::string::npos) << back.error().message();
    const u64 took = w.clock.now().value - start;
    EXPECT_GE(took, kMinute);
    EXPECT_LT(took, kMinute + 5 * kSecond);
    // Who comes now does not wait at all.
    EXPECT_EQ(w.get("/f").code(), Code::Io);
    EXPECT_LT(w.clock.now().value - start - took, 2 * kSecond);
}

TEST(HardMount, AReadThatNobodyWaitsForAnyMoreEnds) {
    World w(8, geometry::defaultPolicy(8), 3, hard());
    ASSERT_TRUE(w.put("/f", World::bytes(40u << 20)));
    auto reader = w.run(w.fs.open("/f"));
    ASSERT_TRUE(reader);
    breakSome(w, false);
    bool killed = false;
    const client::FileReader::Gone gone = [&killed] { return killed; };
    after(w, kMinute, [&killed] { killed = true; });
    const u64 start = w.clock.now().value;
    EXPECT_EQ(w.run((*reader)->pieces(0, 30u << 20, &gone)).code(), Code::Unavailable);
    EXPECT_LT(w.clock.now().value - start, kMinute + 3 * kSecond);
}

TEST(HardMount, WritesWaitForDisksThatAreNotLost) {
    for (const bool silent : {false, true}) {
        World w(8, geometry::defaultPolicy(8), 3, hard());
        u32 told = 0;
        w.client.services.setWaiting([&](const std::string& missing) { told += !missing.empty(); });
        const std::string data = World::bytes(40u << 20);
        breakSome(w, silent);
        const u64 start = w.clock.now().value;
        after(w, 5 * kMinute, [&] { mendAll(w); });
        auto put = w.put("/f", data);
        ASSERT_TRUE(put) << put.error().message();
        EXPECT_GE(w.clock.now().value - start, 5 * kMinute);
        EXPECT_LT(w.clock.now().value - start, 5 * kMinute + (silent ? 40 : 10) * kSecond);
        EXPECT_EQ(told, 1u);
        auto back = w.get("/f");
        ASSERT_TRUE(back) << back.error().message();
        EXPECT_TRUE(*back == data);
    }
}

TEST(HardMount, WritesFailSoonWhereTooManyDisksAreDeclaredDead) {
    World w(8, geometry::defaultPolicy(8), 3, hard());
    breakSome(w, false);
    after(w, kMinute, [&] { declareDead(w); });
    const u64 start = w.clock.now().value;
    auto put = w.put("/f", World::bytes(40u << 20));
    EXPECT_EQ(put.code(), Code::Io) << put.error().message();
    EXPECT_GE(w.clock.now().value - start, kMinute);
    EXPECT_LT(w.clock.now().value - start, kMinute + 10 * kSecond);
}

TEST(HardMount, FullDisksAreNoReasonToWait) {
    World w(8, geometry::defaultPolicy(8), 3, hard());
    for (auto& [id, disk] : w.transport.disks) disk.fault.full = true;
    const u64 start = w.clock.now().value;
    EXPECT_EQ(w.put("/f", World::bytes(40u << 20)).code(), Code::NoSpace);
    EXPECT_LT(w.clock.now().value - start, 5 * kSecond);
}

} // namespace
} // namespace skua::test
