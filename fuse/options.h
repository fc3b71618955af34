// Options of a mount, as -o gives them: ours, and those that libfuse or the kernel take.
#pragma once

#include <string>
#include <vector>
#include "core/base/result.h"

namespace skua::fuse {

struct MountOptions {
    enum class Transport : u8 { kAutomatic, kIoUring, kDevFuse } transport{};
    unsigned depth = 32; // requests in flight per queue
    bool pin = false;    // the thread, to one CPU
    double attr_timeout = 1, entry_timeout = 1, negative_timeout = 0;
    bool allow_other = false, read_only = false, writeback = false;
    bool cached = false; // also new files go through the kernel's pages
    bool async_close = false, drop_on_kill = false;
    bool soft = false;
    u64 timeout_s = 30;              // soft: how long a server may be away
    u64 dirty_mib = 256;             // uncommitted bytes in memory
    std::vector<std::string> others; // for libfuse
};

// `words`: as given, each a list with commas. Options that only mount(8) and fstab know are left out.
Result<MountOptions> parseOptions(const std::vector<std::string>& words);
// What each of ours means, for --help.
std::string optionHelp();
// What to tell libfuse: "default_permissions,fsname=skua,...".
std::string libfuseOptions(const MountOptions& options);

} // namespace skua::fuse
