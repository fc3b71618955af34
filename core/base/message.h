// MESSAGE(tag, Name): what every request declares besides FIELDS. Tags are never reused.
#pragma once

#include <string_view>
#include "core/base/fields.h"
#include "core/base/types.h"

#define MESSAGE(tag, name)                  \
    static constexpr ::skua::u8 kTag = tag; \
    static constexpr std::string_view kName = #name;

namespace skua {
// The empty reply: it was done.
struct Done {
    FIELDS()
};
} // namespace skua
