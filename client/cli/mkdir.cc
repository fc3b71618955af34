// mkdir: directories.
#include <cstdlib>
#include "client/cli/all.h"
#include "client/cli/each.h"

namespace skua::cli {

namespace {

Task<Result<>> mkdir(Client& client, std::string path, u32 mode, bool parents) {
    FileSystem fs(client);
    CO_TRY_OK(co_await fs.mkdir(path, mode, ourOwner(), parents));
    co_return Ok{};
}

} // namespace

void addMkdir(Commands& all) {
    struct Options {
        std::vector<std::string> paths;
        bool parents = false;
        std::string mode = "755";
    };
    auto o = std::make_shared<Options>();
    Flags& f = all.add("mkdir", "Makes directories", "skua mkdir -p /photos/2026/11", [&all, o] {
        char* end = nullptr;
        const u32 mode = static_cast<u32>(std::strtoul(o->mode.c_str(), &end, 8));
        if (*end || mode > 07777) return usage("--mode " + o->mode + ": write an octal number, as 755");
        return forEachPath(all.settings, o->paths,
                           [&](Client& client, std::string path) { return mkdir(client, std::move(path), mode, o->parents); });
    });
    f.positional("PATH", o->paths, "Paths in skua");
    f.flag("-p,--parents", o->parents, "Those on the way, too; one that is there is fine");
    f.option("-m,--mode", o->mode, "Permissions, octal");
}

} // namespace skua::cli
