// Points in time as people write them, for `touch -d`.
#pragma once

#include <string>
#include "core/base/result.h"
#include "core/base/types.h"

namespace skua::cli {

// "@1700000000", "@1700000000.25", "2026-11-22", "2026-11-22 13:05", "2026-11-22T13:05:07.5Z". Local time unless it ends
// in Z. Invalid: it is none of these, or before 1970, or after 2262 (what nanoseconds can say).
Result<Wall> parseTime(const std::string& text);

} // namespace skua::cli
