// Totals of a shard, for Usage. inodes::store keeps all but past contents and garbage: who writes those adds.
#pragma once

#include "shard/context.h"

namespace skua::shard::totals {

void add(Context&, const TotalsRow& difference);

} // namespace skua::shard::totals
