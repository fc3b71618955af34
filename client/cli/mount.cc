// mount and umount: starts skua-fuse detached and waits until it serves.
#include <fcntl.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <sys/wait.h>
#include <thread>
#include "client/cli/all.h"
#include "client/cli/cluster_options.h"
#include "core/base/config.h"

namespace skua::cli {

namespace fs = std::filesystem;

namespace {

// The file system type mounted at `point`, "" if none is.
std::string mountedType(const std::string& point) {
    std::ifstream in("/proc/self/mounts");
    std::string device, at, type, rest, found;
    while (in >> device >> at >> type && std::getline(in, rest)) {
        std::string plain;
        for (std::size_t i = 0; i < at.size(); i++) {
            if (at[i] == '\\' && i + 3 < at.size()) {
                plain += static_cast<char>(std::stoi(at.substr(i + 1, 3), nullptr, 8));
                i += 3;
            } else {
                plain += at[i];
            }
        }
        if (plain == point) found = type;
    }
    return found;
}

// Who keeps files or a folder of `point` open: "name (pid 12)".
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
        look(entry.path() / "cwd");
        std::error_code inner;
        for (const auto& fd : fs::directory_iterator(entry.path() / "fd", inner)) look(fd.path());
        if (!uses) continue;
        std::string name = readWhole(entry.path() / "comm");
        if (!name.empty() && name.back() == '\n') name.pop_back();
        found.push_back(name + " (pid " + pid + ")");
    }
    return found;
}

std::string absolute(const std::string& point) {
    std::error_code ec;
    auto at = fs::absolute(point, ec).lexically_normal();
    std::string text = at.string();
    while (text.size() > 1 && text.back() == '/') text.pop_back();
    // Resolves links above the mount point without touching it (it may be dead).
    const auto parent = fs::canonical(fs::path(text).parent_path(), ec);
    return ec ? text : (parent / fs::path(text).filename()).string();
}

int mountHere(const Settings& settings, const std::string& point, const std::vector<std::string>& options) {
    std::string config = settings.config;
    if (config.empty()) {
        auto found = Config::find("");
        if (!found) return fail(found.error());
        config = found->file();
    }
    if (config.empty()) return fail("no cluster is configured: start one with `skua cluster up`, or say --config FILE");
    std::error_code ec;
    config = fs::absolute(config, ec).string();
    const fs::path run = fs::path(config).parent_path() / "run";
    if (!fs::exists(run)) return mountAt(settings, point, options, nullptr);
    LocalCluster cluster(run.parent_path().string());
    Settings ours = settings;
    ours.config = config;
    return mountAt(ours, point, options, &cluster);
}

}  // namespace

