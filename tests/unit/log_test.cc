#include "core/base/log.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include "core/base/config.h"
#include "core/base/flags.h"
#include "core/base/hmac.h"

namespace skua {
namespace {

struct Folder {
    std::string path = "/tmp/skua_log_XXXXXX";
    Folder() { EXPECT_NE(nullptr, mkdtemp(path.data())); }
    ~Folder() { std::filesystem::remove_all(path); }
    std::string write(const std::string& name, const std::string& text) const {
        std::ofstream(path + "/" + name) << text;
        return path + "/" + name;
    }
    std::string read(const std::string& name) const {
        std::ifstream in(path + "/" + name);
        std::stringstream s;
        s << in.rdbuf();
        return s.str();
    }
};

struct Environment {
    std::string name;
    Environment(const std::string& n, const std::string& value) : name(n) { setenv(n.c_str(), value.c_str(), 1); }
    ~Environment() { unsetenv(name.c_str()); }
};

TEST(Log, WritesOneLineAnEvent) {
    Folder folder;
    ASSERT_TRUE(log::start({.path = folder.path + "/deep/x.log"}));
    log::debug("not at this level");
    log::info("opened dir={} entries={}", "/a", 3);
    log::error("two\nlines");
    ASSERT_TRUE(log::start({}));
    const std::string text = folder.read("deep/x.log");
    EXPECT_NE(std::string::npos, text.find(" info opened dir=/a entries=3\n"));
    EXPECT_NE(std::string::npos, text.find(" error two?lines\n"));
    EXPECT_EQ(std::string::npos, text.find("not at this level"));
}

TEST(Log, CountsWhatItLeavesOut) {
    log::OncePerSecond often;
    EXPECT_TRUE(often.allow());
    EXPECT_EQ("", often.skipped());
    EXPECT_FALSE(often.allow());
    EXPECT_FALSE(often.allow());
}

TEST(Log, SaysWhichLevelsThereAre) {
    EXPECT_EQ(log::Level::kWarn, *log::levelOf("warn"));
    const auto bad = log::levelOf("loud");
    ASSERT_FALSE(bad);
    EXPECT_NE(std::string::npos, bad.error().detail.find("'loud'"));
}

TEST(Config, ReadsLinesAndComments) {
    const auto c = Config::parse("# about\n cluster = 00000000000000ff # its id\n\nRegistry=1.2.3.4:5, [::1]:6\nkey = /a#b\n",
                                 "/etc/x.conf");
    ASSERT_TRUE(c);
    EXPECT_EQ(255u, c->cluster()->value);
    EXPECT_EQ((std::vector<std::string>{"1.2.3.4:5", "[::1]:6"}), *c->registry());
    EXPECT_EQ("/a#b", c->path("key"));
}

TEST(Config, NamesTheLineThatIsWrong) {
    const auto bad = Config::parse("a = 1\nnonsense\n", "skua.conf");
    ASSERT_FALSE(bad);
    EXPECT_NE(std::string::npos, bad.error().detail.find("skua.conf line 2"));
    EXPECT_FALSE(Config::parse("a = 1\na = 2\n", "skua.conf"));
}

TEST(Config, PathsAreRelativeToTheFile) {
    Folder folder;
    const auto file = folder.write("skua.conf", "key = local.key\n");
    const auto c = Config::load(file);
    ASSERT_TRUE(c);
    EXPECT_EQ(folder.path + "/local.key", c->path("key"));
    Environment env("SKUA_KEY", "other.key");
    EXPECT_EQ("other.key", c->path("key"));
}

TEST(Config, SearchesInTheDocumentedOrder) {
    Folder folder;
    Environment home("HOME", folder.path);
    std::filesystem::create_directories(folder.path + "/.local/share/skua/default");
    std::filesystem::create_directories(folder.path + "/.config/skua");
    folder.write(".local/share/skua/default/skua.conf", "registry = default\n");
    EXPECT_EQ("default", Config::find("")->get("registry"));
    folder.write(".config/skua/skua.conf", "registry = home\n");
    EXPECT_EQ("home", Config::find("")->get("registry"));
    Environment file("SKUA_CONFIG", folder.write("env.conf", "registry = env\n"));
    EXPECT_EQ("env", Config::find("")->get("registry"));
    const auto flag = folder.write("flag.conf", "registry = flag\n");
    EXPECT_EQ("flag", Config::find(flag)->get("registry"));
    Environment variable("SKUA_REGISTRY", "variable");
    EXPECT_EQ("variable", Config::find(flag)->get("registry"));
    EXPECT_FALSE(Config::find(folder.path + "/not there"));
}

TEST(Config, SaysWhatToDoWhereNothingIsKnown) {
    const auto none = Config().registry();
    ASSERT_FALSE(none);
    EXPECT_NE(std::string::npos, none.error().detail.find("skua cluster up"));
}

TEST(Flags, ReadsCommonOnesAndLists) {
    Flags flags("skua-test", "Tests.");
    Common common;
    flags.common(common);
    u64 cache = 256;
    flags.option("--cache-mib", cache, "Memory");
    ASSERT_TRUE(flags.tryParse({"--dir", "/d", "--registry", "a:1,b:2", "--cache-mib", "12"}));
    EXPECT_EQ("/d", common.dir);
    EXPECT_EQ((std::vector<std::string>{"a:1", "b:2"}), common.registry);
    EXPECT_EQ((std::vector<std::string>{"127.0.0.1:0"}), common.listen);
    EXPECT_EQ(12u, cache);
    EXPECT_TRUE(flags.given("--dir"));
    EXPECT_FALSE(flags.given("--domain"));
}

TEST(Flags, HasCommandsWithTheirOwn) {
    Flags flags("skua-test", "Tests.");
    std::vector<std::string> dirs;
    bool force = false;
    Flags& format = flags.command("format", "Makes a disk");
    format.positional("DIR", dirs, "Where");
    format.flag("--force", force, "Even so");
    Flags& other = flags.command("other", "Something else");
    ASSERT_TRUE(flags.tryParse({"format", "--force", "/a", "/b"}));
    EXPECT_TRUE(format.chosen());
    EXPECT_FALSE(other.chosen());
    EXPECT_TRUE(force);
    EXPECT_EQ((std::vector<std::string>{"/a", "/b"}), dirs);
}

TEST(Flags, SaysWhatIsWrong) {
    Flags flags("skua-test", "Tests.");
    const auto bad = flags.tryParse({"--nonsense"});
    ASSERT_FALSE(bad);
    EXPECT_NE(std::string::npos, bad.error().detail.find("--nonsense"));
}

TEST(FlagsDeathTest, PrintsItsThreeVersions) {
    const char* arguments[] = {"skua-test", "--version"};
    EXPECT_EXIT(
        {
            ::dup2(2, 1);
            Flags flags("skua-test", "Tests.");
            flags.parse(2, const_cast<char**>(arguments));
        },
        testing::ExitedWithCode(0), "release .*, protocol 1, format 1");
}

TEST(FlagsDeathTest, EndsWith2OnAUsageError) {
    const char* arguments[] = {"skua-test", "--nonsense"};
    EXPECT_EXIT(
        {
            Flags flags("skua-test", "Tests.");
            flags.parse(2, const_cast<char**>(arguments));
        },
        testing::ExitedWithCode(2), "nonsense");
}

TEST(Flags, RaisesTheLimitOfOpenFiles) {
    EXPECT_TRUE(raiseFileLimit());
    rlimit r{};
    getrlimit(RLIMIT_NOFILE, &r);
    EXPECT_EQ(r.rlim_max, r.rlim_cur);
}

// --- HMAC and HKDF ----------------------------------------------------------------------------------

std::string hex(std::span<const u8> bytes) {
    std::string out;
    for (u8 b : bytes) {
        char two[3];
        std::snprintf(two, sizeof two, "%02x", b);
        out += two;
    }
    return out;
}

TEST(Hmac, AnswersAsRfc4231Says) {
    const std::vector<u8> key(20, 0x0b);
    EXPECT_EQ("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
              hex(Hmac(std::span<const u8>(key)).full("Hi There")));
    const std::vector<u8> longer(131, 0xaa);
    EXPECT_EQ("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
              hex(Hmac(std::span<const u8>(longer)).full("Test Using Larger Than Block-Size Key - Hash Key First")));
}

TEST(Hmac, DerivesAsRfc5869Says) {
    std::vector<u8> salt, secret(22, 0x0b);
    for (u8 i = 0; i <= 12; i++) salt.push_back(i);
    std::string info;
    for (int i = 0xf0; i <= 0xf9; i++) info += static_cast<char>(i);
    std::array<u8, 42> out;
    hkdf(salt, secret, info, out);
    EXPECT_EQ("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865", hex(out));
}

TEST(Hmac, TruncatesToTheFirstHalf) {
    MacKey key{};
    key[3] = 9;
    const auto whole = Hmac(key).full("bytes");
    EXPECT_TRUE(equalConstantTime(std::span(whole).first(16), macOf(key, "bytes")));
    EXPECT_FALSE(equalConstantTime(whole, macOf(key, "bytes")));
    EXPECT_FALSE(equalConstantTime(macOf(key, "bytes"), macOf(key, "byteS")));
    EXPECT_NE(deriveKey(key, "a"), deriveKey(key, "b"));
}

} // namespace
} // namespace skua
