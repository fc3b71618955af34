// cat: files to standard output.
#include "client/cli/all.h"
#include "client/cli/copy_out.h"

namespace skua::cli {

namespace {

Task<int> cat(client::Process& process, std::vector<std::string> paths) {
    FileSystem fs(process.client());
    int code = kFine;
    for (const std::string& text : paths) {
        auto path = remotePath(text);
        if (!path) co_return usage(path.error().detail);
        auto reader = co_await fs.open(*path);
        if (!reader) {
            code = fail(reader.error());
            continue;
        }
        OutOptions out;
        out.fd = 1;
        auto copied = co_await copyOut(process.ring(), **reader, out);
        if (!copied) code = fail(client::withPath(copied.error(), *path));
    }
    co_return code;
}

} // namespace

void addCat(Commands& all) {
    auto paths = std::make_shared<std::vector<std::string>>();
    Flags& f = all.add("cat", "Writes files to standard output", "skua cat /logs/today", [&all, paths] {
        return withProcess(all.settings, [&](client::Process& process) { return process.run(cat(process, *paths)); });
    });
    f.positional("PATH", *paths, "Files in skua");
}

} // namespace skua::cli
