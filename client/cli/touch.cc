// touch: times, or an empty file; truncate: a size.
#include "client/cli/all.h"
#include "client/cli/each.h"
#include "client/cli/times.h"

namespace skua::cli {

namespace {

Task<Result<>> touch(Client& client, std::string path, bool no_create, std::optional<u64> size, std::optional<Wall> when) {
    FileSystem fs(client);
    auto there = co_await fs.stat(path);
    if (!there && (there.code() != Code::NotFound || no_create)) co_return there.error();
    if (!there) {
        client::MemorySource nothing("");
        client::PutOptions options;
        options.owner = ourOwner();
        options.replace = false;
        options.atime = options.mtime = when;
        auto made = co_await fs.putFile(path, options, nothing);
        if (!made && made.code() != Code::Exists) co_return made.error();
    } else if (!size) {
        CO_TRY_OK(co_await fs.utimes(path, when, when));
    }
    if (size) { CO_TRY_OK(co_await fs.truncate(path, *size)); }
    co_return Ok{};
}

} // namespace

void addTouch(Commands& all) {
    struct Options {
        std::vector<std::string> paths;
        bool no_create = false;
        std::string size, date;
    };
    auto o = std::make_shared<Options>();
    Flags& f = all.add("touch", "Sets times, to now or --date; makes files that are missing", "skua touch -d 2026-11-22 /flag",
                       [&all, o] {
                           std::optional<Wall> when;
                           if (!o->date.empty()) {
                               auto parsed = parseTime(o->date);
                               if (!parsed) return usage("--date: " + parsed.error().detail);
                               when = *parsed;
                           }
                           return forEachPath(all.settings, o->paths, [&](Client& client, std::string path) {
                               return touch(client, std::move(path), o->no_create, std::nullopt, when);
                           });
                       });
    f.positional("PATH", o->paths, "Paths in skua");
    f.flag("-c,--no-create", o->no_create, "Make nothing");
    f.option("-d,--date", o->date, "This time instead of now: @SECONDS, 2026-11-22, 2026-11-22T13:05:07Z");

    auto t = std::make_shared<Options>();
    Flags& truncate =
        all.add("truncate", "Sets the size of files; what is added is zero", "skua truncate --size 1G /image", [&all, t] {
            auto size = parseBytes(t->size);
            if (!size) return usage("--size: " + size.error().detail);
            return forEachPath(all.settings, t->paths, [&](Client& client, std::string path) {
                return touch(client, std::move(path), t->no_create, *size, std::nullopt);
            });
        });
    truncate.positional("PATH", t->paths, "Paths in skua");
    truncate.option("-s,--size", t->size, "Bytes, as 4096 or 10M");
    truncate.flag("-c,--no-create", t->no_create, "Make nothing");
}

} // namespace skua::cli
