// EditContent: some spans of the current content are others from now on, or its inline bytes.
#include "shard/contents.h"
#include "shard/inodes.h"
#include "shard/ops/apply.h"

namespace skua::shard {

template <>
Result<> admit(const Reading& r, const EditContent& op) {
    return contents::checkProofs(r, op.spans);
}

template <>
Result<EditContent::Reply> apply(Context& ctx, const EditContent& op) {
    TRY(Inode inode, inodes::load(ctx.config, ctx.rows, op.inode));
    if (inode.directory) return Error(Code::IsDirectory, show(op.inode));
    if (!op.inode.isFile()) return Error(Code::Invalid, show(op.inode) + " is no regular file");
    TRY_OK(contents::edit(ctx, op, inode));
    inode.mtime = op.mtime.value_or(ctx.now.wall);
    inodes::setSome(inode, op);
    inode.ctime = ctx.now.wall;
    inodes::store(ctx, op.inode, inode);
    return EditContent::Reply{inodes::attributesOf(op.inode, inode)};
}

} // namespace skua::shard
