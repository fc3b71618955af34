// SetEntry and RemoveEntry end the transaction's lock on the name. Both only go forward: what is already as
// it should be is success, however often they are sent.
#include "core/data/names.h"
#include "shard/entries.h"
#include "shard/inodes.h"
#include "shard/ops/apply.h"

namespace skua::shard {

template <>
Result<Done> act<SetEntry>(Context& ctx, TxnId txn, const SetEntry& op) {
    TRY_OK(checkName(op.name));
    TRY(auto dir, entries::open(ctx, op.dir));
    const auto key = entries::keyOf(op.dir, op.name);
    auto there = Entries::get(ctx.rows, key);
    TRY_OK(entries::checkUnlocked(there, txn));
    if (there && there->target == op.target) {
        there->lock = TxnId{};
        Entries::put(ctx.rows, key, *there);
        return Done{};
    }
    TRY_OK(entries::set(ctx, dir, op.name, op.target, op.past, {}, txn));
    entries::store(ctx, dir);
    // At once or not at all: a change time that moves a moment later makes tar say "file changed as we read it".
    if (isHere(ctx.config, op.target)) inodes::count(ctx, op.target, 0, 0, ctx.now.wall);
    return Done{};
}

template <>
Result<Done> act<RemoveEntry>(Context& ctx, TxnId txn, const RemoveEntry& op) {
    TRY_OK(checkName(op.name));
    TRY(auto dir, entries::open(ctx, op.dir));
    const auto key = entries::keyOf(op.dir, op.name);
    const auto there = Entries::get(ctx.rows, key);
    TRY_OK(entries::checkUnlocked(there, txn));
    if (!there) return Done{};
    if (!op.target.none() && !there->target.none() && there->target != op.target) return Done{};
    if (there->target.none()) {
        Entries::erase(ctx.rows, key);
        return Done{};
    }
    TRY_OK(entries::remove(ctx, dir, op.name, op.past, {}, txn));
    entries::store(ctx, dir);
    return Done{};
}

} // namespace skua::shard
