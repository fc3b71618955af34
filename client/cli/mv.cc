// mv: other names, atomically.
#include "client/cli/all.h"

namespace skua::cli {

namespace {

struct MvFlags {
    std::vector<std::string> paths;
    bool no_replace = false, exchange = false;
};

Task<int> mv(Client& client, std::vector<std::string> sources, std::string target, client::RenameFlags flags) {
    FileSystem fs(client);
    auto place = co_await client::resolve(client.metadata, target, client::Follow::kLast);
    if (!place) co_return fail(place.error());
    const bool into = place->isDirectory() && !flags.exchange;
    if (sources.size() > 1 && !into) co_return usage(target + " is not a directory: several go into one that exists");
    int code = kFine;
    for (const std::string& source : sources) {
        const std::string to = into ? client::joinPath(place->path, client::lastName(source)) : target;
        auto done = co_await fs.rename(source, to, flags);
        if (!done) code = fail(done.error());
    }
    co_return code;
}

} // namespace

void addMv(Commands& all) {
    auto o = std::make_shared<MvFlags>();
    Flags& f = all.add("mv", "Renames and moves, atomically", "skua mv /new.tmp /new", [&all, o] {
        std::vector<std::string> paths;
        for (const auto& text : o->paths) {
            auto path = remotePath(text);
            if (!path) return usage(path.error().detail);
            while (path->size() > 1 && path->back() == '/') path->pop_back();
            paths.push_back(*path);
        }
        if (paths.size() < 2) return usage("where to? usage: skua mv SOURCE... DEST");
        const std::string target = paths.back();
        paths.pop_back();
        client::RenameFlags flags;
        flags.no_replace = o->no_replace;
        flags.exchange = o->exchange;
        return withClientCode(all.settings, [&](Client& client) { return mv(client, paths, target, flags); });
    });
    f.positional("SOURCE... DEST", o->paths, "Paths in skua; into DEST if it is a directory");
    f.flag("-n,--no-replace", o->no_replace, "Fail if the new name is taken");
    f.flag("--exchange", o->exchange, "Each gets the other's name");
}

} // namespace skua::cli
