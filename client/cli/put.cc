// put: standard input becomes a file.
#include <nlohmann/json.hpp>
#include "client/cli/all.h"
#include "client/cli/local_source.h"

namespace skua::cli {

namespace {

struct PutFlags {
    std::string path, mode;
    bool json = false, no_replace = false;
};

Task<int> put(client::Process& process, PutFlags flags, u32 mode) {
    FileSystem fs(process.client());
    auto path = remotePath(flags.path);
    if (!path) co_return usage(path.error().detail);
    BufferPool buffers(kLocalBuffer, 4);
    LocalSource source(process.ring(), buffers, 0);
    client::PutOptions options;
    options.owner = ourOwner();
    options.mode = mode;
    options.replace = !flags.no_replace;
    auto made = co_await fs.putFile(*path, options, source);
    co_await source.close();
    if (!made) co_return fail(made.error());
    if (flags.json) print(toJson(*made));
    co_return kFine;
}

} // namespace

void addPut(Commands& all) {
    auto o = std::make_shared<PutFlags>();
    Flags& f = all.add(
        "put", "Stores standard input as a file; it appears when it is whole", "tar c src | skua put /backup/src.tar", [&all, o] {
            u32 mode = 0644;
            if (!o->mode.empty()) {
                char* end = nullptr;
                mode = static_cast<u32>(std::strtoul(o->mode.c_str(), &end, 8));
                if (*end || mode > 07777) return usage("--mode " + o->mode + ": write an octal number, as 644");
            }
            return withProcess(all.settings, [&](client::Process& process) { return process.run(put(process, *o, mode)); });
        });
    f.positional("PATH", o->path, "Its path in skua");
    f.option("--mode", o->mode, "Permissions, octal (default: 644)");
    f.flag("--no-replace", o->no_replace, "Fail if the name is taken");
    f.flag("--json", o->json, "Print its attributes as JSON");
}

} // namespace skua::cli
