// A past entry that a transaction brings back is out of expiry until it is dropped or given back.
#include "core/base/probe.h"
#include "core/data/names.h"
#include "shard/entries.h"
#include "shard/expiry.h"
#include "shard/inodes.h"
#include "shard/ops/apply.h"

namespace skua::shard {

template <>
Result<Done> act<LockPast>(Context& ctx, TxnId txn, const LockPast& op) {
    TRY_OK(checkName(op.name));
    const auto key = entries::pastKeyOf(op.dir, op.name, op.until);
    TRY(PastEntryRow row, entries::loadPast(ctx.rows, key));
    if (row.lock == txn) return Done{};
    if (row.lock != TxnId{}) PROBE("two transactions want one past name");
    if (row.lock != TxnId{}) return Code::Locked;
    if (!op.expected.none() && row.target != op.expected)
        return Error(Code::NotFound, "that version of " + op.name.substr(0, 120) + " named something else");
    expiry::unfile(ctx, row.filed, ExpiryKind::kPastEntry, op.dir.value, op.until.value, op.name);
    row.lock = txn;
    PastEntries::put(ctx.rows, key, row);
    return Done{};
}

template <>
Result<Done> act<UnlockPast>(Context& ctx, TxnId txn, const UnlockPast& op) {
    TRY_OK(checkName(op.name));
    const auto key = entries::pastKeyOf(op.dir, op.name, op.until);
    auto row = PastEntries::get(ctx.rows, key);
    if (!row || row->lock != txn) return Done{};
    row->lock = TxnId{};
    row->filed = expiry::file(ctx, Due::at(row->purge), ExpiryKind::kPastEntry, op.dir.value, op.until.value, op.name);
    PastEntries::put(ctx.rows, key, *row);
    return Done{};
}

// What it named has a name again: no pin is taken off, OpenDir did that.
template <>
Result<Done> act<DropPast>(Context& ctx, TxnId txn, const DropPast& op) {
    TRY_OK(checkName(op.name));
    const auto key = entries::pastKeyOf(op.dir, op.name, op.until);
    auto row = PastEntries::get(ctx.rows, key);
    if (!row) return Done{};
    if (row->lock != txn) return Code::Locked;
    entries::erasePast(ctx, key, *row);
    inodes::reconsider(ctx, op.dir);
    return Done{};
}

} // namespace skua::shard
