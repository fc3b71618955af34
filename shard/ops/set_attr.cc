// atime changes only here, when somebody asks for it.
#include "shard/inodes.h"
#include "shard/ops/apply.h"

namespace skua::shard {

namespace {
constexpr u32 kPermissions = 07777;
}

template <> Result<SetAttr::Reply> apply<SetAttr>(Context& ctx, const SetAttr& op) {
    TRY(Inode row, inodes::load(ctx.config, ctx.rows, op.inode));
    if (op.mode) row.mode = (row.mode & ~kPermissions) | (*op.mode & kPermissions);
    if (op.uid) row.uid = *op.uid;
    if (op.gid) row.gid = *op.gid;
    if (op.atime) row.atime = *op.atime;
    if (op.mtime) row.mtime = *op.mtime;
    if (op.atime_now) row.atime = ctx.now.wall;
    if (op.mtime_now) row.mtime = ctx.now.wall;
    row.ctime = ctx.now.wall;
    inodes::store(ctx, op.inode, row);
    return SetAttr::Reply{inodes::attributesOf(op.inode, row)};
}

}  // namespace skua::shard