int mountAt(const Settings& settings, const std::string& wanted, const std::vector<std::string>& options, const LocalCluster* cluster) {
    const std::string point = absolute(wanted);
    struct stat st;
    if (stat(point.c_str(), &st) != 0 && (errno == ENOTCONN || errno == ECONNABORTED)) {       // a driver that died: its mount is cleared
        if (umount2(point.c_str(), MNT_DETACH) != 0) (void)!std::system(("fusermount3 -uz '" + point + "' 2>/dev/null").c_str());
    }
    if (stat(point.c_str(), &st) != 0) return fail(point + ": " + std::strerror(errno) + "; make it: mkdir -p " + point);
    if (!S_ISDIR(st.st_mode)) return fail(point + " is not a directory");
    if (const std::string type = mountedType(point); type.starts_with("fuse.skua")) return kFine;       // the same again
    else if (!type.empty()) return fail(point + " has a file system of type " + type + " mounted already");
    std::error_code ec;
    if (!fs::is_empty(point, ec)) return fail(point + " is not empty; mount on an empty directory: mkdir -p " + point + "-skua");
    if (access("/dev/fuse", R_OK | W_OK) != 0)
        return fail("/dev/fuse cannot be used (" + std::string(std::strerror(errno)) + "); in a container: docker run --device /dev/fuse --cap-add SYS_ADMIN");
    if (geteuid() == 0)
        if (std::ofstream on("/sys/module/fuse/parameters/enable_uring"); on) on << "1\n";
    auto program = findProgram("skua-fuse");
    if (!program) return fail(program.error());

    int ready[2];
    if (pipe(ready) != 0) return fail("pipe");
    fcntl(ready[0], F_SETFD, FD_CLOEXEC);
    const std::string dir = cluster ? cluster->dir() : fs::temp_directory_path().string();
    const std::string log = cluster ? cluster->logPath("mount") : dir + "/skua-fuse-" + std::to_string(getpid()) + ".log";
    std::vector<std::string> command{*program, "--ready-fd", std::to_string(ready[1]), "--log", log};
    if (!settings.config.empty()) command.insert(command.end(), {"--config", settings.config});
    for (const auto& o : options) command.insert(command.end(), {"-o", o});
    command.push_back(point);
    std::vector<char*> argv;
    for (const auto& word : command) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    const std::string out_path = cluster ? cluster->path("logs/mount.out") : "/dev/null";
    const int out = ::open(out_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    int told[2];
    if (pipe2(told, O_CLOEXEC) != 0) return fail("pipe");
    const pid_t between = fork();
    if (between == 0) {
        setsid();
        const pid_t pid = fork();
        if (pid != 0) {
            (void)!::write(told[1], &pid, sizeof pid);
            _exit(0);
        }
        dup2(null, 0);
        dup2(out, 1);
        dup2(out, 2);
        (void)!chdir("/");
        execv(argv[0], argv.data());
        _exit(127);
    }
    ::close(ready[1]);
    ::close(out);
    ::close(null);
    ::close(told[1]);
    pid_t pid = 0;
    (void)!::read(told[0], &pid, sizeof pid);
    ::close(told[0]);
    waitpid(between, nullptr, 0);
    std::string line;
    char c;
    pollfd p{ready[0], POLLIN, 0};
    while (line.size() < 1000 && poll(&p, 1, 60'000) > 0 && ::read(ready[0], &c, 1) == 1 && c != '\n') line += c;
    ::close(ready[0]);
    if (!line.starts_with("ok")) {
        if (pid > 1) ::kill(pid, SIGTERM);
        std::string why = line.empty() ? readWhole(out_path) : line;
        while (!why.empty() && why.back() == '\n') why.pop_back();
        return fail(point + " could not be mounted: " + (why.empty() ? "skua-fuse said nothing; see " + log : why));
    }
    if (cluster) {
        std::string text;
        for (const auto& word : command) text += word + "\n";
        (void)writeWhole(cluster->path("run/mount.point"), point + "\n");
        (void)writeWhole(cluster->path("run/mount.transport"), line + "\n");
        cluster->remember("mount", pid);
    }
    return kFine;
}

int unmountAt(const std::string& wanted, bool lazily) {
    const std::string point = absolute(wanted);
    const std::string type = mountedType(point);
    if (type.empty()) return fail(point + " is not a mount point");
    if (!type.starts_with("fuse.skua")) return fail(point + " is not a skua mount but " + type);
    int result = -1;
    if (geteuid() == 0) result = umount2(point.c_str(), lazily ? MNT_DETACH : 0);
    else result = std::system(("fusermount3 -u" + std::string(lazily ? "z" : "") + " '" + point + "'").c_str()) == 0 ? 0 : -1;
    if (result == 0) {
        for (int i = 0; i < 1000 && !mountedType(point).empty(); i++) std::this_thread::sleep_for(std::chrono::milliseconds(10));
        return kFine;
    }
    std::string who;
    for (const auto& user : usersOf(point)) who += (who.empty() ? "" : ", ") + user;
    return fail(point + " is busy" + (who.empty() ? std::string() : ": used by " + who) + "; close these, or --force");
}

void addMount(Commands& all) {
    struct Options {
        std::string point;
        std::vector<std::string> options;
        bool force = false;
    };
    auto m = std::make_shared<Options>();
    Flags& mount = all.add("mount", "Mounts the file system", "skua mount ~/skua", [&all, m] { return mountHere(all.settings, m->point, m->options); });
    mount.positional("DIR", m->point, "An empty directory");
    mount.repeated("-o", m->options, "Options of the driver: dev_fuse, ro, allow_other, attr_timeout=S, entry_timeout=S");
    auto u = std::make_shared<Options>();
    Flags& umount = all.add("umount", "Takes the mount away; what is open there is named", "skua umount ~/skua", [u] { return unmountAt(u->point, u->force); });
    umount.positional("DIR", u->point, "The mount point");
    umount.flag("--force", u->force, "At once, though somebody uses it (lazily)");
}

}  // namespace skua::cli
