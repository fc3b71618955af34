#include "shard/totals.h"

namespace skua::shard::totals {

void add(Context& ctx, const TotalsRow& d) {
    if (d == TotalsRow{}) return;
    TotalsRow row = Totals::get(ctx.rows, {}).value_or(TotalsRow{});
    row.inodes += d.inodes;
    row.files += d.files;
    row.directories += d.directories;
    row.bytes += d.bytes;
    row.past_bytes += d.past_bytes;
    row.garbage_blocks += d.garbage_blocks;
    Totals::put(ctx.rows, {}, row);
}

} // namespace skua::shard::totals
