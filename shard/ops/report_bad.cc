// ReportBad: blocks that a reader or a service found bad or missing are marked, and owed to repair. What
// nobody references is passed over: it was replaced meanwhile.
#include "shard/contents.h"
#include "shard/ops/apply.h"

namespace skua::shard {

template <>
Result<Done> apply(Context& ctx, const ReportBad& op) {
    if (op.service.value == 0) return Error(Code::Invalid, "no service is named");
    if (op.blocks.size() > contents::kMostGarbage) return Error(Code::Invalid, "at most 4096 blocks in one request");
    contents::reportBad(ctx, op.service, op.blocks);
    return Done{};
}

} // namespace skua::shard
