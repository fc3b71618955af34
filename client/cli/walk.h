// Goes down a tree in skua, for tree, find and du: names in order, a directory before what is in it.
#pragma once

#include <functional>
#include "client/cli/command.h"

namespace skua::cli {

struct Walked {
    std::string path, name;
    u32 depth = 0;                 // 0: where the walk began
    bool last = false;             // of its directory
    std::size_t index = 0, of = 1; // among the entries of its directory
    Attributes attributes;
};
struct Walk {
    u32 depth_most = ~0u;                     // entries deeper than that are not looked at
    std::function<bool(const Walked&)> enter; // of each; false: do not go into it
    std::function<void(const Walked&)> leave; // of each directory, when all in it was seen
    int failures = 0;                         // directories that could not be read; each is told on stderr
};
// The Error: `path` itself is not there.
Task<Result<>> walkTree(FileSystem& fs, std::string path, Walk& walk);

} // namespace skua::cli
