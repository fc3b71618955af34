// A disk that appears on another server while a file is written: what was written to it before is written anew, and nobody
// hears of it.
#include "client/edit.h"
#include "client/reader.h"
#include "tests/unit/client_world.h"

namespace skua::test {
namespace {

// Every block that the file names is where it says.
void expectWhole(World& w, const std::string& path, const std::string& data) {
    auto back = w.get(path);
    ASSERT_TRUE(back) << back.error().message();
    EXPECT_TRUE(*back == data);
    auto reader = w.run(w.fs.open(path));
    ASSERT_TRUE(reader);
    for (u64 at = 0; at < (*reader)->size();) {
        auto span = w.run((*reader)->spanAt(at));
        ASSERT_TRUE(span);
        for (const BlockRef& b : (*span)->blocks) {
            ASSERT_NE(b.service.value, 0u) << "left out, at " << at;
            const auto& blocks = w.transport.disks.at(b.service.value).blocks;
            const auto there = blocks.find(b.id);
            EXPECT_TRUE(there != blocks.end() && there->second.whole) << "at " << at << " on " << b.service.value;
        }
        at = (*span)->end();
    }
}

// Moves two disks that have blocks just before the shards hear the first request of that name.
void moveBefore(World& w, const std::string& request) {
    w.transport.before = [&w, request, moved = false](const std::string& name) mutable {
        if (moved || name != request) return;
        moved = true;
        int left = 2;
        for (auto& [id, disk] : w.transport.disks)
            if (!disk.blocks.empty() && left-- > 0) w.moveDisk(id);
    };
}

TEST(Mend, ACommitWithAnOlderReceiptIsWrittenAnewAndSucceeds) {
    World w;
    moveBefore(w, "CommitFile");
    const std::string data = World::bytes((37u << 20) + 1234);
    auto put = w.put("/f", data);
    ASSERT_TRUE(put) << put.error().message();
    EXPECT_EQ(w.transport.asked["CommitFile"], 2u) << "refused, then taken";
    expectWhole(w, "/f", data);
}

TEST(Mend, SmallSpansToo) {
    World w;
    moveBefore(w, "CommitFile");
    const std::string data = World::bytes(10'000);
    auto put = w.put("/f", data);
    ASSERT_TRUE(put) << put.error().message();
    expectWhole(w, "/f", data);
}

TEST(Mend, WhatIsStagedToo) {
    Policy p = geometry::defaultPolicy(8);
    p.cell = 4096;
    p.span = 16384;
    p.scheme = {{~0ull, 4, 2}};
    World w(8, p);
    moveBefore(w, "StageSpans");
    const std::string data = World::bytes(300 * 16384 + 100);
    auto put = w.put("/f", data);
    ASSERT_TRUE(put) << put.error().message();
    expectWhole(w, "/f", data);
}

TEST(Mend, EditsToo) {
    World w;
    const std::string data = World::bytes(20u << 20);
    auto put = w.put("/f", data);
    ASSERT_TRUE(put);
    moveBefore(w, "EditContent");
    client::Edit edit;
    edit.inode = put->inode;
    edit.append.push_back(Buffer::copyOf(World::bytes(3u << 20, 9)));
    auto edited = w.run(client::editFile(w.client, edit));
    ASSERT_TRUE(edited) << edited.error().message();
    EXPECT_EQ(w.transport.asked["EditContent"], 2u);
    auto back = w.get("/f");
    ASSERT_TRUE(back) << back.error().message();
    EXPECT_TRUE(*back == data + World::bytes(3u << 20, 9));
}

TEST(Mend, WithTooFewBlocksLeftTheErrorIsTold) {
    World w;
    w.transport.before = [&w, moved = false](const std::string& name) mutable {
        if (moved || name != "CommitFile") return;
        moved = true;
        for (u32 i = 1; i <= 8; i++) w.moveDisk(i);
    };
    auto put = w.put("/f", World::bytes(20u << 20));
    EXPECT_FALSE(put);
    EXPECT_EQ(w.get("/f").code(), Code::NotFound) << "no name without its bytes";
}

} // namespace
} // namespace skua::test
