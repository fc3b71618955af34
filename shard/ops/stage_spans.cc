// StageSpans: spans of a content that is too large for one commit, in order.
#include "shard/contents.h"
#include "shard/ops/apply.h"

namespace skua::shard {

template <>
Result<> admit(const Reading& r, const StageSpans& op) {
    return contents::checkProofs(r, op.spans);
}

template <>
Result<StageSpans::Reply> apply(Context& ctx, const StageSpans& op) {
    return contents::stage(ctx, op);
}

} // namespace skua::shard
