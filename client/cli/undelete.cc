// undelete: removed names and earlier contents come back.
#include <nlohmann/json.hpp>
#include "client/cli/all.h"

namespace skua::cli {

namespace {

struct UndeleteFlags {
    std::string path, to;
    u64 number = 0;
    bool recursive = false, json = false;
};

Task<Result<>> undelete(Client& client, const UndeleteFlags& flags, std::string path, std::string to) {
    FileSystem fs(client);
    u64 back = 1;
    if (flags.recursive) {
        CO_TRY(back, co_await fs.undeleteTree(path, to));
    } else {
        Wall until;
        if (flags.number > 0) {
            CO_TRY(auto all, co_await fs.versions(path));
            if (flags.number > all.size())
                co_return Error(Code::NotFound,
                                path + " has " + std::to_string(all.size()) + " versions; `skua versions` lists them");
            until = all[flags.number - 1].until;
        }
        CO_TRY_OK(co_await fs.undelete(path, to, until));
    }
    if (flags.json) print(nlohmann::json{{"restored", back}});
    co_return Ok{};
}

} // namespace

void addUndelete(Commands& all) {
    auto o = std::make_shared<UndeleteFlags>();
    Flags& f = all.add("undelete", "Brings back what was removed, or an earlier content", "skua undelete -r /photos", [&all, o] {
        auto path = remotePath(o->path);
        if (!path) return usage(path.error().detail);
        std::string to;
        if (!o->to.empty()) {
            auto other = remotePath(o->to);
            if (!other) return usage(other.error().detail);
            to = *other;
        }
        if (o->recursive && o->number) return usage("--number is for one file: leave out -r");
        return withClient(all.settings, [&](Client& client) { return undelete(client, *o, *path, to); });
    });
    f.positional("PATH", o->path, "Where it was");
    f.flag("-r,--recursive", o->recursive, "A directory with all that was in it");
    f.option("--to", o->to, "Another path for it");
    f.option("--number", o->number, "Which one, as `skua versions` counts; 0: what was removed last");
    f.flag("--json", o->json, "As JSON");
}

} // namespace skua::cli
