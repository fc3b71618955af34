#include <sys/stat.h>
#include "shard/inodes.h"
#include "shard/ops/apply.h"

namespace skua::shard {

template <>
Result<ReadLink::Reply> read<ReadLink>(const Reading& r, const ReadLink& op) {
    TRY(Inode row, inodes::load(r.config, r.rows, op.inode));
    if (!S_ISLNK(row.mode)) return Error(Code::Invalid, show(op.inode) + " is no symlink");
    return ReadLink::Reply{std::move(row.target)};
}

} // namespace skua::shard
