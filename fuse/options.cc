#include "fuse/options.h"

#include <cstdlib>
#include <set>
#include "core/base/config.h"

namespace skua::fuse {

std::string optionHelp() {
    return "Options for -o, several with commas:\n"
           "  ro                  nothing can be changed\n"
           "  allow_other         other users may use it too (always if root mounts; else /etc/fuse.conf must allow it)\n"
           "  attr_timeout=S      how long modes, sizes and times may be old, seconds (default: 1)\n"
           "  entry_timeout=S     how long names may be old, seconds (default: 1); open() always looks anew\n"
           "  negative_timeout=S  how long a name that was not there stays so, seconds (default: 0)\n"
           "  async_close         close() returns before the file is safe; fsync, sync and umount wait and tell errors\n"
           "  drop_on_kill        a new file whose writer was killed by a signal is dropped, not kept as far as it got\n"
           "  hard                when servers are away calls wait, and can be interrupted (the default)\n"
           "  soft                they fail with EIO after `timeout` instead\n"
           "  timeout=S           of soft, seconds (default: 30)\n"
           "  dirty_mib=N         bytes not committed yet that are kept in memory, MiB (default: 256)\n"
           "  writeback           the kernel gathers small writes\n"
           "  cached              files being written go through the kernel's page cache too\n"
           "  io_uring, dev_fuse  how requests come from the kernel (default: io_uring where the kernel offers it)\n"
           "  depth=N             requests in flight per queue, 1 to 1024 (default: 32)\n"
           "  pin                 the thread stays on one CPU\n"
           "What only mount(8) and fstab know (defaults, noauto, _netdev, nofail, user, x-...) is accepted; all others go to "
           "libfuse.";
}

Result<MountOptions> parseOptions(const std::vector<std::string>& words) {
    static const std::set<std::string> ignored = {"rw",    "defaults", "auto",    "noauto", "user",     "nouser",
                                                  "users", "owner",    "_netdev", "nofail", "relatime", "default_permissions"};
    MountOptions options;
    for (const std::string& word : words)
        for (const std::string& option : splitList(word)) {
            const std::size_t equals = option.find('=');
            const std::string name = option.substr(0, equals), value = equals == option.npos ? "" : option.substr(equals + 1);
            char* end = nullptr;
            const double number = std::strtod(value.c_str(), &end);
            const bool is_number = !value.empty() && *end == 0 && number >= 0 && number < 1e9;
            const std::set<std::string> numbers = {"depth",   "attr_timeout", "entry_timeout", "negative_timeout",
                                                   "timeout", "dirty_mib"};
            if (numbers.contains(name) && !is_number)
                return Error(Code::Invalid, "-o " + option + ": a number is wanted, as in " + name + "=1");
            if (name.empty() || ignored.contains(name) || name.starts_with("x-") || name.starts_with("comment")) continue;
            if (name == "io_uring") options.transport = MountOptions::Transport::kIoUring;
            else if (name == "dev_fuse") options.transport = MountOptions::Transport::kDevFuse;
            else if (name == "depth" && number >= 1 && number <= 1024) options.depth = static_cast<unsigned>(number);
            else if (name == "pin") options.pin = true;
            else if (name == "attr_timeout") options.attr_timeout = number;
            else if (name == "entry_timeout") options.entry_timeout = number;
            else if (name == "negative_timeout") options.negative_timeout = number;
            else if (name == "allow_other") options.allow_other = true;
            else if (name == "ro") options.read_only = true;
            else if (name == "writeback") options.writeback = true;
            else if (name == "cached") options.cached = true;
            else if (name == "async_close") options.async_close = true;
            else if (name == "drop_on_kill") options.drop_on_kill = true;
            else if (name == "soft") options.soft = true;
            else if (name == "hard") options.soft = false;
            else if (name == "timeout" && number >= 1) options.timeout_s = static_cast<u64>(number);
            else if (name == "dirty_mib") options.dirty_mib = static_cast<u64>(number);
            else if (numbers.contains(name)) return Error(Code::Invalid, "-o " + option + ": out of range");
            else options.others.push_back(option);
        }
    return options;
}

std::string libfuseOptions(const MountOptions& options) {
    std::string text = "default_permissions,fsname=skua,subtype=skua";
    if (options.allow_other) text += ",allow_other";
    if (options.read_only) text += ",ro";
    for (const std::string& o : options.others) text += "," + o;
    return text;
}

} // namespace skua::fuse
