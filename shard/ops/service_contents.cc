// ServiceContents: what has blocks on a service, for repair and drain; service 0: blocks owed or bad.
#include <algorithm>
#include "shard/ops/apply.h"

namespace skua::shard {

template <>
Result<ServiceContents::Reply> read(const Reading& r, const ServiceContents& op) {
    const std::size_t limit = std::clamp(op.limit, 1u, 4'096u);
    ServiceContents::Reply reply;
    reply.end = true;
    OnServices::scan(
        r.rows, ServicePrefix{op.service},
        [&](const OnServiceKey& key, const OnService&) {
            if (reply.contents.size() == limit) {
                reply.end = false;
                return false;
            }
            reply.contents.push_back(key.content);
            return true;
        },
        OnServiceKey{op.service, {op.after.value + 1}});
    return reply;
}

} // namespace skua::shard
