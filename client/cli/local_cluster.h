// LocalCluster: the folder D of a cluster on this machine and its processes (design: manners.md).
//
//   D/skua.conf   D/cluster.key   D/local.key   D/LOCK           D/run/NAME.pid, .addr, .cmd
//   D/logs/NAME.log               D/NAME/ the data of a process
//
// A pid file has the pid and the process's start time, so that a reused pid is never killed. Blocking calls;
// used by the `cluster` commands only.
#pragma once

#include <optional>
#include <string>
#include <vector>
#include "core/base/result.h"

namespace skua::cli {

struct LocalProcess {
    std::string name;
    std::vector<std::string> command;
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
    // Starts it detached, its output in D/logs/NAME.log; remembers the command for `start`.
    Result<> start(const LocalProcess& process);
    Result<std::vector<std::string>> commandOf(const std::string& name) const;
    void remember(const std::string& name, int pid) const; // writes the pid file of a running process
    // The pid, if it is the very process that was started and still runs.
    std::optional<int> running(const std::string& name) const;
    std::vector<std::string> names() const; // all that were ever started, sorted
    Result<> signal(const std::string& name, int number) const;
    void forget(const std::string& name) const; // its pid file
    void remove(const std::string& name) const; // all about it: it is no process of this cluster any more
    std::string logPath(const std::string& name) const { return path("logs/" + name + ".log"); }
    std::string addressPath(const std::string& name) const { return path("run/" + name + ".addr"); }
    std::string address(const std::string& name) const; // where it listens, or did; may be empty
    std::string lastLogLine(const std::string& name) const;
    // Starts a daemon that has --listen and --address-file, and waits until it listens: at its old port if that
    // is free. The registry's address is written to skua.conf. The Error has the last line of its log.
    Result<> serve(LocalProcess process, u64 limit_ms = 10'000);
    bool waitGone(const std::string& name, u64 limit_ms) const;
    Result<> configure(const std::string& key, const std::string& value) const; // a line of skua.conf

private:
    std::string dir_;
};

// "skua-shard" beside this program, or in ../libexec/skua.
Result<std::string> findProgram(const std::string& name);
u64 startTimeOf(int pid); // field 22 of /proc/PID/stat; 0: no such process
std::string readWhole(const std::string& path);
Result<> writeWhole(const std::string& path, const std::string& text, int mode = 0644);

} // namespace skua::cli
