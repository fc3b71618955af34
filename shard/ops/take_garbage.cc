// TakeGarbage: blocks that a service may erase. Asked again until it says DoneGarbage.
#include <algorithm>
#include "shard/contents.h"
#include "shard/ops/apply.h"

namespace skua::shard {

template <>
Result<TakeGarbage::Reply> read(const Reading& r, const TakeGarbage& op) {
    const std::size_t limit = std::clamp(op.limit, 1u, contents::kMostGarbage);
    TakeGarbage::Reply reply;
    Garbage::scan(r.rows, ServicePrefix{op.service}, [&](const GarbageKey& key, const Nothing&) {
        reply.blocks.push_back(key.block);
        return reply.blocks.size() < limit;
    });
    return reply;
}

} // namespace skua::shard
