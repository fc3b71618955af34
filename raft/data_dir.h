// DataDir: the folder of a metadata process: FORMAT (kind, version, cluster, name, log id), LOCK (the pid of
// who has it), log/ and rows/. A folder of another cluster, kind or version, or one in use, is refused with a
// message that names both.
#pragma once

#include <string>
#include "core/base/result.h"

namespace skua::raft {

class DataDir {
public:
    // Makes it if it is new or empty. Holds the lock until it dies.
    static Result<DataDir> open(const std::string& path, const std::string& kind, const std::string& name, ClusterId cluster);
    DataDir(DataDir&& o) noexcept : path_(std::move(o.path_)), lock_(std::exchange(o.lock_, -1)), log_(o.log_) {}
    ~DataDir();

    const std::string& path() const { return path_; }
    std::string logPath() const { return path_ + "/log"; }
    std::string rowsPath() const { return path_ + "/rows"; }
    // Room that is given up where there is no other (room_watch.h).
    std::string reservePath() const { return path_ + "/reserve"; }
    u64 logId() const { return log_; }
    // What is there is not to be relied on: it goes to suspect/ (what was there goes for good), and this is an empty
    // folder with a new store id, which promised nothing. Nobody may have its files open.
    Result<> setAside();

private:
    DataDir(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}
    std::string path_;
    int lock_;
    u64 log_ = 0;
};

} // namespace skua::raft
