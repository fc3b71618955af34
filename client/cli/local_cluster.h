// LocalCluster: the folder D of a cluster on this machine and its processes (design: manners.md).
//
//   D/skua.conf   D/cluster.key   D/local.key   D/LOCK           D/run/NAME.pid, .addr, .cmd, .lock
//   D/logs/NAME.log               D/NAME/ the data of a process
//
// A pid file says which process it is, not only its pid (process_life.h), so that another program is never taken for it, nor
// killed. One that is ending does not run, and another is started only when it is gone; while NAME.lock is held nobody else
// starts NAME. Blocking calls; used by the `cluster`, mount and admin commands.
#pragma once

#include <optional>
#include <string>
#include <vector>
#include "client/cli/process_life.h"
#include "core/base/result.h"

namespace skua::cli {

struct LocalProcess {
    std::string name;
    std::vector<std::string> command;
};

struct Started {
    int pid = 0;
    bool already = false; // it ran before
};

class LocalCluster {
public:
    explicit LocalCluster(std::string dir) : dir_(std::move(dir)) {}

    const std::string& dir() const { return dir_; }
    std::string path(const std::string& below) const { return dir_ + "/" + below; }
    std::string configPath() const { return path("skua.conf"); }
    bool exists() const; // it has a skua.conf

    // One `up` or `down` at a time; Busy names the holder's pid. Until the process ends.
    Result<> lock();
    // Starts it detached, its output in D/logs/NAME.log; remembers the command for `start`. Unless it runs.
    Result<> start(const LocalProcess& process);
    Result<std::vector<std::string>> commandOf(const std::string& name) const;
    void remember(const std::string& name, int pid) const; // writes the pid file of a running process
    // Of the very process that was started.
    Life life(const std::string& name) const;
    std::optional<int> running(const std::string& name) const; // its pid, if it runs and is not ending
    bool gone(const std::string& name) const { return life(name) == Life::kGone; }
    std::optional<int> pidOf(const std::string& name) const;    // unless it is gone
    std::vector<std::string> names() const;                     // all that were ever started, sorted
    Result<> signal(const std::string& name, int number) const; // also to one that is ending
    void forget(const std::string& name) const;                 // its pid file
    void remove(const std::string& name) const;                 // all about it: it is no process of this cluster any more
    std::string logPath(const std::string& name) const { return path("logs/" + name + ".log"); }
    std::string addressPath(const std::string& name) const { return path("run/" + name + ".addr"); }
    std::string address(const std::string& name) const; // where it listens, or did; may be empty
    std::string lastLogLine(const std::string& name) const;
    // Starts a daemon that has --listen and --address-file, and waits until it listens: at its old port if that
    // is free. One that runs is watched for watch_ms: if it ends meanwhile it is started. The registry's address is
    // written to skua.conf. The Error has the last line of its log.
    Result<Started> serve(LocalProcess process, u64 watch_ms = 0, u64 limit_ms = 10'000);
    bool waitGone(const std::string& name, u64 limit_ms) const;
    // Waits for one that is ending. Busy, with what to do, if it does not end, or if somebody who is not remembered
    // here holds the folder of its command.
    Result<> mayStart(const LocalProcess& process) const;
    Result<> configure(const std::string& key, const std::string& value) const; // a line of skua.conf

private:
    std::string dir_;
};

// "skua-shard" beside this program, or in ../libexec/skua.
Result<std::string> findProgram(const std::string& name);
std::string readWhole(const std::string& path);
Result<> writeWhole(const std::string& path, const std::string& text, int mode = 0644);

} // namespace skua::cli
