// Spans: more of a content's spans, of one generation. Servers may say generation 0: whichever is current.
#include <algorithm>
#include "core/data/receipt.h"
#include "shard/contents.h"
#include "shard/ops/apply.h"

namespace skua::shard {

template <>
Result<Spans::Reply> read(const Reading& r, const Spans& op) {
    if (!op.content.wellFormed() || !isHere(r.config, op.content))
        return Error(Code::Invalid, "that content is not of this shard");
    // Asked for no span: the read key alone, also of a content that is still being written. Its writer reads back
    // what it sent and does not hold any more.
    if (op.limit == 0) {
        Spans::Reply key;
        key.read_key = readKeyOf(r.keys.readKeyKey(), op.content);
        return key;
    }
    const bool any = r.server && op.generation == Generation{};
    if (!any && Staged::has(r.rows, {op.content})) return Error(Code::Stale, "this content is not committed yet");
    if (!any && op.generation != contents::generationOf(r.rows, op.content))
        return Error(Code::Stale, "the content has another generation: open the file again");
    Spans::Reply reply;
    reply.more = contents::readSpans(r.rows, op.content, op.from, std::clamp(op.limit, 1u, contents::kMostSpans), reply.spans);
    if (reply.spans.empty() && op.from == 0 && !Edited::has(r.rows, {op.content}))
        return Error(Code::Stale, "this content has no spans, or not any more: open the file again");
    reply.read_key = readKeyOf(r.keys.readKeyKey(), op.content);
    return reply;
}

} // namespace skua::shard
