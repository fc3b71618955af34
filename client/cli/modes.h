// Permissions as people write them.
#pragma once

#include <string>
#include "core/base/result.h"

namespace skua::cli {

// "644", "u+x,go-w", "a=rX" applied to st_mode `mode`: the permission bits. Invalid: it is neither.
Result<u32> applyMode(const std::string& text, u32 mode);

} // namespace skua::cli
