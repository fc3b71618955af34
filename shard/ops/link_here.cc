#include "shard/entries.h"
#include "shard/inodes.h"
#include "shard/ops/apply.h"

namespace skua::shard {

template <>
Result<LinkHere::Reply> apply<LinkHere>(Context& ctx, const LinkHere& op) {
    if (op.inode.isDirectory()) return Error(Code::NotPermitted, "a directory has one name only");
    if (!isHere(ctx.config, op.inode) || !isHere(ctx.config, op.dir))
        return Error(Code::NotSupported, "directory and inode are in different shards; ask the coordinator");
    TRY_OK(entries::add(ctx, op.dir, op.name, op.inode));
    TRY(Inode row, inodes::load(ctx.config, ctx.rows, op.inode));
    TRY_OK(inodes::addLink(ctx, row));
    inodes::store(ctx, op.inode, row);
    return LinkHere::Reply{inodes::attributesOf(op.inode, row)};
}

} // namespace skua::shard
