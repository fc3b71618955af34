// ln: more names for a file, or a symlink.
#include "client/cli/all.h"

namespace skua::cli {

namespace {

Task<Result<>> ln(Client& client, std::string target, std::string path, bool symbolic) {
    FileSystem fs(client);
    auto place = co_await client::resolve(client.metadata, path, client::Follow::kLast);
    if (!place) co_return place.error();
    if (place->isDirectory()) path = client::joinPath(path, client::lastName(target));
    if (symbolic) {
        CO_TRY_OK(co_await fs.symlink(target, path, ourOwner()));
    } else {
        CO_TRY_OK(co_await fs.link(target, path));
    }
    co_return Ok{};
}

} // namespace

void addLn(Commands& all) {
    struct Options {
        std::string target, path;
        bool symbolic = false;
    };
    auto o = std::make_shared<Options>();
    Flags& f = all.add("ln", "Gives a file another name, or makes a symlink", "skua ln -s 2026 /photos/newest", [&all, o] {
        auto path = remotePath(o->path);
        if (!path) return usage(path.error().detail);
        std::string target = o->target;
        if (!o->symbolic || isRemote(target)) {
            auto existing = remotePath(target);
            if (!existing) return usage(existing.error().detail);
            target = *existing;
        }
        return withClient(all.settings, [&](Client& client) { return ln(client, target, *path, o->symbolic); });
    });
    f.positional("TARGET", o->target, "What it leads to");
    f.positional("PATH", o->path, "The new name in skua");
    f.flag("-s,--symbolic", o->symbolic, "A symlink: TARGET is kept as it is written");
}

} // namespace skua::cli
