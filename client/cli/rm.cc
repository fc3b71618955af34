// rm: names, and trees; kept for `undelete` while retention lasts.
#include "client/cli/all.h"
#include "client/cli/each.h"

namespace skua::cli {

namespace {

struct RmFlags {
    std::vector<std::string> paths;
    bool recursive = false, now = false, force = false, directory = false;
};

Task<Result<>> rm(Client& client, std::string path, const RmFlags& flags) {
    FileSystem fs(client);
    Result<> done = Ok{};
    if (flags.recursive) {
        auto removed = co_await fs.removeTree(path, flags.now);
        if (!removed) done = removed.error();
    } else {
        done = co_await fs.unlink(path, flags.now);
        if (done.code() == Code::IsDirectory && flags.directory) done = co_await fs.rmdir(path);
        else if (done.code() == Code::IsDirectory)
            done = Error(Code::IsDirectory, path + "; say -r to remove it with all below, -d if it is empty");
    }
    if (done.code() == Code::NotFound && flags.force) co_return Ok{};
    co_return done;
}

} // namespace

void addRm(Commands& all) {
    auto o = std::make_shared<RmFlags>();
    Flags& f = all.add("rm", "Removes files and trees; `skua undelete` brings them back while retention lasts", "skua rm -r /old",
                       [&all, o] {
                           return forEachPath(all.settings, o->paths,
                                              [&](Client& client, std::string path) { return rm(client, std::move(path), *o); });
                       });
    f.positional("PATH", o->paths, "Paths in skua");
    f.flag("-r,--recursive", o->recursive, "Directories with all below them");
    f.flag("-d,--dir", o->directory, "Empty directories");
    f.flag("-f,--force", o->force, "What is not there is fine");
    f.flag("--now", o->now, "Without retention: gone for good after the 30 minutes that everything is kept");
}

} // namespace skua::cli
