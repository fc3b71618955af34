// Usage: the totals that every operation keeps.
#include <algorithm>
#include "shard/ops/apply.h"

namespace skua::shard {

template <>
Result<Usage::Reply> read(const Reading& r, const Usage&) {
    const TotalsRow t = Totals::get(r.rows, {}).value_or(TotalsRow{});
    auto shown = [](i64 n) { return static_cast<u64>(std::max<i64>(n, 0)); };
    return Usage::Reply{shown(t.inodes), shown(t.files),      shown(t.directories),
                        shown(t.bytes),  shown(t.past_bytes), shown(t.garbage_blocks)};
}

} // namespace skua::shard
