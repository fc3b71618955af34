#include "shard/holds.h"
#include "shard/ops/apply.h"

namespace skua::shard {

namespace {
constexpr std::size_t kMost = 4096;
}

// Inodes that are gone are passed over: their content answers Stale when it is read.
template <>
Result<Done> apply<Hold>(Context& ctx, const Hold& op) {
    if (ctx.client == ClientId{}) return Error(Code::Invalid, "a hold needs a client");
    if (op.inodes.size() + op.contents.size() > kMost) return Error(Code::Invalid, "at most 4096 holds at once");
    for (InodeId id : op.inodes) {
        if (op.release) holds::release(ctx, id.value, ctx.client);
        else if (isHere(ctx.config, id) && Inodes::has(ctx.rows, {id})) holds::put(ctx, id.value, ctx.client);
    }
    for (ContentId id : op.contents) {
        if (op.release) holds::release(ctx, id.value, ctx.client);
        else if (isHere(ctx.config, id) && id.wellFormed()) holds::put(ctx, id.value, ctx.client);
    }
    return Done{};
}

} // namespace skua::shard
