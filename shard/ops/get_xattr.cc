#include "shard/inodes.h"
#include "shard/ops/apply.h"

namespace skua::shard {

template <>
Result<GetXattr::Reply> read<GetXattr>(const Reading& r, const GetXattr& op) {
    TRY(Inode row, inodes::load(r.config, r.rows, op.inode));
    for (Xattr& x : row.xattrs)
        if (x.name == op.name) return GetXattr::Reply{std::move(x.value)};
    return Code::NoAttribute;
}

} // namespace skua::shard
