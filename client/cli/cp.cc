// cp: files and trees into skua, out of it and within it.
#include <cstdio>
#include <nlohmann/json.hpp>
#include "client/cli/all.h"
#include "client/cli/copier.h"

namespace skua::cli {

namespace {

constexpr std::size_t kShown = 50; // failures

int copy(const Settings& settings, const CopyOptions& options, std::vector<std::string> paths, bool json) {
    if (paths.size() < 2) return usage("where to? usage: skua cp SOURCE... DEST, as skua cp FILE skua:/path");
    const std::string target = paths.back();
    paths.pop_back();
    bool remote = isRemote(target);
    for (const auto& p : paths) {
        if (p.empty()) return usage("an empty path");
        if (!isRemote(p) && !isRemote(target))
            return usage(p + " and " + target + " are both local: write skua:/path for what is in skua");
        remote = remote || isRemote(p);
    }
    if (target.empty()) return usage("an empty path");
    return withProcess(settings, [&](client::Process& process) {
        Copier copier(process, options);
        const bool fine = process.run(copier.run(paths, target));
        const auto& failures = copier.failures();
        for (std::size_t i = 0; i < failures.size() && i < kShown; i++) fail(failures[i]);
        if (failures.size() > kShown) fail("... and " + std::to_string(failures.size() - kShown) + " more failures");
        if (json) {
            nlohmann::json out = {{"files", copier.progress().files},
                                  {"bytes", copier.progress().bytes},
                                  {"skipped", copier.skipped()},
                                  {"seconds", copier.progress().seconds()},
                                  {"failures", failures}};
            print(out);
        }
        return fine ? kFine : kFailed;
    });
}

} // namespace

void addCp(Commands& all) {
    struct Options {
        CopyOptions copy;
        std::vector<std::string> paths;
        bool json = false;
    };
    auto o = std::make_shared<Options>();
    Flags& f = all.add("cp", "Copies into skua, out of it and within it; keeps modes and times", "skua cp -r photos skua:/photos",
                       [&all, o] { return copy(all.settings, o->copy, o->paths, o->json); });
    f.positional("SOURCE... DEST", o->paths,
                 "What, and where to: skua:/path is in skua, `-` is stdin or stdout, anything else is local");
    f.flag("-r,--recursive", o->copy.recursive, "Directories with all that is in them; symlinks stay links");
    f.option("-j,--jobs", o->copy.jobs, "Files at a time");
    f.flag("--update", o->copy.update,
           "Leave out files that are there already, as long and not older: goes on with an interrupted copy");
    f.flag("--verify", o->copy.verify, "Read back what was written, and compare");
    f.flag("--json", o->json, "Print a summary as JSON");
}

} // namespace skua::cli
