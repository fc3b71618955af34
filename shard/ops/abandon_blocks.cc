// AbandonBlocks: what a writer wrote and will never commit is erased now, not when its reservation ends.
#include "shard/contents.h"
#include "shard/ops/apply.h"
#include "shard/reservations.h"

namespace skua::shard {

template <>
Result<Done> apply(Context& ctx, const AbandonBlocks& op) {
    if (op.blocks.size() > contents::kMostGarbage) return Error(Code::Invalid, "at most 4096 blocks in one request");
    TRY_OK(reservations::use(ctx, op.reservation));
    for (const BlockRef& b : op.blocks)
        if (b.id.reservation != op.reservation || b.id.content != op.content || b.service.value == 0)
            return Error(Code::Invalid, "a block is not of this content and reservation");
    // Those that a commit used, be it one whose answer was lost, stay. The others can be used by none from now on.
    contents::addGarbage(ctx, reservations::useTheRest(ctx, op.reservation, op.content, op.blocks));
    return Done{};
}

} // namespace skua::shard
