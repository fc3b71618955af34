#include "client/cli/local_cluster.h"

#include <fcntl.h>
#include <sys/file.h>
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

u64 startTimeOf(int pid) {
    const std::string stat = readWhole("/proc/" + std::to_string(pid) + "/stat");
    const auto close = stat.rfind(')');         // the name before it may hold anything
    if (close == stat.npos) return 0;
    std::istringstream in(stat.substr(close + 2));
    std::string field;
    for (int i = 3; i <= 22; i++) in >> field;
    return std::strtoull(field.c_str(), nullptr, 10);
}

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
        return Error(Code::Busy, dir_ + " is in use by process " + holder.substr(0, holder.find('\n')) + "; wait until it is done");
    }
    const std::string pid = std::to_string(getpid()) + "\n";
    (void)!ftruncate(fd, 0);
    (void)!pwrite(fd, pid.data(), pid.size(), 0);
    return Ok{};                                // kept open, and locked, until we end
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
    (void)writeWhole(path("run/" + name + ".pid"), std::to_string(pid) + " " + std::to_string(startTimeOf(pid)) + "\n");
}

void LocalCluster::forget(const std::string& name) const { ::unlink(path("run/" + name + ".pid").c_str()); }

std::optional<int> LocalCluster::running(const std::string& name) const {
    std::istringstream in(readWhole(path("run/" + name + ".pid")));
    int pid = 0;
    u64 started = 0;
    if (!(in >> pid >> started) || pid <= 1) return std::nullopt;
    if (startTimeOf(pid) != started) return std::nullopt;
    const std::string stat = readWhole("/proc/" + std::to_string(pid) + "/stat");
    if (const auto close = stat.rfind(')'); close != stat.npos && close + 2 < stat.size() && stat[close + 2] == 'Z') return std::nullopt;
    return pid;
}

Result<std::vector<std::string>> LocalCluster::commandOf(const std::string& name) const {
    std::istringstream in(readWhole(path("run/" + name + ".cmd")));
    std::vector<std::string> command;
    for (std::string line; std::getline(in, line);) command.push_back(line);
    if (command.empty()) return Error(Code::NotFound, "there is no process " + name + " in " + dir_ + "; `skua cluster status` lists them");
    return command;
}

Result<> LocalCluster::start(const LocalProcess& process) {
    if (running(process.name)) return Ok{};
    std::string text;
    for (const auto& word : process.command) text += word + "\n";
    TRY_OK(writeWhole(path("run/" + process.name + ".cmd"), text));
    const std::string out_path = path("logs/" + process.name + ".out");
    const int out = ::open(out_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
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
    auto pid = running(name);
    if (!pid) return Error(Code::NotFound, name + " does not run in " + dir_);
    if (::kill(*pid, number) != 0) return Error(Code::Io, name + ": " + std::strerror(errno));
    return Ok{};
}

std::string LocalCluster::lastLogLine(const std::string& name) const {
    for (const std::string& at : {logPath(name), path("logs/" + name + ".out")}) {
        std::string text = readWhole(at);
        while (!text.empty() && text.back() == '\n') text.pop_back();
        if (!text.empty()) return text.substr(text.rfind('\n') == text.npos ? 0 : text.rfind('\n') + 1);
    }
    return {};
}

}  // namespace skua::cli
