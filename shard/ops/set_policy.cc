// The walk below a change sends the resolved policy to every directory (`skua policy set`).
#include "shard/entries.h"
#include "shard/ops/apply.h"
#include "shard/policy.h"

namespace skua::shard {

template <>
Result<Done> apply<SetPolicy>(Context& ctx, const SetPolicy& op) {
    TRY_OK(checkPolicy(op.resolved));
    if (op.own) TRY_OK(checkPolicy(*op.own));
    TRY(auto dir, entries::open(ctx, op.dir));
    if (op.own) dir.row.directory->own = *op.own;
    // Whatever the caller left open comes from the cluster's own policy: a resolved one is complete.
    dir.row.directory->resolved = inherit(op.resolved, ctx.config.policy);
    dir.row.ctime = ctx.now.wall;
    entries::store(ctx, dir);
    return Done{};
}

} // namespace skua::shard
