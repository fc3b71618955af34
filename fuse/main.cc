// skua-fuse: mounts a SkuaFS cluster.
//
//   skua-fuse [--config F] [-o OPTIONS] [-f] MOUNTPOINT
//
// Goes into the background once it serves, unless -f or --ready-fd. `skua mount` calls it with --ready-fd N and
// reads one line there: "ok transport=io_uring", or why not. As mount.fuse.skua it takes "SOURCE MOUNTPOINT".
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>
#include "client/process.h"
#include "core/async/signals.h"
#include "core/base/flags.h"
#include "core/base/log.h"
#include "core/base/version.h"
#include "fuse/mount.h"
#include "fuse/operations.h"

namespace skua::fuse {
namespace {

constexpr u64 kUsersGrace = kSecond;       // told to go, and all is committed, while somebody has files open
constexpr u64 kSoonGrace = 5 * kSecond;    // for what is not committed when told to go
constexpr u64 kCommitGrace = 60 * kSecond; // and in the end

struct Settings {
    Common common;
    std::vector<std::string> options, places;
    bool foreground = false, ignored = false;
    i64 ready_fd = -1;
    std::string waiting_file;
    MountOptions mount;
    std::string mountpoint;
};

// Whoever started us waits for this line.
void tell(Settings& settings, const std::string& line) {
    if (settings.ready_fd < 0) return;
    const std::string text = line + "\n";
    (void)!::write(static_cast<int>(settings.ready_fd), text.data(), text.size());
    ::close(static_cast<int>(settings.ready_fd));
    settings.ready_fd = -1;
}

int fail(Settings& settings, const Error& error) {
    const std::string text = error.detail.empty() ? error.message() : error.detail;
    if (settings.ready_fd < 0) std::fprintf(stderr, "skua-fuse: %s\n", text.c_str());
    log::error("ended error={}", text);
    tell(settings, text);
    return 1;
}

// A missing or used mount point is refused with the way out; a dead one is cleared by `skua mount`.
Result<> checkMountpoint(const std::string& point) {
    struct stat st;
    if (stat(point.c_str(), &st) != 0) {
        if (errno == ENOTCONN) return Error(Code::Io, point + ": a dead mount is there; clear it: skua umount --force " + point);
        return Error(Code::NotFound, point + ": " + std::strerror(errno) + "; make it: mkdir -p " + point);
    }
    if (!S_ISDIR(st.st_mode)) return Error(Code::NotDirectory, point + " is not a directory");
    return Ok{};
}

// The kernel reads ahead 128 KiB, or what is said here. Never by stat() of the mount: that would ask us.
void raiseReadAhead(const std::string& point) {
    std::ifstream mounts("/proc/self/mountinfo");
    std::string line, device;
    while (std::getline(mounts, line)) {
        std::istringstream words(line);
        std::string id, parent, numbers, root, at;
        if (words >> id >> parent >> numbers >> root >> at && at == point) device = numbers;
    }
    if (device.empty()) return;
    std::ofstream file("/sys/class/bdi/" + device + "/read_ahead_kb");
    if (file) file << "1024\n";
}

void pinHere() {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<unsigned>(std::max(0, sched_getcpu())), &one);
    if (sched_setaffinity(0, sizeof one, &one) != 0) log::warn("not pinned error={}", std::strerror(errno));
}

struct Life {
    Ring& ring;
    Session& session;
    Mount& mount;
    Signals& signals;
    Event told{}; // to go
    bool clean = false;
};

Task<> awaitSignal(Life& life) {
    const int which = co_await life.signals.wait();
    if (which > 0) log::info("leaving signal={}", which);
    life.told.set();
    co_return Ok{};
}

Task<> awaitEnd(Life& life) {
    auto ended = life.session.ended().wait();
    (void)co_await ended;
    life.told.set();
    co_return Ok{};
}

// True: all that there was is committed, or was refused. False: a server is away for longer than that.
Task<bool> commitWithin(Life& life, u64 limit_ns) {
    auto done = std::make_shared<Event>();
    life.mount.start(life.mount.commitAll(done));
    auto waiting = done->wait(life.ring, limit_ns);
    const bool in_time = co_await waiting;
    if (!in_time) log::error("not everything is committed: a server is away seconds={}", limit_ns / kSecond);
    co_return in_time;
}

// Until the kernel hangs up or a signal comes; then everything is committed.
Task<> live(Life& life) {
    TaskGroup both;
    both.spawn(awaitSignal(life));
    both.spawn(awaitEnd(life));
    {
        auto told = life.told.wait();
        (void)co_await told;
    }
    std::thread unmounting;
    if (!life.session.ended().isSet()) {
        (void)co_await commitWithin(life, kSoonGrace); // whatever comes later, this much is safe
        unmounting = std::thread([&session = life.session] { session.unmount(); });
        auto ended = life.session.ended().wait(life.ring, kUsersGrace);
        const bool gone = co_await ended;
        if (!gone) life.mount.tellWhoIsLeft();
    }
    bool finished = co_await commitWithin(life, kCommitGrace);
    if (finished && life.session.ended().isSet()) {
        auto answered = life.session.finished().wait(life.ring, kUsersGrace);
        finished = co_await answered;
    } else {
        finished = false;
    }
    if (finished) {
        if (unmounting.joinable()) unmounting.join();
        life.signals.dismiss();
        (void)co_await both.all();
        (void)co_await life.mount.finish();
        life.clean = true;
        co_return Ok{};
    }
    // Somebody still uses it, or waits for a server: the kernel ends the connection with this process.
    log::warn("left unanswered={}", life.session.handled());
    std::fflush(nullptr);
    std::_Exit(0);
}

// For `skua status`, which must not ask the mount itself: that may wait, too.
void leaveWord(const std::string& file, Wall now, const std::string& missing) {
    if (file.empty()) return;
    if (missing.empty()) {
        ::unlink(file.c_str());
        return;
    }
    std::ofstream(file + ".new") << now.value / kSecond << " " << missing << "\n";
    if (::rename((file + ".new").c_str(), file.c_str()) != 0)
        log::warn("not written file={} error={}", file, std::strerror(errno));
}

int serve(Settings& settings) {
    client::ProcessOptions options;
    options.config = settings.common.config;
    options.registry = settings.common.registry;
    options.ring.sqe128 = true;
    options.ring.entries = 1024;
    const MountOptions& wanted = settings.mount;
    options.client.limits.total_ns = wanted.soft ? wanted.timeout_s * kSecond : 0;
    const u64 patience = wanted.soft ? wanted.timeout_s * kSecond : 10 * kSecond;
    options.client.patience = {patience, patience, wanted.soft ? patience : 5 * kSecond, !wanted.soft};
    auto process = client::Process::make(options);
    if (!process) return fail(settings, process.error());
    Ring& ring = (*process)->ring();
    Signals signals(ring);
    if (wanted.pin) pinHere();

    Mount mount(ring, (*process)->client(), wanted);
    const std::string words = libfuseOptions(wanted);
    fuse_args args = FUSE_ARGS_INIT(0, nullptr);
    fuse_opt_add_arg(&args, "skua-fuse");
    fuse_opt_add_arg(&args, "-o");
    fuse_opt_add_arg(&args, words.c_str());
    SessionOptions how;
    how.io_uring = wanted.transport != MountOptions::Transport::kDevFuse;
    how.depth = wanted.depth;
    auto session = Session::make(ring, args, operations(), &mount, settings.mountpoint, how);
    fuse_opt_free_args(&args);
    if (!session) return fail(settings, session.error());
    if (wanted.transport == MountOptions::Transport::kIoUring && !(*session)->overIoUring())
        log::warn("io_uring was wanted, the kernel does not offer it: echo 1 > /sys/module/fuse/parameters/enable_uring");
    mount.session = (*session)->raw();
    mount.directIo = (*session)->directIo() && !wanted.cached;
    raiseReadAhead(settings.mountpoint);
    log::info("mounted at={} transport={} version={}", settings.mountpoint, (*session)->transport(), kRelease);
    tell(settings, std::string("ok transport=") + (*session)->transport());
    mount.startBackground();
    (*process)->client().services.setWaiting(
        [&settings, &ring](const std::string& missing) { leaveWord(settings.waiting_file, ring.wall(), missing); });
    Life life{ring, **session, mount, signals};
    (void)(*process)->run(live(life));
    log::info("unmounted at={} {}", settings.mountpoint, (*session)->asked());
    return 0;
}

// The parent waits for the line and passes it on; true in the child.
bool intoBackground(Settings& settings, int& result) {
    int line[2];
    if (pipe2(line, O_CLOEXEC) != 0) return true;
    const pid_t child = fork();
    if (child < 0) return true;
    if (child == 0) {
        ::close(line[0]);
        setsid();
        const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
        if (null >= 0) dup2(null, 0);
        settings.ready_fd = line[1];
        return true;
    }
    ::close(line[1]);
    std::string text;
    char c;
    while (::read(line[0], &c, 1) == 1) text += c;
    result = text.starts_with("ok") ? 0 : 1;
    if (result != 0) std::fprintf(stderr, "skua-fuse: %s", text.empty() ? "it ended before it served\n" : text.c_str());
    return false;
}

} // namespace
} // namespace skua::fuse

