// SetContent: a whole new content for a file; what it had becomes a past content.
#include "shard/contents.h"
#include "shard/inodes.h"
#include "shard/ops/apply.h"

namespace skua::shard {

template <>
Result<> admit(const Reading& r, const SetContent& op) {
    return contents::checkProofs(r, op.content.spans);
}

template <>
Result<SetContent::Reply> apply(Context& ctx, const SetContent& op) {
    TRY(Inode inode, inodes::load(ctx.config, ctx.rows, op.inode));
    if (inode.directory) return Error(Code::IsDirectory, show(op.inode));
    if (!op.inode.isFile()) return Error(Code::Invalid, show(op.inode) + " is no regular file");
    if (!op.base.none() && (inode.content != op.base || inode.generation != op.base_generation))
        return Error(Code::Conflict, "the file was changed meanwhile");
    contents::toPast(ctx, op.inode, inode);
    TRY_OK(contents::make(ctx, op.reservation, op.content, inode));
    inode.mtime = op.mtime.value_or(ctx.now.wall);
    inodes::setSome(inode, op);
    inode.ctime = ctx.now.wall;
    inodes::store(ctx, op.inode, inode);
    return SetContent::Reply{inodes::attributesOf(op.inode, inode)};
}

} // namespace skua::shard
