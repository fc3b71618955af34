// What a name may be: 1..255 bytes, no '/' and no NUL, not "." or "..".
#pragma once

#include <string_view>
#include "core/base/result.h"
#include "core/data/rows.h"

namespace skua {

inline Result<> checkName(std::string_view name) {
    if (name.size() > kMaxName) return Error(Code::NameTooLong, "a name has at most 255 bytes");
    if (name.empty()) return Error(Code::Invalid, "a name is empty");
    if (name == "." || name == "..") return Error(Code::Invalid, "a name is . or ..");
    for (char c : name)
        if (c == '/' || c == '\0') return Error(Code::Invalid, "a name has a / or a NUL in it");
    return Ok{};
}

} // namespace skua