int main(int argc, char** argv) {
    using namespace skua;
    using namespace skua::fuse;
    Settings settings;
    Flags flags("skua-fuse", "Mounts a SkuaFS cluster.");
    flags.option("--config", settings.common.config, "The cluster's skua.conf; empty: searched");
    flags.option("--registry", settings.common.registry, "Where the registry is, instead of the configuration's");
    flags.option("--log", settings.common.log_file, "Log to this file; empty: stderr");
    flags.option("--log-level", settings.common.log_level, "debug, info, warn, error");
    flags.repeated("-o", settings.options, "Options, see below; as ro,attr_timeout=5");
    flags.flag("-f", settings.foreground, "Stay in the foreground");
    flags.option("--ready-fd", settings.ready_fd, "Write one line there once it serves (and stay in the foreground)");
    flags.option("--waiting-file", settings.waiting_file,
                 "There while somebody waits for disks: since when (Unix time), for which");
    flags.flag("-s", settings.ignored, "For mount(8): ignored");
    flags.flag("-n", settings.ignored, "For mount(8): ignored");
    flags.flag("-v", settings.ignored, "For mount(8): ignored");
    flags.positional("MOUNTPOINT", settings.places, "Where; mount(8) says SOURCE MOUNTPOINT");
    flags.note(optionHelp());
    flags.example("skua-fuse --config skua.conf ~/skua");
    flags.parse(argc, argv);
    if (settings.places.empty() || settings.places.size() > 2) {
        std::fprintf(stderr, "skua-fuse: one mount point is wanted\n");
        return 2;
    }
    // mount(8) names a configuration file, or just "skua".
    if (settings.places.size() == 2 && settings.common.config.empty() && access(settings.places[0].c_str(), R_OK) == 0)
        settings.common.config = settings.places[0];
    auto parsed = parseOptions(settings.options);
    if (!parsed) return skua::fuse::fail(settings, parsed.error());
    settings.mount = std::move(*parsed);
    if (!settings.waiting_file.empty()) settings.waiting_file = std::filesystem::absolute(settings.waiting_file).string();
    if (geteuid() == 0) settings.mount.allow_other = true;
    std::error_code ec;
    settings.mountpoint = std::filesystem::absolute(settings.places.back(), ec).lexically_normal().string();
    while (settings.mountpoint.size() > 1 && settings.mountpoint.back() == '/') settings.mountpoint.pop_back();
    if (!settings.common.config.empty()) settings.common.config = std::filesystem::absolute(settings.common.config, ec).string();

    int result = 0;
    if (auto usable = checkMountpoint(settings.mountpoint); !usable) return skua::fuse::fail(settings, usable.error());
    if (settings.ready_fd >= 0) fcntl(static_cast<int>(settings.ready_fd), F_SETFD, FD_CLOEXEC);
    else if (!settings.foreground && !intoBackground(settings, result)) return result;
    // Before there are threads, so that all have it; Signals takes them from here.
    sigset_t stops;
    sigemptyset(&stops);
    for (int s : {SIGTERM, SIGINT}) sigaddset(&stops, s);
    sigprocmask(SIG_BLOCK, &stops, nullptr);
    std::signal(SIGHUP, SIG_IGN);
    std::signal(SIGPIPE, SIG_IGN);
    raiseFileLimit();
    log::Options logging;
    logging.path = settings.common.log_file;
    logging.name = "skua-fuse";
    if (auto level = log::levelOf(settings.common.log_level)) logging.level = *level;
    if (auto started = log::start(logging); !started) return skua::fuse::fail(settings, started.error());
    return serve(settings);
}
