// df: what there is room for.
#include <cstdio>
#include <nlohmann/json.hpp>
#include "client/cli/all.h"

namespace skua::cli {

namespace {

Task<int> df(Client& client, bool as_json) {
    FileSystem fs(client);
    auto s = co_await fs.space();
    if (!s) co_return fail(s.error());
    if (as_json) {
        nlohmann::json out = {{"capacity", s->capacity},
                              {"used", s->used},
                              {"free", s->free},
                              {"capacity_logical", s->capacity_logical},
                              {"free_logical", s->free_logical},
                              {"inodes", s->inodes},
                              {"files", s->files},
                              {"directories", s->directories},
                              {"bytes", s->bytes},
                              {"past_bytes", s->past_bytes},
                              {"disks", s->disks},
                              {"disks_up", s->disks_up},
                              {"disks_full", s->disks_full}};
        print(out);
        co_return kFine;
    }
    char text[512];
    const double part = s->capacity ? 100.0 * static_cast<double>(s->used) / static_cast<double>(s->capacity) : 0;
    std::snprintf(text, sizeof text, "%-22s %12s %12s %12s %5s\n%-22s %12s %12s %12s %4.0f%%\n%-22s %12s %12s %12s\n", "", "size",
                  "used", "free", "use", "raw, all disks", humanBytes(s->capacity).c_str(), humanBytes(s->used).c_str(),
                  humanBytes(s->free).c_str(), part, "files (by the default)", humanBytes(s->capacity_logical).c_str(),
                  humanBytes(s->bytes).c_str(), humanBytes(s->free_logical).c_str());
    print(text);
    print(std::to_string(s->files) + " files, " + std::to_string(s->directories) + " directories, " + humanBytes(s->past_bytes) +
          " in past versions, " + std::to_string(s->disks_up) + " of " + std::to_string(s->disks) + " disks up" +
          (s->disks_full ? ", " + std::to_string(s->disks_full) + " full" : std::string()) + "\n");
    co_return kFine;
}

} // namespace

void addDf(Commands& all) {
    auto json = std::make_shared<bool>(false);
    Flags& f = all.add("df", "What there is room for", "skua df",
                       [&all, json] { return withClientCode(all.settings, [&](Client& client) { return df(client, *json); }); });
    f.flag("--json", *json, "As JSON");
}

} // namespace skua::cli
