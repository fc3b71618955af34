#include "shard/inodes.h"
#include "shard/ops/apply.h"

namespace skua::shard {

template <>
Result<Done> act<AddLink>(Context& ctx, TxnId, const AddLink& op) {
    TRY(Inode row, inodes::load(ctx.config, ctx.rows, op.inode));
    TRY_OK(inodes::addLink(ctx, row));
    inodes::store(ctx, op.inode, row);
    return Done{};
}

template <>
Result<Done> act<DropLink>(Context& ctx, TxnId, const DropLink& op) {
    TRY(const Inode row, inodes::load(ctx.config, ctx.rows, op.inode));
    if (row.directory) return Error(Code::NotPermitted, "a directory has one name only");
    inodes::countHere(ctx, {op.inode, -1, 0, ctx.now.wall, {}});
    return Done{};
}

} // namespace skua::shard
