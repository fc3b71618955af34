// Also how a new directory gets the policy of the one that it is in.
#include "shard/inodes.h"
#include "shard/ops/apply.h"
#include "shard/policy.h"

namespace skua::shard {

template <>
Result<Done> act<SetParent>(Context& ctx, TxnId, const SetParent& op) {
    if (op.dir == kRoot) return Error(Code::NotPermitted, "the root stays");
    if (!op.parent.isDirectory() || !op.parent.wellFormed() || op.parent == op.dir)
        return Error(Code::Invalid, "the parent is no directory");
    auto loaded = inodes::loadOpenDirectory(ctx.config, ctx.rows, op.dir);
    if (loaded.code() == Code::NotFound) return Done{}; // made and removed again meanwhile: it has no parent any more
    TRY(Inode row, std::move(loaded));
    if (!op.created_in.none()) {
        // Its name is no secret since AddEntry: RenameHere gives it another one without the coordinator, and under that
        // a later transaction may have moved it. Its parent is then that one's affair, and so is its policy.
        const bool moved = row.directory->parent != op.created_in;
        const bool as_made = row.directory->resolved == inherit(row.directory->own, ctx.config.policy);
        if (moved || !as_made) return Done{};
    }
    row.directory->parent = op.parent;
    row.directory->resolved = inherit(row.directory->own, inherit(op.resolved, ctx.config.policy));
    row.ctime = ctx.now.wall;
    inodes::store(ctx, op.dir, row);
    return Done{};
}

} // namespace skua::shard
