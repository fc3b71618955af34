#include "client/cli/mounts.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include "client/cli/command.h"
#include "core/base/config.h"

namespace skua::cli {

namespace fs = std::filesystem;

namespace {

constexpr int kReadyMs = 60'000; // until the driver serves
constexpr std::size_t kShownUsers = 5;
constexpr u64 kEndMs = 90'000; // until it has committed what it has, and ended

// "\040" in the kernel's table is a space.
std::string plain(const std::string& text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); i++) {
        if (text[i] == '\\' && i + 3 < text.size()) {
            out += static_cast<char>(std::strtol(text.substr(i + 1, 3).c_str(), nullptr, 8));
            i += 3;
        } else {
            out += text[i];
        }
    }
    return out;
}

int runQuietly(const std::vector<std::string>& command) {
    const pid_t pid = fork();
    if (pid == 0) {
        const int null = ::open("/dev/null", O_RDWR);
        for (int fd : {0, 1, 2}) dup2(null, fd);
        std::vector<char*> argv;
        for (const auto& word : command) argv.push_back(const_cast<char*>(word.c_str()));
        argv.push_back(nullptr);
        execvp(argv[0], argv.data());
        _exit(127);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

bool takeAway(const std::string& point, bool lazily) {
    if (geteuid() == 0) return umount2(point.c_str(), lazily ? MNT_DETACH : 0) == 0;
    return runQuietly({"fusermount3", lazily ? "-uz" : "-u", "--", point}) == 0;
}

std::string firstLine(const std::string& path) {
    const std::string text = readWhole(path);
    return text.substr(0, text.find('\n'));
}

// `ended`: the driver that we know to have been there is gone. stat() is no proof: the kernel answers from what it
// remembers for a second more.
Result<> usable(const std::string& point, bool ended) {
    struct stat st;
    struct statfs fs_now;
    const auto gone = [](int r) { return r != 0 && (errno == ENOTCONN || errno == ECONNABORTED); };
    const bool dead = gone(stat(point.c_str(), &st)) || (ended && gone(::statfs(point.c_str(), &fs_now)));
    if (dead && mountedType(point).starts_with("fuse.skua") && !takeAway(point, true))
        return Error(Code::Exists, point + " has a mount whose driver is gone: `skua umount --force " + shellQuoted(point) +
                                       "` takes it away, whoever uses it");
    if (stat(point.c_str(), &st) != 0)
        return Error(fromErrno(errno), point + ": " + std::strerror(errno) + "; make it: mkdir -p " + point);
    if (!S_ISDIR(st.st_mode)) return Error(Code::NotDirectory, point + " is not a directory");
    if (const std::string type = mountedType(point); !type.empty())
        return Error(Code::Exists,
                     point + " has a file system of type " + type + " mounted already" +
                         (type.starts_with("fuse.skua")
                              ? "; `skua umount " + shellQuoted(point) + "` takes it away, with --force although somebody uses it"
                              : std::string()));
    std::error_code ec;
    if (!fs::is_empty(point, ec))
        return Error(Code::NotEmpty, point + " is not empty; mount on an empty directory: mkdir -p " + point + "-skua");
    if (access("/dev/fuse", F_OK) != 0)
        return Error(
            Code::NotSupported,
            "there is no /dev/fuse here: modprobe fuse; in a container: docker run --device /dev/fuse --cap-add SYS_ADMIN");
    if (access("/dev/fuse", R_OK | W_OK) != 0)
        return Error(Code::Denied, "/dev/fuse cannot be used (" + std::string(std::strerror(errno)) +
                                       "); in a container: docker run --device /dev/fuse --cap-add SYS_ADMIN");
    return Ok{};
}

// One line from the driver, or what it managed to say.
std::string await(int fd) {
    std::string line;
    char c;
    pollfd p{fd, POLLIN, 0};
    while (line.size() < 1000 && poll(&p, 1, kReadyMs) > 0 && ::read(fd, &c, 1) == 1 && c != '\n') line += c;
    return line;
}

} // namespace

std::string absolutePoint(const std::string& point) {
    std::error_code ec;
    std::string text = fs::absolute(point, ec).lexically_normal().string();
    while (text.size() > 1 && text.back() == '/') text.pop_back();
    const auto parent = fs::canonical(fs::path(text).parent_path(), ec);
    return ec ? text : (parent / fs::path(text).filename()).string();
}

std::string mountedType(const std::string& point) {
    std::ifstream in("/proc/self/mounts");
    std::string device, at, type, rest, found;
    while (in >> device >> at >> type && std::getline(in, rest))
        if (plain(at) == point) found = type;
    return found;
}

std::vector<std::string> usersOf(const std::string& point) {
    std::vector<std::string> found;
    std::error_code ec;
    for (const auto& entry : fs::directory_iterator("/proc", ec)) {
        const std::string pid = entry.path().filename();
        if (pid.find_first_not_of("0123456789") != pid.npos) continue;
        bool uses = false;
        auto look = [&](const fs::path& link) {
            std::error_code ignored;
            const std::string target = fs::read_symlink(link, ignored).string();
            uses = uses || target == point || target.starts_with(point + "/");
        };
        for (const char* link : {"cwd", "root", "exe"}) look(entry.path() / link);
        std::error_code inner;
        for (const auto& fd : fs::directory_iterator(entry.path() / "fd", inner)) look(fd.path());
        if (uses) found.push_back(firstLine(entry.path() / "comm") + " (pid " + pid + ")");
    }
    return found;
}

LocalCluster keeperOf(const std::string& config) {
    const fs::path dir = fs::path(config).parent_path();
    std::error_code ec;
    if (!config.empty() && fs::exists(dir / "run", ec)) return LocalCluster(dir.string());
    return LocalCluster(homeFolder() + "/.local/state/skua");
}

std::vector<MountPoint> mountsOf(const LocalCluster& keeper) {
    std::vector<MountPoint> all;
    for (const auto& name : keeper.names()) {
        if (!name.starts_with("mount")) continue;
        const std::string line = firstLine(keeper.path("run/" + name + ".transport"));
        const auto equals = line.find("transport=");
        MountPoint m;
        m.name = name;
        m.point = firstLine(keeper.path("run/" + name + ".point"));
        if (equals != line.npos) m.transport = line.substr(equals + 10);
        std::istringstream waiting(keeper.running(name) ? firstLine(keeper.path("run/" + name + ".waiting")) : "");
        if (waiting >> m.waiting_since >> std::ws) std::getline(waiting, m.waiting);
        all.push_back(std::move(m));
    }
    return all;
}

Result<> mountNow(const std::string& config, const std::string& wanted, const std::vector<std::string>& options) {
    const std::string point = absolutePoint(wanted);
    const LocalCluster keeper = keeperOf(config);
    std::error_code ec;
    for (const char* below : {"run", "logs"}) fs::create_directories(keeper.path(below), ec);
    std::string name = "mount";
    std::vector<MountPoint> known = mountsOf(keeper);
    auto taken = [&](const std::string& n) {
        return std::ranges::any_of(known,
                                   [&](const MountPoint& m) { return m.name == n && m.point != point && !keeper.gone(m.name); });
    };
    bool ended = false;
    for (int i = 1; taken(name); i++) name = "mount-" + std::to_string(i);
    for (const MountPoint& m : known) {
        if (m.point != point) continue;
        name = m.name;
        if (keeper.life(name) == Life::kEnding && !keeper.waitGone(name, kEndMs))
            return Error(Code::Busy, "the driver of " + point + " has been told to end and has not: pid " +
                                         std::to_string(keeper.pidOf(name).value_or(0)) + ", log " + keeper.logPath(name));
        struct stat st;
        if (keeper.running(name) && mountedType(point).starts_with("fuse.skua") && stat(point.c_str(), &st) == 0)
            return Ok{}; // the same again
        ended = ended || !keeper.running(name);
    }
    TRY_OK(usable(point, ended));
    if (geteuid() == 0)
        if (std::ofstream on("/sys/module/fuse/parameters/enable_uring"); on) on << "1\n";
    TRY(const std::string program, findProgram("skua-fuse"));
    int ready[2];
    if (pipe(ready) != 0) return Error(Code::Io, "pipe");
    fcntl(ready[0], F_SETFD, FD_CLOEXEC);
    LocalProcess process;
    process.name = name;
    const std::string waiting = keeper.path("run/" + name + ".waiting");
    ::unlink(waiting.c_str());
    process.command = {program, "--ready-fd", std::to_string(ready[1]), "--log", keeper.logPath(name), "--waiting-file", waiting};
    if (!config.empty()) process.command.insert(process.command.end(), {"--config", fs::absolute(config, ec).string()});
    for (const auto& o : options) process.command.insert(process.command.end(), {"-o", o});
    process.command.push_back(point);
    LocalCluster starter = keeper;
    auto started = starter.start(process);
    ::close(ready[1]);
    const std::string line = started ? await(ready[0]) : started.error().message();
    ::close(ready[0]);
    if (!line.starts_with("ok")) {
        (void)keeper.signal(name, SIGTERM);
        (void)keeper.waitGone(name, 5000);
        const std::string why = line.empty() ? keeper.lastLogLine(name) : line;
        keeper.remove(name);
        Error e(Code::Io);
        e.detail =
            point + " could not be mounted: " + (why.empty() ? "skua-fuse said nothing; see " + keeper.logPath(name) : why);
        return e;
    }
    TRY_OK(writeWhole(keeper.path("run/" + name + ".point"), point + "\n"));
    return writeWhole(keeper.path("run/" + name + ".transport"), line + "\n");
}

Result<> unmountNow(const std::string& wanted, bool lazily) {
    const std::string point = absolutePoint(wanted);
    const std::string type = mountedType(point);
    std::vector<LocalCluster> keepers{LocalCluster(homeFolder() + "/.local/state/skua"), LocalCluster(defaultClusterFolder())};
    if (auto config = Config::find(""); config && !config->file().empty())
        keepers.push_back(keeperOf(fs::absolute(config->file()).string()));
    // The driver's own command says which cluster it is of.
    LocalCluster* keeper = nullptr;
    std::string name;
    for (auto& k : keepers)
        for (const auto& m : mountsOf(k))
            if (m.point == point) {
                keeper = &k;
                name = m.name;
            }
    if (type.empty() && keeper && keeper->gone(name)) {
        keeper->remove(name);
        return Ok{};
    }
    if (type.empty()) return Error(Code::Invalid, point + " is not a mount point");
    if (!type.starts_with("fuse.skua")) return Error(Code::Invalid, point + " is not a skua mount but " + type);
    if (!takeAway(point, lazily)) {
        std::string who;
        const auto users = usersOf(point);
        for (std::size_t i = 0; i < users.size() && i < kShownUsers; i++) who += (who.empty() ? "" : ", ") + users[i];
        if (users.size() > kShownUsers) who += " and " + std::to_string(users.size() - kShownUsers) + " more";
        Error e(Code::Busy);
        e.detail = point + (who.empty() ? std::string(" is busy") : " is used by " + who) +
                   "; close these, or `skua umount --force " + shellQuoted(point) + "`: then they hear errors";
        return e;
    }
    if (!keeper) return Ok{};
    if (!keeper->waitGone(name, lazily ? 10'000 : kEndMs))
        return Error(Code::Busy, point + " is gone, but its driver still works: pid " +
                                     std::to_string(keeper->pidOf(name).value_or(0)) + ", log " + keeper->logPath(name));
    keeper->remove(name);
    return Ok{};
}

} // namespace skua::cli
