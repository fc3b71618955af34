// atime changes only here, when somebody asks for it.
#include "shard/inodes.h"
#include "shard/ops/apply.h"

namespace skua::shard {

template <>
Result<SetAttr::Reply> apply<SetAttr>(Context& ctx, const SetAttr& op) {
    TRY(Inode row, inodes::load(ctx.config, ctx.rows, op.inode));
    inodes::setSome(row, op);
    if (op.mtime) row.mtime = *op.mtime;
    if (op.atime_now) row.atime = ctx.now.wall;
    if (op.mtime_now) row.mtime = ctx.now.wall;
    row.ctime = ctx.now.wall;
    inodes::store(ctx, op.inode, row);
    return SetAttr::Reply{inodes::attributesOf(op.inode, row)};
}

} // namespace skua::shard
