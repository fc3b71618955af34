// ReplaceBlock: repair wrote a block again elsewhere. Only if the old one still stands there.
#include "core/data/geometry.h"
#include "shard/contents.h"
#include "shard/ops/apply.h"

namespace skua::shard {

template <>
Result<> admit(const Reading& r, const ReplaceBlock& op) {
    if (!r.server) return Error(Code::Denied, "only servers repair");
    const auto span = SpanRows::get(r.rows, {op.content, op.offset});
    if (!span || span->geometry.hole()) return Error(Code::NotFound, "no such span: it was replaced or removed");
    return contents::checkProof(r, op.block, geometry::blockLength(span->geometry, span->length), op.proof);
}

template <>
Result<Done> apply(Context& ctx, const ReplaceBlock& op) {
    if (!ctx.server) return Error(Code::Denied, "only servers repair");
    TRY_OK(contents::replaceBlock(ctx, op));
    return Done{};
}

} // namespace skua::shard
