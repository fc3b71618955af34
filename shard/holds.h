// Holds: somebody has this inode or content open, so it is not purged within 30 minutes of age.
#pragma once

#include "shard/context.h"

namespace skua::shard::holds {

void put(Context&, u64 id, ClientId); // or prolongs
void release(Context&, u64 id, ClientId);
// The end of the last one; none: nobody holds it.
std::optional<Age> heldUntil(const store::Reader&, raft::Time now, u64 id);
inline std::optional<Age> heldUntil(const Context& ctx, InodeId id) { return heldUntil(ctx.rows, ctx.now, id.value); }
inline std::optional<Age> heldUntil(const Context& ctx, ContentId id) { return heldUntil(ctx.rows, ctx.now, id.value); }

} // namespace skua::shard::holds
