// find: paths below a directory that match.
#include <nlohmann/json.hpp>
#include "client/cli/all.h"
#include "client/cli/walk.h"

namespace skua::cli {

namespace {

struct FindFlags {
    std::string path = "/", name, type, size, newer;
    u32 depth = 1024;
    bool json = false;
};

// "+1M": at least; "-1M": at most; "1M": exactly.
bool sizeMatches(const std::string& wanted, u64 bytes, u64 size) {
    return wanted[0] == '+' ? size >= bytes : wanted[0] == '-' ? size <= bytes : size == bytes;
}

Task<int> find(Client& client, const FindFlags& flags, u64 bytes, u64 newer_ns) {
    FileSystem fs(client);
    auto path = remotePath(flags.path);
    if (!path) co_return usage(path.error().detail);
    nlohmann::json json = nlohmann::json::array();
    const u64 now = wallNow().value;
    Walk walk;
    walk.depth_most = flags.depth;
    walk.enter = [&](const Walked& w) {
        const char kind = modeText(w.attributes.mode)[0] == '-' ? 'f' : modeText(w.attributes.mode)[0];
        const std::string name = client::lastName(w.path);
        if (!flags.name.empty() && !matches(flags.name, name)) return true;
        if (!flags.type.empty() && flags.type[0] != kind) return true;
        if (!flags.size.empty() && !sizeMatches(flags.size, bytes, w.attributes.size)) return true;
        if (newer_ns && w.attributes.mtime.value + newer_ns < now) return true;
        if (flags.json) {
            nlohmann::json one = toJson(w.attributes);
            one["path"] = w.path;
            json.push_back(std::move(one));
        } else {
            print(shownName(w.path) + "\n");
        }
        return true;
    };
    auto done = co_await walkTree(fs, *path, walk);
    if (!done) co_return fail(done.error());
    if (flags.json) print(json);
    co_return walk.failures ? kFailed : kFine;
}

} // namespace

void addFind(Commands& all) {
    auto o = std::make_shared<FindFlags>();
    Flags& f = all.add("find", "Finds paths by name, type, size and age", "skua find /logs --name '*.gz' --size +10M", [&all, o] {
        u64 bytes = 0, newer = 0;
        if (!o->size.empty()) {
            auto parsed = parseBytes(o->size.substr(o->size[0] == '+' || o->size[0] == '-'));
            if (!parsed) return usage("--size: " + parsed.error().detail);
            bytes = *parsed;
        }
        if (!o->newer.empty()) {
            auto parsed = parseDuration(o->newer);
            if (!parsed) return usage("--newer: " + parsed.error().detail);
            newer = *parsed;
        }
        if (!o->type.empty() && (o->type.size() != 1 || std::string("fdlpscb").find(o->type[0]) == std::string::npos))
            return usage("--type takes one of f d l p s c b");
        return withClientCode(all.settings, [&](Client& client) { return find(client, *o, bytes, newer); });
    });
    f.positional("PATH", o->path, "Where (default: /)", false);
    f.option("--name", o->name, "Pattern of the last name, as '*.jpg'");
    f.option("--type", o->type, "f file, d directory, l link");
    f.option("--size", o->size, "+10M at least, -4K at most, 0 exactly");
    f.option("--newer", o->newer, "Changed within 30s, 5m, 12h, 7d");
    f.option("--depth", o->depth, "How many levels");
    f.flag("--json", o->json, "As JSON");
}

} // namespace skua::cli
