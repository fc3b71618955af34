// cluster up: makes the folder if it is new, starts what does not run, waits until it serves.
#include <dirent.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <thread>
#include "client/cli/cluster_options.h"
#include "client/cli/mounts.h"
#include "core/base/config.h"
#include "core/base/random.h"
#include "core/net/keys.h"

namespace skua::cli {

namespace fs = std::filesystem;

namespace {

constexpr u64 kPatience = 60;    // seconds until we give up
constexpr u64 kAsideTurns = 100; // of 50 ms

void saySlowly(const std::string& text) { std::fprintf(stderr, "%s\n", text.c_str()); }

Result<> makeNew(LocalCluster& cluster, u64 disks, u64 shards, u64 replicas) {
    u64 id = 0;
    while (id == 0) id = randomFromKernel();
    const net::Keys keys = net::Keys::random(ClusterId{id});
    // An `up` that was stopped in the middle may have left keys that nobody has used.
    ::unlink(cluster.path("cluster.key").c_str());
    ::unlink(cluster.path("local.key").c_str());
    TRY_OK(keys.save(cluster.path("cluster.key")));
    TRY_OK(net::Credentials::client(keys, "local").saveClient(cluster.path("local.key")));
    std::string text = "# A SkuaFS cluster on one machine, made by `skua cluster up`.\n";
    text += "cluster = " + toHex(id) + "\nregistry = 127.0.0.1:1\nkey = local.key\ncluster_key = cluster.key\n";
    text += "disks = " + std::to_string(disks) + "\nshards = " + std::to_string(shards) +
            "\nreplicas = " + std::to_string(replicas) + "\n"; // what it was made with
    return writeWhole(cluster.configPath(), text);
}

u64 freeBytes(const std::string& path) {
    struct statvfs v;
    return statvfs(path.c_str(), &v) == 0 ? static_cast<u64>(v.f_bavail) * v.f_frsize : 0;
}

u64 allBytes(const std::string& path) {
    struct statvfs v;
    return statvfs(path.c_str(), &v) == 0 ? static_cast<u64>(v.f_blocks) * v.f_frsize : ~0ull;
}

// The longest part of a path that is there.
std::string existingPart(const std::string& path) {
    std::error_code ec;
    fs::path at = fs::absolute(path, ec).lexically_normal();
    while (at.has_relative_path() && !fs::exists(at, ec)) at = at.parent_path();
    return at.string();
}

// As blocks/disk.h has it: asked here before anything is started.
constexpr u64 kLeastCapacity = 128u << 20;

struct Setting {
    u64 capacity = 0, retention = 0;
    std::string log_level = "info";
};
Result<Setting> settingsOf(const std::vector<std::string>& set) {
    Setting s;
    for (const auto& one : set) {
        const auto equals = one.find('=');
        const std::string name = one.substr(0, equals), value = equals == one.npos ? "" : one.substr(equals + 1);
        if (name == "capacity") {
            TRY(s.capacity, parseBytes(value));
            if (s.capacity < kLeastCapacity)
                return Error(Code::Invalid, "--set " + one + ": a disk has at least " + humanBytes(kLeastCapacity));
        } else if (name == "retention") {
            TRY(const u64 ns, parseDuration(value));
            s.retention = std::max<u64>(1, ns / kSecond);
        } else if (name == "log_level") s.log_level = value;
        else
            return Error(Code::Invalid,
                         "--set " + one + ": there are capacity=BYTES (of a disk), retention=TIME and log_level=LEVEL");
    }
    return s;
}

// What the registry knows: all groups formatted and led, all disks up. Says what is missing, and which disks are there
// but kept out of use by a human's word.
struct Seen {
    std::string missing = "the registry", aside;
};
Task<Result<>> serves(client::Client& client, u64 disks, Seen& seen) {
    std::string& missing = seen.missing;
    CO_TRY_OK(co_await client.cluster.refresh());
    const auto& map = client.cluster.map();
    missing.clear();
    seen.aside.clear();
    u64 formatted = 0, up = 0, aside = 0;
    for (const auto& group : map.groups) formatted += group.formatted;
    for (const auto& [id, service] : client.cluster.services()) {
        up += service.up && service.state == registry::DiskState::kUp;
        if (service.state == registry::DiskState::kUp || (!service.up && service.state == registry::DiskState::kDead)) continue;
        aside++;
        seen.aside += (seen.aside.empty() ? "" : ", ") + std::to_string(id);
    }
    const u64 groups = 2ull + map.shards;
    if (formatted < groups) missing = std::to_string(groups - formatted) + " of " + std::to_string(groups) + " groups";
    else if (up + aside < disks) missing = std::to_string(disks - up - aside) + " of " + std::to_string(disks) + " disks";
    u64 led = 0;
    for (const auto& [_, hint] : client.cluster.serverHints()) led += hint.up ? hint.leads.size() : 0;
    if (missing.empty() && led < groups)
        missing = std::to_string(groups - led) + " leaders of " + std::to_string(groups) + " groups";
    if (!missing.empty()) co_return Ok{};
    CO_TRY_OK(co_await client.metadata.getAttr(kRoot));
    co_return Ok{};
}

// Runs a program to its end, its output in `log`. Paths may have any byte: no shell.
bool runToItsEnd(const std::vector<std::string>& command, const std::string& log) {
    std::vector<char*> words;
    for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 1, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    posix_spawn_file_actions_adddup2(&files, 1, 2);
    pid_t pid = -1;
    const int spawned = posix_spawn(&pid, words[0], &files, nullptr, words.data(), environ);
    posix_spawn_file_actions_destroy(&files);
    int status = 0;
    if (spawned != 0) return false;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR) return false;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// Whoever started a cluster of their own may write to it through a mount too.
Task<Result<>> ownTheRoot(client::Client& client) {
    CO_TRY(Attributes root, co_await client.metadata.getAttr(kRoot));
    if (root.uid != 0 || geteuid() == 0) co_return Ok{};
    shard::SetAttr own;
    own.inode = kRoot;
    own.uid = geteuid();
    own.gid = getegid();
    CO_TRY_OK(co_await client.metadata.setAttr(own));
    co_return Ok{};
}

} // namespace

int clusterUp(const Settings& settings, UpOptions o) {
    if (o.replicas < 1 || o.replicas > 7) return usage("--replicas takes 1 to 7");
    if (o.shards < 1 || o.shards > 4096) return usage("--shards takes 1 to 4096");
    if (!o.disk.empty()) o.disks = o.disk.size();
    for (std::string& disk : o.disk) { // its process runs elsewhere
        std::error_code ec;
        if (!fs::is_directory(disk, ec)) return fail(disk + " is no folder: make it, on the disk that it shall be");
        disk = fs::canonical(disk, ec).string();
    }
    if (o.disks < 1 || o.disks > 64) return usage("--disks takes 1 to 64");
    auto set = settingsOf(o.set);
    if (!set) return usage(set.error().detail);
    std::error_code ec;
    if (set->capacity) {
        std::vector<std::string> places = o.disk;
        if (places.empty()) places.push_back(existingPart(o.dir));
        for (const std::string& place : places)
            if (set->capacity > allBytes(place))
                return usage("--set capacity: a disk of " + humanBytes(set->capacity) + " is more than the file system of " +
                             place + " has, " + humanBytes(allBytes(place)));
    }
    fs::create_directories(o.dir, ec);
    if (ec) return fail(o.dir + ": " + ec.message());
    LocalCluster cluster(fs::canonical(o.dir).string());
    if (auto locked = cluster.lock(); !locked) return fail(locked.error().detail);
    const bool fresh = !cluster.exists();
    if (fresh) {
        if (auto made = makeNew(cluster, o.disks, o.shards, o.replicas); !made) return fail(made.error());
    }
    const std::string config = cluster.configPath();
    auto loaded = Config::load(config);
    if (!loaded) return fail(loaded.error());
    const u64 has_disks = std::strtoull(loaded->get("disks").c_str(), nullptr, 10),
              has_shards = std::strtoull(loaded->get("shards").c_str(), nullptr, 10),
              has_replicas = std::max<u64>(1, std::strtoull(loaded->get("replicas").c_str(), nullptr, 10));
    if (o.disks_given && has_disks && o.disks != has_disks)
        saySlowly("it was made with " + std::to_string(has_disks) + " disks; --disks is for a new cluster");
    if (o.shards_given && has_shards && o.shards != has_shards)
        saySlowly("it was made with " + std::to_string(has_shards) + " shards, for ever; --shards is for a new cluster");
    if (o.replicas_given && o.replicas != has_replicas)
        saySlowly("it was made with --replicas " + std::to_string(has_replicas) + "; --replicas is for a new cluster");
    o.replicas = has_replicas;
    if (has_disks) o.disks = has_disks;
    if (has_shards) o.shards = has_shards;
    std::vector<std::string> programs;
    for (const char* name : {"skua-registry", "skua-cdc", "skua-shard", "skua-blocks"}) {
        auto at = findProgram(name);
        if (!at) return fail(at.error());
        programs.push_back(*at);
    }
    auto host = [&](const std::string& program, const std::string& name) {
        return std::vector<std::string>{program,
                                        "--name",
                                        name,
                                        "--config",
                                        config,
                                        "--dir",
                                        cluster.path(name),
                                        "--listen",
                                        "127.0.0.1:0",
                                        "--log",
                                        cluster.logPath(name),
                                        "--address-file",
                                        cluster.path("run/" + name + ".addr"),
                                        "--log-level",
                                        set->log_level};
    };
    std::string started;
    u64 ran = 0;
    auto serve = [&](const std::string& name, const std::vector<std::string>& command) -> Result<> {
        TRY(const Started one, cluster.serve({name, command}));
        if (one.already) ran++;
        else started += " " + name;
        return Ok{};
    };
    for (std::size_t role = 0; role < 3; role++) {
        for (u64 i = 0; i < o.replicas; i++) {
            const std::string name = std::array{"registry-", "cdc-", "shard-"}[role] + std::to_string(i);
            auto command = host(programs[role], name);
            if (name == "registry-0") { // makes the registry's group, once
                command.insert(command.end(), {"--format", "--local", "--shards", std::to_string(o.shards), "--domains",
                                               std::to_string(o.disks), "--replicas", std::to_string(o.replicas)});
                if (set->retention) command.insert(command.end(), {"--retention", std::to_string(set->retention)});
            }
            if (auto old = cluster.commandOf(name); old) command = *old;
            if (auto ok = serve(name, command); !ok) return fail(ok.error().detail);
        }
    }

    const u64 share = freeBytes(cluster.dir()) / std::max<u64>(1, o.disks) / 10 * 9;
    for (u64 i = 0; i < o.disks; i++) {
        const std::string name = "blocks-" + std::to_string(i);
        if (auto old = cluster.commandOf(name); old) {
            if (auto ok = serve(name, *old); !ok) return fail(ok.error().detail);
            continue;
        }
        const std::string disk = i >= o.disk.size() ? cluster.path(name + "/disk0") : o.disk[i];
        if (!fs::exists(disk + "/FORMAT")) {
            if (i >= o.disk.size()) fs::create_directories(disk, ec);
            const u64 capacity = set->capacity ? set->capacity : i >= o.disk.size() ? share : freeBytes(disk) / 10 * 9;
            const std::vector<std::string> format{
                programs[3], "format", "--cluster", loaded->get("cluster"), "--capacity", std::to_string(capacity), disk};
            if (!runToItsEnd(format, cluster.logPath(name)))
                return fail(disk + " cannot be formatted: " + cluster.lastLogLine(name));
        }
        const std::vector<std::string> run{programs[3],
                                           "--config",
                                           config,
                                           "--name",
                                           name,
                                           "--domain",
                                           name,
                                           "--dir",
                                           disk,
                                           "--listen",
                                           "127.0.0.1:0",
                                           "--address-file",
                                           cluster.addressPath(name),
                                           "--log",
                                           cluster.logPath(name),
                                           "--log-level",
                                           set->log_level};
        if (auto ok = serve(name, run); !ok) return fail(ok.error().detail);
    }
    if (ran && !started.empty()) saySlowly("started" + started + "; " + std::to_string(ran) + " others ran already");

    Settings ours = settings;
    ours.config = config;
    const int served = withProcess(ours, [&](client::Process& process) {
        Seen seen;
        const std::string& missing = seen.missing;
        std::string said;
        u64 patient = 0; // turns that a disk has been kept aside: one that was silent long is taken in again at once
        for (u64 i = 0; i < kPatience * 20; i++) {
            auto now = process.run(serves(process.client(), o.disks, seen));
            patient = now && missing.empty() && !seen.aside.empty() ? patient + 1 : 0;
            if (now && missing.empty() && (patient == 0 || patient > kAsideTurns)) {
                if (patient)
                    saySlowly("out of use by an operator's word: disk " + seen.aside +
                              "; `skua status` tells, `skua admin set-up` takes it in again");
                auto owned = process.run(ownTheRoot(process.client()));
                return owned ? kFine : fail(owned.error());
            }
            for (const auto& name : cluster.names())
                if (!name.starts_with("mount") && !cluster.running(name))
                    return fail(name + " has ended: " + cluster.lastLogLine(name));
            if (i % 20 == 19 && missing != said) saySlowly("waiting for " + (said = missing));
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
        }
        fail("it does not serve after 60 s; missing: " + missing);
        for (const auto& name : cluster.names())
            if (!cluster.running(name))
                std::fprintf(stderr, "  %s has ended: %s\n", name.c_str(), cluster.lastLogLine(name).c_str());
        return kFailed;
    });
    if (served != kFine) return served;
    if (!o.mount.empty())
        if (auto mounted = mountNow(config, o.mount, {}); !mounted) return fail(mounted.error().detail);
    print("serving: " + std::to_string(o.disks) + " disks, in " + cluster.dir() + "\n");
    const bool usual = cluster.dir() == defaultClusterFolder();
    const std::string with = usual ? "" : " --dir " + shellQuoted(cluster.dir());
    print((usual ? std::string("  skua status\n") : "  export SKUA_CONFIG=" + shellQuoted(config) + "\n") +
          "  skua cp -r /etc/skel skua:/first\n" +
          (o.mount.empty() ? std::string("  mkdir -p ~/skua && skua mount ~/skua\n")
                           : "  ls -l " + shellQuoted(absolutePoint(o.mount)) + "    # mounted there\n") +
          "  skua cluster down" + with + "\n");
    return kFine;
}

} // namespace skua::cli
