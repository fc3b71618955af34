// What the CLI understands of what people write, and what it remembers of its processes.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cstdlib>
#include <filesystem>
#include "client/cli/admin.h"
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

TEST(Commands, AreNamedByWhatComesNearest) {
    Flags root("skua", "test");
    Settings settings;
    std::string value;
    root.option("--config", value, "A file");
    root.requireCommand();
    Commands all(root, settings);
    for (const char* name : {"cp", "ls", "mv", "status", "admin confirm-dead", "admin set-up"})
        all.add(name, "Does it", "", [] { return 0; });
    const auto told = [&](std::vector<std::string> words) {
        auto done = root.tryParse(std::move(words));
        return done ? std::string("fine") : done.error().detail;
    };
    EXPECT_EQ(told({"frobnicate"}), "unknown command 'frobnicate'; `skua --help` lists them");
    EXPECT_EQ(told({"sl"}), "unknown command 'sl'; did you mean 'ls'? `skua --help` lists them");
    EXPECT_EQ(told({"--config", "cp", "stat"}), "unknown command 'stat'; did you mean 'status'? `skua --help` lists them");
    EXPECT_EQ(told({"admin", "setup"}),
              "unknown command 'admin setup'; did you mean 'admin set-up'? `skua admin --help` lists them");
    EXPECT_EQ(told({"admin"}), "which command? `skua admin --help` lists them");
    EXPECT_EQ(told({"--config=x", "admin", "confirm-dead"}), "fine");
}

TEST(Errors, SayTheReasonOnceAndNoVaguerOne) {
    EXPECT_EQ(told(Error(Code::Io, "/x: Device or resource busy")), "/x: Device or resource busy");
    EXPECT_EQ(told(Error(Code::Busy, "/d: in use by process 12")), "/d: in use by process 12");
    EXPECT_EQ(told(Error(Code::NotFound, "/x: No such file or directory")), "/x: No such file or directory");
    EXPECT_EQ(told(Error(Code::NotFound, "/x")), "no such file or directory: /x");
    EXPECT_EQ(told(Error(Code::Io, "/x")), "input/output error: /x");
    EXPECT_EQ(told(Error(Code::Denied, "10.0.0.1:4: key refused")), "permission denied: 10.0.0.1:4: key refused");
}

TEST(Names, AreQuotedAsGnuLsDoes) { // each of these is what `ls --quoting-style=shell-escape` prints
    for (const auto& [name, shown] :
         std::vector<std::pair<std::string, std::string>>{{"plain-name.txt", "plain-name.txt"},
                                                          {"\xc3\xbcml\xc3\xa4ut", "\xc3\xbcml\xc3\xa4ut"},
                                                          {"two words", "'two words'"},
                                                          {"it's", "\"it's\""},
                                                          {"it's $5", "'it'\\''s $5'"},
                                                          {"a\nb", "'a'$'\\n''b'"},
                                                          {"\x1b[31mred", "''$'\\033''[31mred'"},
                                                          {"a\t\n", "'a'$'\\t\\n'"},
                                                          {"bad\xff", "'bad'$'\\377'"},
                                                          {"#x", "'#x'"},
                                                          {"x#", "x#"}}) {
        EXPECT_EQ(shellQuoted(name), shown) << name;
    }
    EXPECT_NE(shellQuoted("\xe2\x80\xaetxt"), "\xe2\x80\xaetxt"); // it would turn the line around
}

registry::ClusterMap threeGroups() {
    registry::ClusterMap map;
    for (u32 id = 1; id <= 3; id++) {
        registry::ServerRow server;
        server.id = ServerId{id};
        server.name = "shard-" + std::to_string(id);
        map.servers.push_back(server);
    }
    for (u16 n = 0; n < 3; n++) {
        registry::GroupRow row;
        row.id = groupOf(ShardId{n});
        row.formatted = true;
        for (u32 id = 1; id <= 3; id++) row.members.push_back({ServerId{id}, id});
        map.groups.push_back(row);
    }
    return map;
}

TEST(Leaders, MoveUntilNobodyLeadsTwoMoreThanAnother) {
    const registry::ClusterMap map = threeGroups();
    std::map<u32, registry::ServerHint> hints;
    for (u32 id = 1; id <= 3; id++) {
        hints[id].id = ServerId{id};
        hints[id].up = true;
    }
    for (const auto& g : map.groups) hints[1].leads.push_back(g.id);
    int moves = 0;
    while (const auto next = nextLeaderMove(map, hints)) {
        ASSERT_LT(moves++, 5);
        std::erase(hints[next->from.value].leads, next->group);
        hints[next->to.server.value].leads.push_back(next->group);
    }
    EXPECT_EQ(moves, 2);
    for (u32 id = 1; id <= 3; id++) EXPECT_EQ(hints[id].leads.size(), 1u);
    // To who is away nothing is handed over.
    hints[1].leads.push_back(hints[2].leads[0]);
    hints[2] = {};
    EXPECT_FALSE(nextLeaderMove(map, hints));
}

TEST(Disks, AreNamedByTheirNumberOrTheirServer) {
    registry::ClusterMap map = threeGroups();
    for (u32 id = 1; id <= 3; id++) {
        registry::DiskRow disk;
        disk.id = BlockServiceId{id + 10};
        disk.server = ServerId{id == 3 ? 2 : id};
        map.disks.push_back(disk);
    }
    EXPECT_EQ(diskNamed(map, "12")->id.value, 12u);
    EXPECT_EQ(diskNamed(map, "shard-1")->id.value, 11u);
    EXPECT_EQ(diskNamed(map, "shard-2").code(), Code::Invalid); // it has two
    EXPECT_NE(diskNamed(map, "shard-2").error().detail.find("12, 13"), std::string::npos);
    EXPECT_FALSE(diskNamed(map, "shard-3"));
    EXPECT_EQ(serverNamed(map, "2")->name, "shard-2");
    EXPECT_EQ(serverNamed(map, "shard-2")->id.value, 2u);
    EXPECT_FALSE(serverNamed(map, "nobody"));
}

} // namespace
} // namespace skua::cli
