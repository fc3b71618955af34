// rmdir: empty directories.
#include "client/cli/all.h"
#include "client/cli/each.h"

namespace skua::cli {

namespace {

Task<Result<>> rmdir(Client& client, std::string path) {
    FileSystem fs(client);
    CO_TRY_OK(co_await fs.rmdir(path));
    co_return Ok{};
}

} // namespace

void addRmdir(Commands& all) {
    auto paths = std::make_shared<std::vector<std::string>>();
    Flags& f = all.add("rmdir", "Removes empty directories", "skua rmdir /photos/old",
                       [&all, paths] { return forEachPath(all.settings, *paths, rmdir); });
    f.positional("PATH", *paths, "Paths in skua");
}

} // namespace skua::cli
