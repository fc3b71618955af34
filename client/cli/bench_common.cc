#include "client/cli/bench_common.h"

#include <algorithm>
#include "core/base/config.h"
#include "core/base/random.h"

namespace skua::cli {

double Latencies::percentile(double p) {
    if (ns.empty()) return 0;
    std::sort(ns.begin(), ns.end());
    const auto at = static_cast<std::size_t>(p * static_cast<double>(ns.size() - 1));
    return static_cast<double>(ns[at]) / 1e3;
}

Task<Result<std::string>> makeBenchDir(FileSystem& fs, std::string parent) {
    const std::string path = client::joinPath(parent, ".bench-" + toHex(randomFromKernel()).substr(8));
    CO_TRY_OK(co_await fs.mkdir(path, 0700, ourOwner()));
    co_return path;
}

} // namespace skua::cli
