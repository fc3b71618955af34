// tree: a directory with all below it, drawn.
#include <nlohmann/json.hpp>
#include "client/cli/all.h"
#include "client/cli/walk.h"

namespace skua::cli {

namespace {

struct TreeFlags {
    std::string path = "/";
    u32 depth = 64;
    bool json = false;
};

Task<int> tree(Client& client, const TreeFlags& flags) {
    FileSystem fs(client);
    auto path = remotePath(flags.path);
    if (!path) co_return usage(path.error().detail);
    u64 files = 0, directories = 0;
    std::vector<bool> last;
    nlohmann::json json = nlohmann::json::array();
    Walk walk;
    walk.depth_most = flags.depth;
    walk.enter = [&](const Walked& w) {
        const bool directory = w.attributes.inode.isDirectory();
        if (w.depth > 0) (directory ? directories : files)++;
        if (flags.json) {
            nlohmann::json one = toJson(w.attributes);
            one["path"] = w.path;
            one["depth"] = w.depth;
            json.push_back(std::move(one));
            return true;
        }
        last.resize(w.depth + 1);
        last[w.depth] = w.last;
        std::string line;
        for (u32 d = 1; d < w.depth; d++) line += last[d] ? "    " : "│   ";
        if (w.depth > 0) line += w.last ? "└── " : "├── ";
        print(line + w.name + (directory && w.depth > 0 ? "/" : "") + "\n");
        return true;
    };
    auto done = co_await walkTree(fs, *path, walk);
    if (!done) co_return fail(done.error());
    if (flags.json) print(json);
    else print("\n" + std::to_string(directories) + " directories, " + std::to_string(files) + " files\n");
    co_return walk.failures ? kFailed : kFine;
}

} // namespace

void addTree(Commands& all) {
    auto o = std::make_shared<TreeFlags>();
    Flags& f = all.add("tree", "Draws a directory with all below it", "skua tree --depth 2 /photos",
                       [&all, o] { return withClientCode(all.settings, [&](Client& client) { return tree(client, *o); }); });
    f.positional("PATH", o->path, "Where (default: /)", false);
    f.option("--depth", o->depth, "How many levels");
    f.flag("--json", o->json, "As JSON");
}

} // namespace skua::cli
