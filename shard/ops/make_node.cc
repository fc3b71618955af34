#include <sys/stat.h>
#include "shard/entries.h"
#include "shard/inodes.h"
#include "shard/ops/apply.h"
#include "shard/reservations.h"

namespace skua::shard {

template <>
Result<MakeNode::Reply> apply<MakeNode>(Context& ctx, const MakeNode& op) {
    const u32 type = op.mode & S_IFMT;
    if (type != S_IFIFO && type != S_IFSOCK && type != S_IFCHR && type != S_IFBLK)
        return Error(Code::Invalid, "a node is a fifo, a socket or a device");
    TRY_OK(reservations::useInode(ctx, op.reservation, op.inode));
    TRY_OK(entries::add(ctx, op.dir, op.name, op.inode));
    TRY(Inode row, inodes::fresh(ctx, op.inode, InodeType::kSpecial, type | (op.mode & 07777), op.uid, op.gid));
    row.device = op.device;
    inodes::store(ctx, op.inode, row);
    return MakeNode::Reply{inodes::attributesOf(op.inode, row)};
}

} // namespace skua::shard
