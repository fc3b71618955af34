// versions: what a name was, and what a file contained, while retention lasts.
#include <cstdio>
#include <nlohmann/json.hpp>
#include "client/cli/all.h"

namespace skua::cli {

namespace {

Task<Result<>> versions(Client& client, std::string path, bool as_json) {
    FileSystem fs(client);
    CO_TRY(auto all, co_await fs.versions(path));
    nlohmann::json json = nlohmann::json::array();
    u64 number = 0;
    if (all.empty() && !as_json) print("nothing that was is kept of " + shownName(path) + "\n");
    for (const client::Version& v : all) {
        number++;
        const char* kind = v.kind == client::Version::Kind::kContent ? "content" : v.directory ? "directory" : "file";
        if (as_json) {
            json.push_back({{"number", number},
                            {"kind", kind},
                            {"inode", v.inode.value},
                            {"until_ns", v.until.value},
                            {"kept_until_ns", v.purge.value},
                            {"mtime_ns", v.mtime.value},
                            {"size", v.size}});
            continue;
        }
        char line[256];
        std::snprintf(line, sizeof line, "%3llu  %-9s %12s  until %s  kept until %s\n", static_cast<unsigned long long>(number),
                      kind, humanBytes(v.size).c_str(), humanTime(v.until).c_str(), humanTime(v.purge).c_str());
        print(line);
    }
    if (as_json) print(json);
    co_return Ok{};
}

} // namespace

void addVersions(Commands& all) {
    struct Options {
        std::string path;
        bool json = false;
    };
    auto o = std::make_shared<Options>();
    Flags& f = all.add("versions", "What a name was and a file contained, newest first", "skua versions /report.txt", [&all, o] {
        auto path = remotePath(o->path);
        if (!path) return usage(path.error().detail);
        return withClient(all.settings, [&](Client& client) { return versions(client, *path, o->json); });
    });
    f.positional("PATH", o->path, "A path in skua; it need not exist any more");
    f.flag("--json", o->json, "As JSON");
}

} // namespace skua::cli
