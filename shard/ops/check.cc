// Check: some rows against the invariants, for `skua admin fsck`, which asks until the cursor is empty.
#include "shard/invariants.h"
#include "shard/ops/apply.h"

namespace skua::shard {

template <>
Result<Check::Reply> read(const Reading& r, const Check& op) {
    constexpr u32 kRows = 1'000;
    Check::Reply reply;
    std::string cursor = op.cursor.value;
    TRY_OK(invariants::checkPart(r.rows, cursor, kRows, reply.problems, reply.facts));
    reply.cursor.value = std::move(cursor);
    return reply;
}

} // namespace skua::shard
