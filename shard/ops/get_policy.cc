#include "shard/inodes.h"
#include "shard/ops/apply.h"

namespace skua::shard {

template <>
Result<GetPolicy::Reply> read<GetPolicy>(const Reading& r, const GetPolicy& op) {
    TRY(const Inode row, inodes::load(r.config, r.rows, op.dir));
    if (!row.directory) return Error(Code::NotDirectory, show(op.dir));
    return GetPolicy::Reply{row.directory->own, row.directory->resolved};
}

} // namespace skua::shard
