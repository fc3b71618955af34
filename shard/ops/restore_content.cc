// RestoreContent: a past content is the current one again; what was current takes its place in the past.
#include "shard/contents.h"
#include "shard/inodes.h"
#include "shard/ops/apply.h"

namespace skua::shard {

template <>
Result<RestoreContent::Reply> apply(Context& ctx, const RestoreContent& op) {
    TRY(Inode inode, inodes::load(ctx.config, ctx.rows, op.inode));
    if (inode.directory) return Error(Code::IsDirectory, show(op.inode));
    TRY_OK(contents::restore(ctx, op.inode, op.until, inode));
    inode.ctime = ctx.now.wall;
    inodes::store(ctx, op.inode, inode);
    return RestoreContent::Reply{inodes::attributesOf(op.inode, inode)};
}

} // namespace skua::shard
