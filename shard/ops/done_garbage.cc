// DoneGarbage: a service has erased these. Idempotent.
#include "shard/contents.h"
#include "shard/ops/apply.h"
#include "shard/totals.h"

namespace skua::shard {

template <>
Result<Done> apply(Context& ctx, const DoneGarbage& op) {
    if (!ctx.server) return Error(Code::Denied, "only servers may say that blocks are erased");
    if (op.blocks.size() > contents::kMostGarbage) return Error(Code::Invalid, "at most 4096 blocks in one request");
    i64 gone = 0;
    for (const BlockId& b : op.blocks) {
        if (!Garbage::has(ctx.rows, {op.service, b})) continue;
        Garbage::erase(ctx.rows, {op.service, b});
        gone++;
    }
    totals::add(ctx, {.garbage_blocks = -gone});
    return Done{};
}

} // namespace skua::shard
