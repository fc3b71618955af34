// stat: all that is known of a path.
#include <nlohmann/json.hpp>
#include "client/cli/all.h"

namespace skua::cli {

namespace {

struct StatFlags {
    std::vector<std::string> paths;
    bool follow = false, json = false;
};

Task<int> stat(Client& client, const StatFlags& flags) {
    nlohmann::json json = nlohmann::json::array();
    int code = kFine;
    for (const std::string& text : flags.paths) {
        auto path = remotePath(text);
        if (!path) co_return usage(path.error().detail);
        const auto follow = flags.follow ? client::Follow::kLast : client::Follow::kNotLast;
        auto place = co_await client::resolveExisting(client.metadata, *path, follow);
        if (!place) {
            code = fail(place.error());
            continue;
        }
        const Attributes& a = *place->attributes;
        if (flags.json) {
            nlohmann::json one = toJson(a);
            one["path"] = place->path;
            one["shard"] = a.inode.shard().value;
            json.push_back(std::move(one));
            continue;
        }
        char mode[8];
        std::snprintf(mode, sizeof mode, "%04o", a.mode & 07777);
        print("  path " + shownName(place->path) + "\n  mode " + modeText(a.mode) + " (" + mode + ")   uid " +
              std::to_string(a.uid) + "   gid " + std::to_string(a.gid) + "   links " + std::to_string(a.nlink) + "\n  size " +
              std::to_string(a.size) + "   stored " + std::to_string(a.stored) +
              (a.inode.isDirectory() ? "   entries " + std::to_string(a.entries) : std::string()) + "\n inode " +
              std::to_string(a.inode.value) + "   shard " + std::to_string(a.inode.shard().value) + "   content " +
              std::to_string(a.content.value) + "   generation " + std::to_string(a.generation.value) + "\n mtime " +
              humanTime(a.mtime) + "   ctime " + humanTime(a.ctime) + "   birth " + humanTime(a.birth) + "\n");
    }
    if (flags.json) print(flags.paths.size() == 1 && json.size() == 1 ? json[0] : json);
    co_return code;
}

} // namespace

void addStat(Commands& all) {
    auto o = std::make_shared<StatFlags>();
    Flags& f = all.add("stat", "Shows all that is known of a path", "skua stat /photos/1.jpg",
                       [&all, o] { return withClientCode(all.settings, [&](Client& client) { return stat(client, *o); }); });
    f.positional("PATH", o->paths, "Paths in skua");
    f.flag("-L,--dereference", o->follow, "What a symlink leads to");
    f.flag("--json", o->json, "As JSON");
}

} // namespace skua::cli
