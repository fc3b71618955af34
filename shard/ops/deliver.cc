// The effect and the number taken are one batch: exactly once, whatever is repeated.
#include "core/base/probe.h"
#include "shard/inodes.h"
#include "shard/ops/apply.h"
#include "shard/outbox.h"

namespace skua::shard {

template <>
Result<Done> apply<Deliver>(Context& ctx, const Deliver& op) {
    if (op.from.value >= ctx.config.shards || op.from == ctx.config.shard)
        return Error(Code::Invalid, "from a shard that is none");
    InboxHead head = InboxHeads::get(ctx.rows, {op.from}).value_or(InboxHead{});
    if (op.number <= head.last) {
        PROBE("a message between shards comes twice");
        return Done{};
    }
    if (op.number != head.last + 1) {
        PROBE("a message between shards overtakes another");
        return Error(Code::Busy, "messages before this one are missing");
    }
    PROBE("a message between shards is taken");
    InboxHeads::put(ctx.rows, {op.from}, {op.number});
    std::visit([&](const CountLinks& message) { inodes::countHere(ctx, message); }, op.message);
    return Done{};
}

template <>
Result<Done> apply<Delivered>(Context& ctx, const Delivered& op) {
    outbox::taken(ctx, op.to, op.number);
    return Done{};
}

} // namespace skua::shard
