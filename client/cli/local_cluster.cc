#include "client/cli/local_cluster.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include "core/base/config.h"

namespace skua::cli {

namespace fs = std::filesystem;

std::string readWhole(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
}

Result<> writeWhole(const std::string& path, const std::string& text, int mode) {
    const std::string temporary = path + ".new";
    const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (fd < 0) return Error(Code::Io, temporary + ": " + std::strerror(errno));
    const bool fine = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
    ::close(fd);
    if (!fine || std::rename(temporary.c_str(), path.c_str()) != 0) return Error(Code::Io, path + ": " + std::strerror(errno));
    return Ok{};
}

Result<std::string> findProgram(const std::string& name) {
    std::error_code ec;
    const fs::path self = fs::read_symlink("/proc/self/exe", ec);
    for (const fs::path& at : {self.parent_path() / name, self.parent_path() / "../libexec/skua" / name})
        if (access(at.c_str(), X_OK) == 0) return at.string();
    return Error(Code::NotFound, name + " is neither beside " + self.string() + " nor in ../libexec/skua");
}

namespace {

constexpr u64 kEndingMs = 10'000; // until what is ending has ended
constexpr u64 kOthersMs = 30'000; // until another command has started the same process
constexpr u64 kHeldMs = 2'000;    // until a folder is let go that nobody we know of has
constexpr int kPollUs = 5000;

} // namespace

bool LocalCluster::exists() const { return access(configPath().c_str(), R_OK) == 0; }

Result<> LocalCluster::lock() {
    std::error_code ec;
    for (const char* below : {"", "run", "logs"}) fs::create_directories(path(below), ec);
    if (ec) return Error(Code::Io, dir_ + ": " + ec.message());
    const std::string at = path("LOCK");
    const int fd = ::open(at.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) return Error(Code::Io, at + ": " + std::strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        const std::string holder = readWhole(at);
        return Error(Code::Busy,
                     dir_ + " is in use by process " + holder.substr(0, holder.find('\n')) + "; wait until it is done");
    }
    const std::string pid = std::to_string(getpid()) + "\n";
    (void)!ftruncate(fd, 0);
    (void)!pwrite(fd, pid.data(), pid.size(), 0);
    return Ok{}; // kept open, and locked, until we end
}

std::vector<std::string> LocalCluster::names() const {
    std::vector<std::string> all;
    std::error_code ec;
    for (const auto& entry : fs::directory_iterator(path("run"), ec))
        if (entry.path().extension() == ".cmd") all.push_back(entry.path().stem());
    std::sort(all.begin(), all.end(), [](const std::string& a, const std::string& b) {
        return a.size() != b.size() && a.substr(0, 6) == b.substr(0, 6) ? a.size() < b.size() : a < b;
    });
    return all;
}

void LocalCluster::remember(const std::string& name, int pid) const {
    (void)writeWhole(path("run/" + name + ".pid"), ProcessMark::of(pid).text());
}

void LocalCluster::forget(const std::string& name) const { ::unlink(path("run/" + name + ".pid").c_str()); }

void LocalCluster::remove(const std::string& name) const {
    for (const char* kind : {".pid", ".cmd", ".point", ".transport", ".addr", ".waiting"})
        ::unlink(path("run/" + name + kind).c_str());
}

Life LocalCluster::life(const std::string& name) const {
    return lifeOf(ProcessMark::parse(readWhole(path("run/" + name + ".pid"))));
}

std::optional<int> LocalCluster::running(const std::string& name) const {
    const ProcessMark mark = ProcessMark::parse(readWhole(path("run/" + name + ".pid")));
    return lifeOf(mark) == Life::kRuns ? std::optional(mark.pid) : std::nullopt;
}

std::optional<int> LocalCluster::pidOf(const std::string& name) const {
    const ProcessMark mark = ProcessMark::parse(readWhole(path("run/" + name + ".pid")));
    return lifeOf(mark) != Life::kGone ? std::optional(mark.pid) : std::nullopt;
}

Result<std::vector<std::string>> LocalCluster::commandOf(const std::string& name) const {
    std::istringstream in(readWhole(path("run/" + name + ".cmd")));
    std::vector<std::string> command;
    for (std::string line; std::getline(in, line);) command.push_back(line);
    if (command.empty())
        return Error(Code::NotFound, "there is no process " + name + " in " + dir_ + "; `skua cluster status` lists them");
    return command;
}

Result<> LocalCluster::start(const LocalProcess& process) {
    if (running(process.name)) return Ok{};
    std::string text;
    for (const auto& word : process.command) text += word + "\n";
    TRY_OK(writeWhole(path("run/" + process.name + ".cmd"), text));
    const std::string out_path = logPath(process.name); // the daemon appends to it, too
    const int out = ::open(out_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (out < 0) return Error(Code::Io, out_path + ": " + std::strerror(errno));
    const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    std::vector<char*> argv;
    for (const auto& word : process.command) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    // Twice forked: the daemon is nobody's child, so nobody leaves a zombie of it.
    int tell[2];
    if (pipe2(tell, O_CLOEXEC) != 0) return Error(Code::Io, "pipe");
    const pid_t between = fork();
    if (between == 0) {
        setsid();
        const pid_t pid = fork();
        if (pid != 0) {
            (void)!::write(tell[1], &pid, sizeof pid);
            _exit(0);
        }
        dup2(null, 0);
        dup2(out, 1);
        dup2(out, 2);
        (void)!chdir("/");
        execv(argv[0], argv.data());
        const std::string why = std::string(argv[0]) + ": " + std::strerror(errno) + "\n";
        (void)!::write(2, why.data(), why.size());
        _exit(127);
    }
    ::close(out);
    ::close(null);
    ::close(tell[1]);
    pid_t pid = 0;
    const bool told = ::read(tell[0], &pid, sizeof pid) == sizeof pid;
    ::close(tell[0]);
    waitpid(between, nullptr, 0);
    if (!told) return Error(Code::Io, "cannot start " + process.name);
    remember(process.name, pid);
    return Ok{};
}

Result<> LocalCluster::signal(const std::string& name, int number) const {
    const auto sent = signalTo(ProcessMark::parse(readWhole(path("run/" + name + ".pid"))), number);
    if (sent.code() == Code::NotFound) {
        TRY_OK(commandOf(name));
        return Error(Code::NotFound, name + " does not run; `skua cluster start " + name + "` starts it");
    }
    if (!sent) return Error(Code::Io, name + ": " + sent.error().detail);
    return Ok{};
}

std::string LocalCluster::lastLogLine(const std::string& name) const {
    std::ifstream in(logPath(name), std::ios::binary | std::ios::ate);
    if (!in) return {};
    const std::streamoff size = in.tellg(), from = std::max<std::streamoff>(size - 8192, 0);
    in.seekg(from);
    std::string text(static_cast<std::size_t>(size - from), '\0');
    in.read(text.data(), size - from);
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return text.substr(text.rfind('\n') == text.npos ? 0 : text.rfind('\n') + 1);
}

std::string LocalCluster::address(const std::string& name) const {
    const std::string text = readWhole(addressPath(name));
    return text.substr(0, text.find('\n'));
}

Result<> LocalCluster::configure(const std::string& key, const std::string& value) const {
    Config config;
    if (exists()) { TRY(config, Config::load(configPath())); }
    config.set(key, value);
    return writeWhole(configPath(), "# Written by `skua cluster up`; ports change at restarts.\n" + config.text());
}

namespace {

// The same port again, if nobody took it meanwhile: clients and servers that know it go on at once.
bool canListen(const std::string& address) {
    const auto colon = address.rfind(':');
    if (colon == address.npos || address.compare(0, colon, "127.0.0.1") != 0) return false;
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    at.sin_port = htons(static_cast<u16>(std::strtoul(address.c_str() + colon + 1, nullptr, 10)));
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const bool fine = ::bind(fd, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0 && ::listen(fd, 1) == 0;
    ::close(fd);
    return fine;
}

} // namespace

Result<> LocalCluster::mayStart(const LocalProcess& process) const {
    const std::string& name = process.name;
    for (u64 us = 0; life(name) == Life::kEnding; us += kPollUs) {
        if (us >= kEndingMs * 1000)
            return Error(Code::Busy, name + " has been told to end and has not: pid " + std::to_string(pidOf(name).value_or(0)) +
                                         "; `skua cluster kill " + name + "` ends it");
        usleep(kPollUs);
    }
    if (running(name)) return Ok{};
    // Its pid file may be lost, or of another machine: the lock on its data tells.
    for (std::size_t i = 0; i + 1 < process.command.size(); i++) {
        if (process.command[i] != "--dir") continue;
        const std::string& folder = process.command[i + 1];
        int holder = 0;
        for (u64 us = 0; (holder = holderOf(folder)) != 0; us += kPollUs) {
            if (us >= kHeldMs * 1000)
                return Error(Code::Busy, name + " is not known to run, but its folder " + folder + " is in use by process " +
                                             std::to_string(holder) + "; end that first");
            usleep(kPollUs);
        }
    }
    return Ok{};
}

Result<Started> LocalCluster::serve(LocalProcess process, u64 watch_ms, u64 limit_ms) {
    for (u64 us = 0; us < watch_ms * 1000 && running(process.name); us += kPollUs) usleep(kPollUs);
    const auto others = FileLock::take(path("run/" + process.name + ".lock"), kOthersMs);
    if (!others) return others.error();
    TRY_OK(mayStart(process));
    if (auto pid = running(process.name)) return Started{*pid, true};
    const auto slash = process.command[0].rfind('/');
    TRY(process.command[0], findProgram(process.command[0].substr(slash == std::string::npos ? 0 : slash + 1)));
    const std::string before = address(process.name);
    // The kernel lets go of a killed process's sockets a moment after it is gone (io_uring ends in the background).
    bool free = false;
    for (int i = 0; i < 100 && !before.empty() && !free; i++) {
        free = canListen(before);
        if (!free) usleep(3000);
    }
    for (std::size_t i = 0; i + 1 < process.command.size(); i++)
        if (process.command[i] == "--listen") process.command[i + 1] = free ? before : "127.0.0.1:0";
    // The old address goes aside: if the start fails, the next one tries it again.
    const std::string kept = addressPath(process.name) + ".old";
    if (!before.empty()) std::rename(addressPath(process.name).c_str(), kept.c_str());
    TRY_OK(start(process));
    for (u64 ms = 0; ms < limit_ms && address(process.name).empty(); ms += 2) {
        if (!running(process.name)) {
            std::rename(kept.c_str(), addressPath(process.name).c_str());
            return Error(Code::Unavailable, process.name + " ended at its start: " + lastLogLine(process.name));
        }
        usleep(2000);
    }
    if (address(process.name).empty())
        return Error(Code::Unavailable, process.name + " does not listen: " + lastLogLine(process.name));
    ::unlink(kept.c_str());
    if (process.name.starts_with("registry-")) {
        const auto alone = FileLock::take(path("run/configure.lock"), kOthersMs); // several may start at once
        if (!alone) return alone.error();
        std::string all;
        for (const std::string& name : names())
            if (const std::string at = address(name); name.starts_with("registry-") && !at.empty())
                all += (all.empty() ? "" : ", ") + at;
        TRY_OK(configure("registry", all));
    }
    return Started{running(process.name).value_or(0), false};
}

bool LocalCluster::waitGone(const std::string& name, u64 limit_ms) const {
    for (u64 us = 0; !gone(name); us += kPollUs) {
        if (us >= limit_ms * 1000) return false;
        usleep(kPollUs);
    }
    return true;
}

} // namespace skua::cli
