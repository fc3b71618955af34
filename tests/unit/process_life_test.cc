// Whether the process of a pid file lives: reused pids, zombies, what is ending, and who holds a folder.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include "client/cli/local_cluster.h"

namespace skua::cli {
namespace {

struct Scratch {
    std::string dir;
    Scratch() {
        char name[] = "/tmp/skua-life-test-XXXXXX";
        dir = mkdtemp(name);
    }
    ~Scratch() {
        std::error_code ec;
        std::filesystem::remove_all(dir, ec);
    }
};

// A child that does `body` and then waits to be killed; `ready` once body is done.
struct Child {
    pid_t pid = 0;
    explicit Child(const std::function<void()>& body) {
        int ready[2];
        EXPECT_EQ(pipe(ready), 0);
        pid = fork();
        if (pid == 0) {
            body();
            (void)!::write(ready[1], "x", 1);
            for (;;) pause();
        }
        char c;
        EXPECT_EQ(::read(ready[0], &c, 1), 1);
        ::close(ready[0]);
        ::close(ready[1]);
    }
    ~Child() {
        ::kill(pid, SIGKILL);
        waitpid(pid, nullptr, 0);
    }
};

void untilZombie(pid_t pid) {
    siginfo_t info;
    EXPECT_EQ(waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT), 0);
}

TEST(ProcessLife, IsOfTheVeryProcessAndNotOfItsPid) {
    const ProcessMark self = ProcessMark::of(getpid());
    EXPECT_EQ(lifeOf(self), Life::kRuns);
    EXPECT_EQ(lifeOf(ProcessMark::parse(self.text())), Life::kRuns);
    ProcessMark other = self;
    other.started++;
    EXPECT_EQ(lifeOf(other), Life::kGone);
    other = self;
    other.boot = "another boot of this machine";
    EXPECT_EQ(lifeOf(other), Life::kGone);
    other.boot.clear(); // as older pid files are
    EXPECT_EQ(lifeOf(other), Life::kRuns);
}

TEST(ProcessLife, OfOneThatWasGoneBeforeItWasRememberedIsGone) {
    pid_t pid = fork();
    if (pid == 0) _exit(0);
    waitpid(pid, nullptr, 0);
    EXPECT_EQ(lifeOf(ProcessMark::of(pid)), Life::kGone); // not "it starts at 0, as the one that is not there does"
    for (const char* wrong : {"", "nonsense", "1 5", "-7 5", "7"}) EXPECT_EQ(lifeOf(ProcessMark::parse(wrong)), Life::kGone);
}

TEST(ProcessLife, AZombieIsGone) {
    Child child([] {});
    const ProcessMark mark = ProcessMark::of(child.pid);
    EXPECT_EQ(lifeOf(mark), Life::kRuns);
    ::kill(child.pid, SIGKILL);
    untilZombie(child.pid);
    EXPECT_EQ(lifeOf(mark), Life::kGone);
    EXPECT_NE(startTimeOf(child.pid), 0u); // though its pid is still there
}

TEST(ProcessLife, WhoHasBeenToldToEndIsEndingUntilItIsGone) {
    Child child([] {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigprocmask(SIG_BLOCK, &set, nullptr);
    });
    const ProcessMark mark = ProcessMark::of(child.pid);
    EXPECT_EQ(lifeOf(mark), Life::kRuns);
    EXPECT_TRUE(signalTo(mark, SIGTERM));
    EXPECT_EQ(lifeOf(mark), Life::kEnding);
    EXPECT_TRUE(signalTo(mark, SIGKILL));
    untilZombie(child.pid);
    EXPECT_EQ(lifeOf(mark), Life::kGone);
}

TEST(ProcessLife, NoSignalReachesAnotherProcessOfThatPid) {
    Child innocent([] {});
    ProcessMark mark = ProcessMark::of(innocent.pid);
    mark.started--;
    EXPECT_EQ(signalTo(mark, SIGKILL).code(), Code::NotFound);
    EXPECT_EQ(signalTo(ProcessMark{}, SIGKILL).code(), Code::NotFound);
    int status = 0;
    EXPECT_EQ(waitpid(innocent.pid, &status, WNOHANG), 0);
}

TEST(FileLock, IsHeldByOneAtATimeAndSaysSo) {
    Scratch scratch;
    const std::string path = scratch.dir + "/x.lock";
    {
        auto one = FileLock::take(path, 0);
        ASSERT_TRUE(one);
        EXPECT_EQ(FileLock::take(path, 0).code(), Code::Busy);
        FileLock moved = std::move(*one);
        EXPECT_EQ(FileLock::take(path, 0).code(), Code::Busy);
    }
    EXPECT_TRUE(FileLock::take(path, 0));
}

TEST(LocalCluster, StartsNoneBesideOneThatHoldsTheFolder) {
    Scratch scratch;
    std::filesystem::create_directories(scratch.dir + "/run");
    std::filesystem::create_directories(scratch.dir + "/data");
    const LocalCluster cluster(scratch.dir);
    const LocalProcess process{"shard-0", {"skua-shard", "--dir", scratch.dir + "/data"}};
    EXPECT_TRUE(cluster.mayStart(process)); // no LOCK
    {
        Child holder([&] {
            const std::string path = scratch.dir + "/data/LOCK";
            const int fd = ::open(path.c_str(), O_RDWR | O_CREAT, 0644);
            (void)!flock(fd, LOCK_EX);
            const std::string pid = std::to_string(getpid());
            (void)!::write(fd, pid.data(), pid.size());
        });
        const auto may = cluster.mayStart(process);
        ASSERT_EQ(may.code(), Code::Busy);
        EXPECT_NE(may.error().detail.find("process " + std::to_string(holder.pid)), std::string::npos) << may.error().detail;
    }
    EXPECT_TRUE(cluster.mayStart(process));
}

} // namespace
} // namespace skua::cli
