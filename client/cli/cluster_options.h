// What `cluster` commands share: where the cluster is, and how its processes are started.
#pragma once

#include "client/cli/command.h"
#include "client/cli/local_cluster.h"

namespace skua::cli {

// --dir, else SKUA_DIR, else the folder of the configuration that the environment names, else the default.
std::string clusterDir(const std::string& flag);

struct UpOptions {
    std::string dir, mount;
    std::vector<std::string> set, disk;
    u64 disks = 8, shards = 8, replicas = 3;
    bool disks_given = false, shards_given = false, replicas_given = false;
};
int clusterUp(const Settings& settings, UpOptions options);
int clusterDown(const Settings& settings, const std::string& dir, bool force);

int clusterStart(const std::string& dir, const std::vector<std::string>& names);

} // namespace skua::cli
