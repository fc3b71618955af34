// For commands that do the same to several paths: goes on after a failure, and fails in the end.
#pragma once

#include <functional>
#include "client/cli/command.h"

namespace skua::cli {

// `work` is called with each path in skua, in order.
int forEachPath(const Settings& settings, const std::vector<std::string>& paths,
                const std::function<Task<Result<>>(Client&, std::string)>& work);

} // namespace skua::cli
