#include "shard/inodes.h"
#include "shard/ops/apply.h"

namespace skua::shard {

template <>
Result<GetParent::Reply> read<GetParent>(const Reading& r, const GetParent& op) {
    TRY(const Inode row, inodes::load(r.config, r.rows, op.dir));
    if (!row.directory) return Error(Code::NotDirectory, show(op.dir));
    return GetParent::Reply{row.directory->parent, row.directory->closed};
}

} // namespace skua::shard
