#include "shard/entries.h"
#include "shard/ops/apply.h"

namespace skua::shard {

template <>
Result<AddEntry::Reply> act<AddEntry>(Context& ctx, TxnId txn, const AddEntry& op) {
    TRY(auto dir, entries::open(ctx, op.dir));
    TRY_OK(entries::add(ctx, dir, op.name, op.target, txn));
    entries::store(ctx, dir);
    return AddEntry::Reply{dir.row.directory->resolved};
}

} // namespace skua::shard
