// du: bytes below directories.
#include <nlohmann/json.hpp>
#include <set>
#include "client/cli/all.h"
#include "client/cli/walk.h"

namespace skua::cli {

namespace {

struct DuFlags {
    std::vector<std::string> paths;
    bool summary = false, bytes = false, json = false;
};
struct Total {
    u64 size = 0, stored = 0, files = 0, directories = 0;
    void add(const Total& o) {
        size += o.size;
        stored += o.stored;
        files += o.files;
        directories += o.directories;
    }
};

Task<int> du(Client& client, const DuFlags& flags) {
    FileSystem fs(client);
    nlohmann::json json = nlohmann::json::array();
    int code = kFine;
    std::set<u64> linked; // counted once
    for (const std::string& text : flags.paths) {
        auto path = remotePath(text);
        if (!path) co_return usage(path.error().detail);
        std::vector<Total> totals(1);
        Walk walk;
        auto say = [&](const std::string& what, const Total& t) {
            if (flags.json)
                json.push_back(
                    {{"path", what}, {"size", t.size}, {"stored", t.stored}, {"files", t.files}, {"directories", t.directories}});
            else print((flags.bytes ? std::to_string(t.size) : humanBytes(t.size)) + "\t" + shownName(what) + "\n");
        };
        walk.enter = [&](const Walked& w) {
            Total one;
            if (w.attributes.inode.isDirectory()) {
                one.directories = 1;
                totals.push_back(one);
                return true;
            }
            if (w.attributes.nlink > 1 && !linked.insert(w.attributes.inode.value).second) return true;
            one.files = 1;
            one.size = w.attributes.size;
            one.stored = w.attributes.stored;
            totals.back().add(one);
            if (w.depth == 0) say(w.path, one);
            return true;
        };
        walk.leave = [&](const Walked& w) {
            const Total t = totals.back();
            totals.pop_back();
            totals.back().add(t);
            if (!flags.summary || w.depth == 0) say(w.path, t);
        };
        auto done = co_await walkTree(fs, *path, walk);
        if (!done) code = fail(done.error());
        if (walk.failures) code = kFailed;
    }
    if (flags.json) print(json);
    co_return code;
}

} // namespace

void addDu(Commands& all) {
    auto o = std::make_shared<DuFlags>();
    Flags& f = all.add("du", "Bytes below directories, as files have them", "skua du -s /photos", [&all, o] {
        if (o->paths.empty()) o->paths.push_back("/");
        return withClientCode(all.settings, [&](Client& client) { return du(client, *o); });
    });
    f.positional("PATH", o->paths, "Where (default: /)", false);
    f.flag("-s,--summarize", o->summary, "Only the totals");
    f.flag("-b,--bytes", o->bytes, "Plain numbers");
    f.flag("--json", o->json, "As JSON");
}

} // namespace skua::cli
