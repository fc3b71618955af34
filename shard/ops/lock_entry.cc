// Holds a name for a transaction, be there something or nothing. Repeated with another step number it
// finds its own lock.
#include "core/data/names.h"
#include "shard/entries.h"
#include "shard/ops/apply.h"

namespace skua::shard {

template <>
Result<LockEntry::Reply> act<LockEntry>(Context& ctx, TxnId txn, const LockEntry& op) {
    TRY_OK(checkName(op.name));
    TRY(const auto dir, entries::open(ctx, op.dir));
    const auto key = entries::keyOf(op.dir, op.name);
    const auto row = Entries::get(ctx.rows, key);
    TRY_OK(entries::checkUnlocked(row, txn));
    Entry entry = row.value_or(Entry{});
    if (op.absent && !entry.target.none()) return Error::exists(entry.target);
    if (!op.absent && !op.expected.none() && entry.target != op.expected)
        return Error(Code::NotFound, "name " + op.name.substr(0, 120));
    entry.lock = txn;
    Entries::put(ctx.rows, key, entry);
    return LockEntry::Reply{entry.target, dir.row.directory->resolved};
}

// Done also where there is no lock of this transaction.
template <>
Result<Done> act<UnlockEntry>(Context& ctx, TxnId txn, const UnlockEntry& op) {
    TRY_OK(checkName(op.name));
    const auto key = entries::keyOf(op.dir, op.name);
    auto row = Entries::get(ctx.rows, key);
    if (!row || row->lock != txn) return Done{};
    row->lock = TxnId{};
    if (row->target.none()) Entries::erase(ctx.rows, key);
    else Entries::put(ctx.rows, key, *row);
    return Done{};
}

} // namespace skua::shard
