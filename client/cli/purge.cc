// purge: ends the retention of what a name was.
#include <nlohmann/json.hpp>
#include "client/cli/all.h"

namespace skua::cli {

namespace {

Task<Result<>> purge(Client& client, std::string path, bool as_json) {
    FileSystem fs(client);
    CO_TRY(const u64 count, co_await fs.purge(path));
    if (as_json) print(nlohmann::json{{"purged", count}});
    else print(std::to_string(count) + " past versions of " + path + " are let go; they are gone in 30 minutes\n");
    co_return Ok{};
}

} // namespace

void addPurge(Commands& all) {
    struct Options {
        std::string path;
        bool json = false;
    };
    auto o = std::make_shared<Options>();
    Flags& f = all.add("purge", "Ends the retention of all past versions of a path; they are gone in 30 minutes",
                       "skua purge /secret.txt", [&all, o] {
                           auto path = remotePath(o->path);
                           if (!path) return usage(path.error().detail);
                           return withClient(all.settings, [&](Client& client) { return purge(client, *path, o->json); });
                       });
    f.positional("PATH", o->path, "A path in skua; it need not exist any more");
    f.flag("--json", o->json, "As JSON");
}

} // namespace skua::cli
