// Ends a retention; the 30 minutes of age stay, since somebody may be reading it.
#include <algorithm>
#include "core/data/names.h"
#include "shard/entries.h"
#include "shard/expiry.h"
#include "shard/inodes.h"
#include "shard/ops/apply.h"

namespace skua::shard {

template <>
Result<Done> apply<PurgeNow>(Context& ctx, const PurgeNow& op) {
    if (op.name.empty()) {
        TRY_OK(purgeContentNow(ctx, op.inode, op.until));
        return Done{};
    }
    TRY_OK(checkName(op.name));
    TRY(const Inode dir, inodes::load(ctx.config, ctx.rows, op.inode));
    if (!dir.directory) return Error(Code::NotDirectory, show(op.inode));
    const auto key = entries::pastKeyOf(op.inode, op.name, op.until);
    TRY(PastEntryRow past, entries::loadPast(ctx.rows, key));
    if (past.lock != TxnId{}) return Code::Locked;
    expiry::unfile(ctx, past.filed, ExpiryKind::kPastEntry, op.inode.value, op.until.value, op.name);
    past.purge = std::min(past.purge, ctx.now.wall);
    past.filed = expiry::file(ctx, Due::at(past.not_before), ExpiryKind::kPastEntry, op.inode.value, op.until.value, op.name);
    PastEntries::put(ctx.rows, key, past);
    return Done{};
}

} // namespace skua::shard
