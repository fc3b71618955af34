#include "shard/inodes.h"
#include "shard/ops/apply.h"

namespace skua::shard {

template <>
Result<ListXattr::Reply> read<ListXattr>(const Reading& r, const ListXattr& op) {
    TRY(Inode row, inodes::load(r.config, r.rows, op.inode));
    ListXattr::Reply reply;
    for (Xattr& x : row.xattrs) reply.names.push_back(std::move(x.name));
    return reply;
}

} // namespace skua::shard
