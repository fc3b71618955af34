#include <sys/stat.h>
#include "shard/inodes.h"
#include "shard/ops/apply.h"

namespace skua::shard {

template <>
Result<CreateDir::Reply> act<CreateDir>(Context& ctx, TxnId, const CreateDir& op) {
    if (!op.parent.isDirectory() || !op.parent.wellFormed()) return Error(Code::Invalid, "the parent is no directory");
    TRY(Inode row, inodes::fresh(ctx, op.dir, InodeType::kDirectory, S_IFDIR | (op.mode & 07777), op.uid, op.gid));
    row.directory.emplace();
    row.directory->parent = op.parent;
    row.directory->resolved = ctx.config.policy; // another one comes with SetParent
    inodes::store(ctx, op.dir, row);
    return CreateDir::Reply{inodes::attributesOf(op.dir, row)};
}

// Nobody has seen it: it needs no past.
template <>
Result<Done> act<DropDir>(Context& ctx, TxnId, const DropDir& op) {
    auto row = Inodes::get(ctx.rows, {op.dir});
    if (!row) return Done{};
    if (!row->directory) return Error(Code::NotDirectory, show(op.dir));
    if (row->directory->entries != 0 || op.dir == kRoot) return Code::NotEmpty;
    inodes::remove(ctx, op.dir);
    return Done{};
}

} // namespace skua::shard
