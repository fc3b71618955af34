// For `bench`: latencies, and a directory of its own that goes away again.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>
#include "client/cli/command.h"

namespace skua::cli {

struct Latencies {
    std::vector<u64> ns;
    double percentile(double p); // microseconds
};
// A directory ".bench-XXXX" in `parent`; the caller removes it.
Task<Result<std::string>> makeBenchDir(FileSystem& fs, std::string parent = "/");

} // namespace skua::cli
