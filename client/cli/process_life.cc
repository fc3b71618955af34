#include "client/cli/process_life.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <sstream>
#include <vector>
#include "client/cli/local_cluster.h"

namespace skua::cli {

namespace fs = std::filesystem;

namespace {

constexpr u64 kExitingFlag = 0x4; // PF_EXITING of include/linux/sched.h, in field 9 of stat

struct Stat {
    char state = 0; // 0: there is no such process
    u64 flags = 0, started = 0;
};

Stat statOf(const std::string& path) {
    Stat s;
    const std::string text = readWhole(path);
    const auto close = text.rfind(')'); // the name before it may hold anything
    if (close == text.npos || close + 2 >= text.size()) return s;
    std::istringstream in(text.substr(close + 2));
    std::string field;
    for (int i = 3; i <= 22 && in >> field; i++) {
        if (i == 3) s.state = field[0];
        if (i == 9) s.flags = std::strtoull(field.c_str(), nullptr, 10);
        if (i == 22) s.started = std::strtoull(field.c_str(), nullptr, 10);
    }
    return s;
}

bool dead(char state) { return state == 0 || state == 'Z' || state == 'X' || state == 'x'; }

// A zombie's other threads may still be ending, and share its files.
bool anyThreadLives(int pid) {
    std::error_code ec;
    for (const auto& task : fs::directory_iterator("/proc/" + std::to_string(pid) + "/task", ec))
        if (!dead(statOf(task.path().string() + "/stat").state)) return true;
    return false;
}

// Killed, or told to end, and it has not looked yet.
bool hasToEnd(int pid) {
    std::istringstream in(readWhole("/proc/" + std::to_string(pid) + "/status"));
    for (std::string line; std::getline(in, line);) {
        if (!line.starts_with("SigPnd:") && !line.starts_with("ShdPnd:")) continue;
        const u64 pending = std::strtoull(line.c_str() + 7, nullptr, 16);
        for (const int number : {SIGKILL, SIGTERM, SIGINT})
            if (pending >> (number - 1) & 1) return true;
    }
    return false;
}

std::string bootId() {
    const std::string text = readWhole("/proc/sys/kernel/random/boot_id");
    return text.substr(0, text.find('\n'));
}

} // namespace

ProcessMark ProcessMark::of(int pid) { return {pid, startTimeOf(pid), bootId()}; }

ProcessMark ProcessMark::parse(const std::string& text) {
    std::istringstream in(text);
    ProcessMark mark;
    if (!(in >> mark.pid >> mark.started) || mark.pid <= 1) return {};
    in >> mark.boot;
    return mark;
}

std::string ProcessMark::text() const { return std::to_string(pid) + " " + std::to_string(started) + " " + boot + "\n"; }

u64 startTimeOf(int pid) { return statOf("/proc/" + std::to_string(pid) + "/stat").started; }

Life lifeOf(const ProcessMark& mark) {
    if (mark.pid <= 1 || mark.started == 0) return Life::kGone;
    if (!mark.boot.empty() && mark.boot != bootId()) return Life::kGone;
    const Stat s = statOf("/proc/" + std::to_string(mark.pid) + "/stat");
    if (s.started != mark.started) return Life::kGone;
    if (dead(s.state)) return anyThreadLives(mark.pid) ? Life::kEnding : Life::kGone;
    return (s.flags & kExitingFlag) || hasToEnd(mark.pid) ? Life::kEnding : Life::kRuns;
}

Result<> signalTo(const ProcessMark& mark, int number) {
    // What the descriptor means stays the same process; the pid alone may become another's between look and kill.
    const int fd = static_cast<int>(syscall(SYS_pidfd_open, mark.pid, 0));
    const bool old_kernel = fd < 0 && errno == ENOSYS;
    const bool there = (fd >= 0 || old_kernel) && lifeOf(mark) != Life::kGone;
    int failed = there ? 0 : ESRCH;
    if (there && (old_kernel ? ::kill(mark.pid, number) : syscall(SYS_pidfd_send_signal, fd, number, nullptr, 0)) != 0)
        failed = errno;
    if (fd >= 0) ::close(fd);
    if (failed == 0) return Ok{};
    return Error(failed == ESRCH ? Code::NotFound : Code::Io,
                 "process " + std::to_string(mark.pid) + ": " + std::strerror(failed));
}

Result<FileLock> FileLock::take(const std::string& path, u64 limit_ms) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) return Error(Code::Io, path + ": " + std::strerror(errno));
    FileLock lock(fd);
    for (u64 ms = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; ms += 5) {
        if (ms >= limit_ms) return Error(Code::Busy, path + " is held by another command; wait until it is done");
        usleep(5000);
    }
    return lock;
}

FileLock::~FileLock() {
    if (fd_ >= 0) ::close(fd_);
}

int holderOf(const std::string& folder) {
    const std::string path = folder + "/LOCK";
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    const bool held = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    ::close(fd);
    if (!held) return 0;
    const int pid = std::atoi(readWhole(path).c_str());
    return pid > 0 ? pid : 1; // held, by whom it does not say
}

} // namespace skua::cli
