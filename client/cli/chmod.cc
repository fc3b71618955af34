// chmod: permissions, octal or as u+x,go-w.
#include <cstdlib>
#include "client/cli/all.h"
#include "client/cli/each.h"
#include "client/cli/modes.h"
#include "client/cli/walk.h"

namespace skua::cli {

namespace {

Task<Result<>> chmodOne(Client& client, InodeId inode, std::string path, u32 mode) {
    shard::SetAttr set;
    set.inode = inode;
    set.mode = mode;
    auto done = co_await client.metadata.setAttr(set);
    if (!done) co_return client::withPath(done.error(), path);
    co_return Ok{};
}

Task<Result<>> chmod(Client& client, std::string path, std::string text, bool recursive) {
    FileSystem fs(client);
    std::vector<Walked> found;
    Walk walk;
    walk.depth_most = recursive ? ~0u : 0;
    walk.enter = [&](const Walked& w) {
        if (w.depth == 0 || modeText(w.attributes.mode)[0] != 'l') found.push_back(w);
        return true;
    };
    CO_TRY_OK(co_await walkTree(fs, path, walk));
    for (const Walked& w : found) {
        auto mode = applyMode(text, w.attributes.mode);
        if (!mode) co_return mode.error();
        CO_TRY_OK(co_await chmodOne(client, w.attributes.inode, w.path, *mode));
    }
    co_return Ok{};
}

} // namespace

void addChmod(Commands& all) {
    struct Options {
        std::string mode;
        std::vector<std::string> paths;
        bool recursive = false;
    };
    auto o = std::make_shared<Options>();
    Flags& f = all.add("chmod", "Changes permissions", "skua chmod u+x,go-w /bin/tool", [&all, o] {
        if (auto fine = applyMode(o->mode, 0); !fine) return usage(fine.error().detail);
        return forEachPath(all.settings, o->paths, [&](Client& client, std::string path) {
            return chmod(client, std::move(path), o->mode, o->recursive);
        });
    });
    f.positional("MODE", o->mode, "Octal, or as u+x,go-w");
    f.positional("PATH", o->paths, "Paths in skua");
    f.flag("-R,--recursive", o->recursive, "All below, too");
}

} // namespace skua::cli
