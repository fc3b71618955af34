// Mounts of this machine: what is mounted where, who uses it, and the drivers that we started.
//
// A driver is a process of a LocalCluster, named mount, mount-1 and so on; D/run/NAME.point says where. Mounts of
// clusters that are not local are kept in ~/.local/state/skua.
#pragma once

#include <string>
#include <vector>
#include "client/cli/local_cluster.h"

namespace skua::cli {

struct MountPoint {
    std::string name, point;
    std::string transport; // "io_uring" or "dev_fuse", as the driver said
    std::string waiting;   // for which disks, if anybody does
    u64 waiting_since = 0; // Unix time, s
};

// Absolute, links above it resolved; the mount point itself, which may be dead, is not touched.
std::string absolutePoint(const std::string& point);
// The file system's type there; "" if nothing is mounted.
std::string mountedType(const std::string& point);
// Who keeps files or a folder of it open: "bash (pid 12)".
std::vector<std::string> usersOf(const std::string& point);

// Where the mounts of this configuration are kept: its cluster's folder, or the user's.
LocalCluster keeperOf(const std::string& config);
std::vector<MountPoint> mountsOf(const LocalCluster& keeper);

// Ok also if it is mounted already. The Error says what to do.
Result<> mountNow(const std::string& config, const std::string& point, const std::vector<std::string>& options);
// Waits until the driver has ended, so that everything written is committed. Busy: names who uses it.
Result<> unmountNow(const std::string& point, bool lazily);

} // namespace skua::cli
