// bench disk: what the disk itself can do, by skua-blocks.
#include <unistd.h>
#include "client/cli/all.h"
#include "client/cli/local_cluster.h"

namespace skua::cli {

void addBenchDisk(Commands& all) {
    struct Options {
        std::string path;
        u64 mib = 512;
        bool json = false;
    };
    auto o = std::make_shared<Options>();
    Flags& f = all.add("bench disk", "The raw disk under a folder, by io_uring with O_DIRECT", "skua bench disk /data", [o] {
        auto program = findProgram("skua-blocks");
        if (!program) return fail(program.error());
        const std::string mib = std::to_string(o->mib);
        std::vector<const char*> words{"skua-blocks", "bench", o->path.c_str(), "--mib", mib.c_str()};
        if (o->json) words.push_back("--json");
        words.push_back(nullptr);
        execv(program->c_str(), const_cast<char* const*>(words.data()));
        return fail(*program + " cannot be run");
    });
    f.positional("DIR", o->path, "A folder on the disk; a file is made there and removed");
    f.option("--mib", o->mib, "Size of the file, MiB");
    f.flag("--json", o->json, "As JSON");
}

} // namespace skua::cli
