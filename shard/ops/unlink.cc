#include "core/data/names.h"
#include "shard/entries.h"
#include "shard/ops/apply.h"

namespace skua::shard {

template <>
Result<Unlink::Reply> apply<Unlink>(Context& ctx, const Unlink& op) {
    TRY_OK(checkName(op.name));
    TRY(auto dir, entries::open(ctx, op.dir));
    const auto entry = entries::visible(ctx.rows, op.dir, op.name);
    if (!entry || (!op.expected.none() && entry->target != op.expected))
        return Error(Code::NotFound, "name " + op.name.substr(0, 120));
    if (entry->target.isDirectory()) return Error(Code::IsDirectory, "name " + op.name.substr(0, 120));
    TRY_OK(entries::remove(ctx, dir, op.name, /*past=*/true, op.hold ? ctx.client : ClientId{}));
    entries::store(ctx, dir);
    return Unlink::Reply{entry->target, ctx.now.wall};
}

} // namespace skua::shard
