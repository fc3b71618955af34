#include "client/cli/each.h"

namespace skua::cli {

namespace {

Task<int> each(Client& client, const std::vector<std::string>& paths,
               const std::function<Task<Result<>>(Client&, std::string)>& work) {
    int code = kFine;
    for (const std::string& path : paths) {
        auto done = co_await work(client, path);
        if (!done) code = fail(done.error());
    }
    co_return code;
}

} // namespace

int forEachPath(const Settings& settings, const std::vector<std::string>& paths,
                const std::function<Task<Result<>>(Client&, std::string)>& work) {
    std::vector<std::string> remote;
    for (const std::string& text : paths) {
        auto path = remotePath(text);
        if (!path) return usage(path.error().detail);
        remote.push_back(*path);
    }
    return withClientCode(settings, [&](Client& client) { return each(client, remote, work); });
}

} // namespace skua::cli
