// Policies: inheritance and bounds.
#pragma once

#include "core/base/result.h"
#include "core/data/rows.h"

namespace skua::shard {

// `own` where it says something, else `above`.
Policy inherit(const Policy& own, const Policy& above);
// Invalid with the field that is out of bounds; zero fields are fine.
Result<> checkPolicy(const Policy&);
// In ns; at least 0 (the 30 minutes are age and come on top).
u64 retentionOf(const Policy&);
// Bytes that may be inline; 0 is none.
u32 inlineMost(const Policy&);

} // namespace skua::shard
