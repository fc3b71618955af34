// touch: times, or an empty file; truncate: a size.
#include "client/cli/all.h"
#include "client/cli/each.h"

namespace skua::cli {

namespace {

Task<Result<>> touch(Client& client, std::string path, bool no_create, std::optional<u64> size) {
    FileSystem fs(client);
    auto there = co_await fs.stat(path);
    if (!there && (there.code() != Code::NotFound || no_create)) co_return there.error();
    if (!there) {
        client::MemorySource nothing("");
        client::PutOptions options;
        options.owner = ourOwner();
        options.replace = false;
        auto made = co_await fs.putFile(path, options, nothing);
        if (!made && made.code() != Code::Exists) co_return made.error();
    } else if (!size) {
        CO_TRY_OK(co_await fs.utimes(path, std::nullopt, std::nullopt));
    }
    if (size) { CO_TRY_OK(co_await fs.truncate(path, *size)); }
    co_return Ok{};
}

} // namespace

void addTouch(Commands& all) {
    struct Options {
        std::vector<std::string> paths;
        bool no_create = false;
        std::string size;
    };
    auto o = std::make_shared<Options>();
    Flags& f = all.add("touch", "Sets times to now; makes files that are missing", "skua touch /flag", [&all, o] {
        return forEachPath(all.settings, o->paths, [&](Client& client, std::string path) {
            return touch(client, std::move(path), o->no_create, std::nullopt);
        });
    });
    f.positional("PATH", o->paths, "Paths in skua");
    f.flag("-c,--no-create", o->no_create, "Make nothing");

    auto t = std::make_shared<Options>();
    Flags& truncate =
        all.add("truncate", "Sets the size of files; what is added is zero", "skua truncate --size 1G /image", [&all, t] {
            auto size = parseBytes(t->size);
            if (!size) return usage("--size: " + size.error().detail);
            return forEachPath(all.settings, t->paths, [&](Client& client, std::string path) {
                return touch(client, std::move(path), t->no_create, *size);
            });
        });
    truncate.positional("PATH", t->paths, "Paths in skua");
    truncate.option("-s,--size", t->size, "Bytes, as 4096 or 10M");
    truncate.flag("-c,--no-create", t->no_create, "Make nothing");
}

} // namespace skua::cli
