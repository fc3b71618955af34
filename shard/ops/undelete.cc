#include "core/data/names.h"
#include "shard/entries.h"
#include "shard/inodes.h"
#include "shard/ops/apply.h"

namespace skua::shard {

template <>
Result<Undelete::Reply> apply<Undelete>(Context& ctx, const Undelete& op) {
    TRY_OK(checkName(op.name));
    TRY(auto dir, entries::open(ctx, op.dir));
    const auto key = entries::pastKeyOf(op.dir, op.name, op.until);
    TRY(const PastEntryRow past, entries::loadPast(ctx.rows, key));
    if (past.lock != TxnId{}) return Code::Locked;
    if (past.target.isDirectory()) return Error(Code::NotSupported, "a directory is brought back by the coordinator");
    TRY_OK(entries::add(ctx, dir, op.to_name, past.target));
    entries::store(ctx, dir);
    entries::erasePast(ctx, key, past);
    inodes::count(ctx, past.target, 1, -1, ctx.now.wall);
    return Undelete::Reply{past.target};
}

} // namespace skua::shard
