#include <sys/stat.h>
#include "shard/entries.h"
#include "shard/inodes.h"
#include "shard/ops/apply.h"
#include "shard/reservations.h"

namespace skua::shard {

template <>
Result<Symlink::Reply> apply<Symlink>(Context& ctx, const Symlink& op) {
    if (op.target.empty() || op.target.find('\0') != op.target.npos)
        return Error(Code::Invalid, "a symlink's target is empty or has a NUL");
    if (op.target.size() > kMaxTarget) return Error(Code::NameTooLong, "a symlink's target has at most 4095 bytes");
    TRY_OK(reservations::useInode(ctx, op.reservation, op.inode));
    TRY_OK(entries::add(ctx, op.dir, op.name, op.inode));
    TRY(Inode row, inodes::fresh(ctx, op.inode, InodeType::kSpecial, S_IFLNK | 0777, op.uid, op.gid));
    row.target = op.target;
    row.size = op.target.size();
    inodes::store(ctx, op.inode, row);
    return Symlink::Reply{inodes::attributesOf(op.inode, row)};
}

} // namespace skua::shard
