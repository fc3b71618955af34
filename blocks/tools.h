// The commands of skua-blocks besides serving: what a stopped disk holds, and what a disk can do.
#pragma once

#include <string>
#include "core/async/ring.h"
#include "core/base/result.h"

namespace skua::blocks {

// Prints what is on a stopped disk; `check` reads every block and compares its sums (a bad one is marked).
// Exit status: 0, or 1 if something is wrong.
int inspect(const std::string& dir, bool list, bool check, bool json);

// The raw disk under PATH (a folder that is there; a file without a name is made in it), by io_uring and O_DIRECT, without
// anything of ours between: the figures that others are compared with.
struct DiskFigures {
    double write_mb_s = 0;  // overwriting a laid-out file, 1 MiB, depth 8, with one fdatasync at the end
    double read_mb_s = 0;   // of it, 1 MiB, depth 8
    double syncs_per_s = 0; // 4 KiB write + fdatasync, one at a time
    bool direct = true;     // false: O_DIRECT was refused, the page cache is in between
};
Result<DiskFigures> measureDisk(Ring& ring, const std::string& path, u64 bytes, u64 sync_ns);

} // namespace skua::blocks
