#include "shard/holds.h"
#include <algorithm>
#include "shard/expiry.h"
#include "shard/inodes.h"

namespace skua::shard {

namespace holds {

void put(Context& ctx, u64 id, ClientId client) {
    const HoldKey key{id, client};
    const Age until{ctx.now.age.value + kHoldFor};
    if (auto old = Holds::get(ctx.rows, key)) expiry::unfile(ctx, Due::at(old->until), ExpiryKind::kHold, id, client.value);
    Holds::put(ctx.rows, key, {until});
    expiry::file(ctx, Due::at(until), ExpiryKind::kHold, id, client.value);
}

void release(Context& ctx, u64 id, ClientId client) {
    const HoldKey key{id, client};
    auto old = Holds::get(ctx.rows, key);
    if (!old) return;
    expiry::unfile(ctx, Due::at(old->until), ExpiryKind::kHold, id, client.value);
    Holds::erase(ctx.rows, key);
    inodes::reconsider(ctx, InodeId{id});
}

std::optional<Age> heldUntil(const store::Reader& rows, raft::Time now, u64 id) {
    std::optional<Age> last;
    Holds::scan(rows, HoldPrefix{id}, [&](const HoldKey&, const HoldRow& row) {
        if (row.until > now.age) last = std::max(last.value_or(Age{}), row.until);
        return true;
    });
    return last;
}

} // namespace holds

// A hold ends, and what it kept is looked at again.
template <>
void expiry::expire<ExpiryKind::kHold>(Context& ctx, const ExpiryKey& key, const Expiry&) {
    Holds::erase(ctx.rows, {key.id, ClientId{key.extra}});
    inodes::reconsider(ctx, InodeId{key.id});
}

} // namespace skua::shard
