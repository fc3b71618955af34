// mount and umount: skua-fuse, detached.
#include <filesystem>
#include "client/cli/all.h"
#include "client/cli/mounts.h"
#include "core/base/config.h"

namespace skua::cli {

namespace {

int mountHere(const Settings& settings, const std::string& point, const std::vector<std::string>& options) {
    auto config = Config::find(settings.config);
    if (!config) return fail(config.error().detail);
    if (config->file().empty()) return fail("no cluster is configured: start one with `skua cluster up`, or say --config FILE");
    std::error_code ec;
    auto done = mountNow(std::filesystem::absolute(config->file(), ec).string(), point, options);
    return done ? kFine : fail(done.error().detail);
}

} // namespace

void addMount(Commands& all) {
    struct Options {
        std::string point;
        std::vector<std::string> options;
        bool force = false;
    };
    auto m = std::make_shared<Options>();
    Flags& mount = all.add("mount", "Mounts the file system", "skua mount ~/skua",
                           [&all, m] { return mountHere(all.settings, m->point, m->options); });
    mount.positional("DIR", m->point, "An empty directory");
    mount.repeated("-o", m->options, "Options of the driver, as ro,allow_other,attr_timeout=1,async_close: see skua-fuse --help");
    auto u = std::make_shared<Options>();
    Flags& umount = all.add("umount", "Takes a mount away; waits until everything is committed; who uses it is named",
                            "skua umount ~/skua", [&all, u] {
                                if (!all.settings.config.empty()) ::setenv("SKUA_CONFIG", all.settings.config.c_str(), 1);
                                auto done = unmountNow(u->point, u->force);
                                return done ? kFine : fail(done.error().detail);
                            });
    umount.positional("DIR", u->point, "The mount point");
    umount.flag("--force", u->force, "At once, though somebody uses it (lazily)");
}

} // namespace skua::cli
