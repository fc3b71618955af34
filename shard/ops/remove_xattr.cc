#include "shard/inodes.h"
#include "shard/ops/apply.h"

namespace skua::shard {

template <>
Result<Done> apply<RemoveXattr>(Context& ctx, const RemoveXattr& op) {
    TRY(Inode row, inodes::load(ctx.config, ctx.rows, op.inode));
    if (std::erase_if(row.xattrs, [&](const Xattr& x) { return x.name == op.name; }) == 0) return Code::NoAttribute;
    row.ctime = ctx.now.wall;
    inodes::store(ctx, op.inode, row);
    return Done{};
}

} // namespace skua::shard
