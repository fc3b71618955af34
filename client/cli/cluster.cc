// The other `cluster` commands: down, status, kill, start, logs.
#include <signal.h>
#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>
#include "client/cli/all.h"
#include "client/cli/cluster_options.h"
#include "client/cli/mounts.h"
#include "core/base/config.h"

namespace skua::cli {

std::string clusterDir(const std::string& flag) {
    if (!flag.empty()) return flag;
    if (const char* config = std::getenv("SKUA_CONFIG"); config && *config) {
        const auto dir = std::filesystem::path(config).parent_path();
        if (std::filesystem::exists(dir / "run")) return dir.string();
    }
    return defaultClusterFolder();
}

namespace {

constexpr u64 kWatchMs = 3000; // a process that ends meanwhile had been told to

bool waitEnded(const LocalCluster& cluster, const std::vector<std::string>& names, int seconds) {
    for (int i = 0; i < seconds * 100; i++) {
        bool any = false;
        for (const auto& name : names) any = any || !cluster.gone(name);
        if (!any) return true;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
}

Result<LocalCluster> existing(const std::string& dir) {
    std::error_code ec;
    const auto at = std::filesystem::canonical(dir, ec);
    LocalCluster cluster(ec ? dir : at.string());
    if (!cluster.exists())
        return Error(Code::NotFound, "there is no cluster in " + dir + ": `skua cluster up --dir " + dir + "` makes one");
    return cluster;
}

int status(const std::string& dir, bool json) {
    auto cluster = existing(dir);
    if (!cluster) return fail(cluster.error().detail);
    nlohmann::json out = nlohmann::json::array();
    int ended = 0;
    for (const auto& name : cluster->names()) {
        const auto pid = cluster->running(name);
        const auto ending = pid ? std::nullopt : cluster->pidOf(name); // its locks and port may be held yet
        if (!pid) ended++;
        if (json) {
            nlohmann::json one = {{"name", name}, {"running", pid.has_value()}, {"ending", ending.has_value()}};
            if (pid) one["pid"] = *pid;
            else one["last_log_line"] = cluster->lastLogLine(name);
            out.push_back(one);
        } else if (pid) {
            print(name + "  running  pid " + std::to_string(*pid) + "\n");
        } else if (ending) {
            print(name + "  ending  pid " + std::to_string(*ending) + "\n");
        } else {
            print(name + "  ended  " + cluster->lastLogLine(name) + "\n");
        }
    }
    if (json) print(out);
    return ended ? kFailed : kFine;
}

int killOne(const std::string& dir, const std::string& name) {
    auto cluster = existing(dir);
    if (!cluster) return fail(cluster.error().detail);
    if (auto ok = cluster->signal(name, SIGKILL); !ok) return fail(ok.error().detail);
    return waitEnded(*cluster, {name}, 10) ? kFine : fail(name + " does not end");
}

Result<Started> startOne(LocalCluster& cluster, const std::string& name, u64 watch_ms) {
    TRY(const std::vector<std::string> command, cluster.commandOf(name));
    if (!name.starts_with("mount")) return cluster.serve({name, command}, watch_ms);
    std::vector<std::string> options;
    for (std::size_t i = 0; i + 1 < command.size(); i++)
        if (command[i] == "-o") options.push_back(command[i + 1]);
    const auto before = cluster.running(name);
    TRY_OK(mountNow(cluster.configPath(), command.back(), options));
    const int pid = cluster.running(name).value_or(0);
    return Started{pid, before == pid};
}

int logs(const std::string& dir, const std::string& name, bool follow, u64 lines) {
    auto cluster = existing(dir);
    if (!cluster) return fail(cluster.error().detail);
    if (auto known = cluster->commandOf(name); !known) return fail(known.error().detail);
    const std::string count = std::to_string(lines), path = cluster->logPath(name);
    if (follow) execlp("tail", "tail", "-n", count.c_str(), "-F", path.c_str(), static_cast<char*>(nullptr));
    else execlp("tail", "tail", "-n", count.c_str(), path.c_str(), static_cast<char*>(nullptr));
    return fail("tail cannot be run");
}

} // namespace

int clusterStart(const std::string& dir, const std::vector<std::string>& names) {
    auto cluster = existing(dir);
    if (!cluster) return fail(cluster.error().detail);
    const auto began = std::chrono::steady_clock::now();
    int code = kFine;
    for (const std::string& name : names) {
        const auto passed = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began);
        const auto one = startOne(*cluster, name, kWatchMs - std::min<u64>(kWatchMs, static_cast<u64>(passed.count())));
        if (one) print(name + (one->already ? "  ran already" : "  started") + "  pid " + std::to_string(one->pid) + "\n");
        else code = fail(one.error().detail);
    }
    return code;
}

int clusterDown(const Settings&, const std::string& dir, bool force) {
    auto cluster = existing(dir);
    if (!cluster) return fail(cluster.error().detail);
    if (auto locked = cluster->lock(); !locked) return fail(locked.error().detail);
    for (const auto& m : mountsOf(*cluster)) {
        if (mountedType(m.point).starts_with("fuse.skua")) {
            ::setenv("SKUA_CONFIG", cluster->configPath().c_str(), 1);
            auto gone = unmountNow(m.point, force);
            if (!gone && !force) return fail(gone.error().detail);
        }
        if (cluster->gone(m.name)) cluster->remove(m.name);
    }
    // Those who write first, those who answer them last.
    for (const char* kind : {"mount", "blocks-", "shard-", "cdc-", "registry-"}) {
        std::vector<std::string> some;
        for (const auto& name : cluster->names())
            if (name.starts_with(kind) && !cluster->gone(name)) some.push_back(name);
        for (const auto& name : some) (void)cluster->signal(name, SIGTERM);
        if (waitEnded(*cluster, some, 10)) continue;
        for (const auto& name : some) (void)cluster->signal(name, SIGKILL);
        if (!waitEnded(*cluster, some, 10))
            return fail("some processes do not end; `skua cluster status --dir " + dir + "` names them");
    }
    for (const auto& name : cluster->names()) {
        if (name.starts_with("mount")) cluster->remove(name);
        else cluster->forget(name);
    }
    return kFine;
}

void addCluster(Commands& all) {
    {
        auto o = std::make_shared<UpOptions>();
        auto given = std::make_shared<Flags*>(nullptr);
        Flags& f =
            all.add("cluster up", "Starts a cluster of real processes on this machine, and waits until it serves; safe to repeat",
                    "skua cluster up --disks 8 --mount ~/skua", [&all, o, given] {
                        o->disks_given = (*given)->given("--disks");
                        o->shards_given = (*given)->given("--shards");
                        o->replicas_given = (*given)->given("--replicas");
                        o->dir = clusterDir(o->dir);
                        return clusterUp(all.settings, *o);
                    });
        *given = &f;
        f.option("--dir", o->dir, "Its folder (default: ~/.local/share/skua/default)");
        f.option("--disks", o->disks, "Disks, each a process and a failure domain of its own");
        f.option("--shards", o->shards, "Metadata shards, fixed when it is made");
        f.option("--replicas", o->replicas, "Members of each metadata group, 1 to 7; fixed when it is made");
        f.repeated("--set", o->set, "NAME=VALUE: capacity (of a disk, as 20G), retention (as 1h), log_level");
        f.repeated("--disk", o->disk, "A folder to use as a disk, instead of folders in --dir");
        f.option("--mount", o->mount, "Mount it there");
    }
    struct Dir {
        std::string dir, name;
        std::vector<std::string> names;
        bool force = false, json = false, follow = false;
        u64 lines = 20;
    };
    auto withDir = [&all](const std::string& name, const std::string& help, const std::string& example, auto run) {
        auto o = std::make_shared<Dir>();
        Flags& f = all.add(name, help, example, [o, run, &all] { return run(all, *o); });
        f.option("--dir", o->dir, "The cluster's folder");
        return std::pair<Flags*, std::shared_ptr<Dir>>(&f, o);
    };
    {
        auto [f, o] = withDir("cluster down", "Stops a cluster; its data stays", "skua cluster down",
                              [](Commands& c, Dir& d) { return clusterDown(c.settings, clusterDir(d.dir), d.force); });
        f->flag("--force", o->force, "Unmount even if somebody uses the mount");
    }
    {
        auto [f, o] = withDir("cluster status", "Which processes run", "skua cluster status",
                              [](Commands&, Dir& d) { return status(clusterDir(d.dir), d.json); });
        f->flag("--json", o->json, "As JSON");
    }
    {
        auto [f, o] = withDir("cluster kill", "kill -9 of one process, for trying out failures", "skua cluster kill blocks-3",
                              [](Commands&, Dir& d) { return killOne(clusterDir(d.dir), d.name); });
        f->positional("NAME", o->name, "As in `cluster status`");
    }
    {
        auto [f, o] =
            withDir("cluster start", "Starts processes again, and says which ran already", "skua cluster start blocks-3",
                    [](Commands&, Dir& d) { return clusterStart(clusterDir(d.dir), d.names); });
        f->positional("NAME", o->names, "As in `cluster status`");
    }
    {
        auto [f, o] = withDir("cluster logs", "The last lines of a process's log", "skua cluster logs -f shard-0",
                              [](Commands&, Dir& d) { return logs(clusterDir(d.dir), d.name, d.follow, d.lines); });
        f->positional("NAME", o->name, "As in `cluster status`");
        f->flag("-f,--follow", o->follow, "Go on as it grows");
        f->option("-n,--lines", o->lines, "How many lines");
    }
}

} // namespace skua::cli
