#include <algorithm>
#include "shard/expiry.h"
#include "shard/ops/apply.h"

namespace skua::shard {

namespace {
constexpr u32 kMost = 1024;
}

template <>
Result<Done> apply<Purge>(Context& ctx, const Purge& op) {
    expiry::purge(ctx, std::min(op.limit, kMost));
    return Done{};
}

} // namespace skua::shard
