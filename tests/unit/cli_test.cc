// What the CLI understands of what people write, and what it remembers of its processes.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cstdlib>
#include <filesystem>
#include "client/cli/command.h"
#include "client/cli/interrupt.h"
#include "client/cli/local_cluster.h"
#include "client/cli/modes.h"

namespace skua::cli {
namespace {

struct Scratch {
    std::string dir;
    Scratch() {
        char name[] = "/tmp/skua-cli-test-XXXXXX";
        dir = mkdtemp(name);
    }
    ~Scratch() {
        std::error_code ec;
        std::filesystem::remove_all(dir, ec);
    }
};

TEST(Modes, AreOctalOrAsChmodHasThem) {
    EXPECT_EQ(*applyMode("644", 0), 0644u);
    EXPECT_EQ(*applyMode("u+x,go-w", 0666), 0744u);
    EXPECT_EQ(*applyMode("a=r", 0777), 0444u);
    EXPECT_EQ(*applyMode("+x", 0644), 0755u);
    EXPECT_EQ(*applyMode("go=", 0755), 0700u);
    EXPECT_EQ(*applyMode("a+X", 0644), 0644u);
    EXPECT_EQ(*applyMode("a+X", S_IFDIR | 0644), 0755u);
    EXPECT_EQ(*applyMode("u+s,+t", 0755), 05755u);
    for (const char* wrong : {"", "x", "u+q", "9", "77777", "u+x,", ",", "u"}) EXPECT_FALSE(applyMode(wrong, 0)) << wrong;
}

TEST(Numbers, HaveUnits) {
    EXPECT_EQ(*parseBytes("4096"), 4096u);
    EXPECT_EQ(*parseBytes("64K"), 65536u);
    EXPECT_EQ(*parseBytes("1.5GiB"), 3u << 29);
    EXPECT_EQ(*parseDuration("90"), 90 * kSecond);
    EXPECT_EQ(*parseDuration("12h"), 12 * kHour);
    for (const char* wrong : {"", "x", "-1", "5Q", "1e40", "99999999999E"}) EXPECT_FALSE(parseBytes(wrong)) << wrong;
    for (const char* wrong : {"", "d", "-1s", "5y", "1e30d"}) EXPECT_FALSE(parseDuration(wrong)) << wrong;
}

TEST(Paths, InSkuaBeginWithSkuaOrASlash) {
    EXPECT_EQ(*remotePath("skua:/a/b"), "/a/b");
    EXPECT_EQ(*remotePath("skua:"), "/");
    EXPECT_EQ(*remotePath("/a"), "/a");
    EXPECT_FALSE(remotePath("a/b"));
    EXPECT_FALSE(remotePath("skua:a"));
    EXPECT_FALSE(remotePath(""));
    EXPECT_FALSE(isRemote("./skua:x"));
}

TEST(LocalCluster, TellsAReusedPidFromItsOwnProcess) {
    Scratch scratch;
    std::filesystem::create_directories(scratch.dir + "/run");
    const LocalCluster cluster(scratch.dir);
    cluster.remember("shard-0", getpid());
    EXPECT_EQ(cluster.running("shard-0"), getpid());
    ASSERT_TRUE(writeWhole(cluster.path("run/shard-0.pid"), std::to_string(getpid()) + " 1\n"));
    EXPECT_FALSE(cluster.running("shard-0"));
    ASSERT_TRUE(writeWhole(cluster.path("run/shard-0.pid"), "nonsense\n"));
    EXPECT_FALSE(cluster.running("shard-0"));
    EXPECT_FALSE(cluster.running("never-started"));
}

TEST(LocalCluster, ChangesOneLineOfItsConfiguration) {
    Scratch scratch;
    const LocalCluster cluster(scratch.dir);
    ASSERT_TRUE(cluster.configure("registry", "127.0.0.1:1"));
    ASSERT_TRUE(cluster.configure("key", "local.key"));
    ASSERT_TRUE(cluster.configure("registry", "127.0.0.1:2"));
    const std::string text = readWhole(cluster.configPath());
    EXPECT_NE(text.find("registry = 127.0.0.1:2\n"), text.npos);
    EXPECT_NE(text.find("key = local.key\n"), text.npos);
    EXPECT_EQ(text.find("127.0.0.1:1\n"), text.npos);
}

TEST(Temporary, GoesAwayUnlessItGotItsName) {
    Scratch scratch;
    const std::string lost = scratch.dir + "/lost", kept = scratch.dir + "/kept";
    ASSERT_TRUE(writeWhole(lost, "x"));
    ASSERT_TRUE(writeWhole(kept, "x"));
    {
        Temporary a(lost), b(kept);
        b.keep();
    }
    EXPECT_NE(access(lost.c_str(), F_OK), 0);
    EXPECT_EQ(access(kept.c_str(), F_OK), 0);
}

TEST(Commands, EachHasHelpAndAnExample) {
    Flags root("skua", "test");
    Settings settings;
    Commands all(root, settings);
    bool ran = false;
    std::string path;
    Flags& f = all.add("group verb", "Does it", "skua group verb /x", [&ran] {
        ran = true;
        return 7;
    });
    f.positional("PATH", path, "Where");
    ASSERT_TRUE(root.tryParse({"group", "verb", "/x"}));
    EXPECT_EQ(all.run(), 7);
    EXPECT_TRUE(ran);
    EXPECT_EQ(path, "/x");
    bool found = false;
    for (const FlagInfo& info : f.describe())
        if (info.name == "PATH") found = info.positional && info.required && info.takes_value;
    EXPECT_TRUE(found);
}

} // namespace
} // namespace skua::cli
