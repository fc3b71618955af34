// Blocks from the services' side: what became of them, which are bad, which are to be erased.
#include <algorithm>
#include <set>
#include "core/base/probe.h"
#include "shard/contents.h"
#include "shard/expiry.h"
#include "shard/span_rows.h"
#include "shard/totals.h"

namespace skua::shard::contents {
namespace {

using BlocksByContent = std::map<ContentId, std::set<BlockId>>;

BlocksByContent group(const ShardConfig& config, const std::vector<BlockId>& blocks) {
    BlocksByContent by;
    for (const BlockId& b : blocks)
        if (isHere(config, b.content)) by[b.content].insert(b);
    return by;
}

// Those of `wanted` that the spans of the content have on the service; visits each such span once.
template <class V>
void findBlocks(const store::Reader& rows, BlockServiceId service, ContentId content, const std::set<BlockId>& wanted,
                V&& visit) {
    const auto there = OnServices::get(rows, {service, content});
    if (!there) return;
    std::size_t left = std::min<std::size_t>(wanted.size(), there->blocks);
    SpanRows::scan(rows, ContentPrefix{content}, [&](const SpanKey&, const SpanRecord& s) {
        for (const BlockRef& b : s.blocks) {
            if (b.service != service || !wanted.contains(b.id)) continue;
            visit(s, b.id);
            left--;
        }
        return left > 0;
    });
}

} // namespace

void addGarbage(Context& ctx, const std::vector<BlockRef>& blocks) {
    i64 added = 0;
    for (const BlockRef& b : blocks) {
        if (b.service.value == 0) continue;
        Garbage::put(ctx.rows, {b.service, b.id}, {});
        added++;
    }
    totals::add(ctx, {.garbage_blocks = added});
}

// Rule 4 of "Exactly once": while the reservation lives its blocks may still be committed. When its row is
// gone they cannot be, and what is referenced then is so by span rows or by rows of replaced blocks.
Result<std::vector<FateOf>> fates(const Reading& r, BlockServiceId service, const std::vector<BlockId>& blocks) {
    if (blocks.size() > kMostGarbage) return Error(Code::Invalid, "at most 4096 blocks in one question");
    const u32 last = Counters::get(r.rows, {}).value_or(CounterRow{}).last_reservation;
    std::map<ReservationId, bool> alive;
    std::set<BlockId> referenced;
    for (const auto& [content, wanted] : group(r.config, blocks)) {
        findBlocks(r.rows, service, content, wanted, [&](const SpanRecord&, const BlockId& id) { referenced.insert(id); });
        Replaced::scan(r.rows, ContentPrefix{content}, [&](const ReplacedKey&, const ReplacedRow& row) {
            for (const BlockRef& b : row.blocks)
                if (b.service == service && wanted.contains(b.id)) {
                    PROBE("the sweep asks for a block that was replaced lately");
                    referenced.insert(b.id);
                }
            return true;
        });
    }
    std::vector<FateOf> out;
    out.reserve(blocks.size());
    for (const BlockId& b : blocks) {
        auto at = alive.find(b.reservation);
        // One that this shard has not given yet is nobody's to judge; neither is another shard's content.
        if (at == alive.end())
            at = alive.emplace(b.reservation, b.reservation.value > last || Reservations::has(r.rows, {b.reservation})).first;
        if (at->second || !isHere(r.config, b.content)) out.push_back(FateOf::kKeep);
        else out.push_back(referenced.contains(b) ? FateOf::kReferenced : FateOf::kDead);
    }
    return out;
}

void reportBad(Context& ctx, BlockServiceId service, const std::vector<BlockId>& blocks) {
    for (const auto& [content, wanted] : group(ctx.config, blocks)) {
        std::map<u64, SpanRecord> spans;
        findBlocks(ctx.rows, service, content, wanted, [&](const SpanRecord& s, const BlockId&) { spans.emplace(s.offset, s); });
        SpanRowsOf rows(ctx, content);
        for (auto& [offset, span] : spans) {
            rows.erase(span);
            u32 good = 0;
            for (const BlockRef& b : span.blocks) good += b.service.value != 0 && !b.bad;
            // Who reports may be wrong: what the content can be read from at all is not given up by hearsay.
            for (BlockRef& b : span.blocks)
                if (b.service == service && wanted.contains(b.id) && !b.bad && good > span.geometry.data) {
                    b.bad = true;
                    good--;
                }
            rows.put(span);
        }
        rows.finish();
    }
}

} // namespace skua::shard::contents
