// ReserveIds: a range of ids for inodes and contents, and the right to write blocks under it.
#include "shard/ops/apply.h"
#include "shard/reservations.h"

namespace skua::shard {

template <>
Result<ReserveIds::Reply> apply(Context& ctx, const ReserveIds& op) {
    return reservations::make(ctx, op.count);
}

} // namespace skua::shard
