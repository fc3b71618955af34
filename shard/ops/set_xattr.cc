#include <algorithm>
#include "shard/inodes.h"
#include "shard/ops/apply.h"

namespace skua::shard {

template <>
Result<Done> apply<SetXattr>(Context& ctx, const SetXattr& op) {
    TRY_OK(inodes::checkXattr(op.xattr.name, op.xattr.value));
    if (op.xattr_mode > XattrMode::kReplace) return Error(Code::Invalid, "an unknown way to set an attribute");
    TRY(Inode row, inodes::load(ctx.config, ctx.rows, op.inode));
    auto at = std::lower_bound(row.xattrs.begin(), row.xattrs.end(), op.xattr.name,
                               [](const Xattr& x, const std::string& name) { return x.name < name; });
    const bool there = at != row.xattrs.end() && at->name == op.xattr.name;
    if (there && op.xattr_mode == XattrMode::kCreate) return Code::Exists;
    if (!there && op.xattr_mode == XattrMode::kReplace) return Code::NoAttribute;
    if (there) at->value = op.xattr.value;
    else row.xattrs.insert(at, op.xattr);
    TRY_OK(inodes::checkXattrs(row.xattrs));
    row.ctime = ctx.now.wall;
    inodes::store(ctx, op.inode, row);
    return Done{};
}

} // namespace skua::shard
