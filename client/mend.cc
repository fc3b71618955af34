#include "client/mend.h"

#include "client/reader.h"
#include "client/writer.h"
#include "core/base/log.h"
#include "core/data/geometry.h"

namespace skua::client {

namespace {

constexpr u64 kStep = 1u << 20;
constexpr int kLooks = 5; // at the map, until it says what the shard knows
constexpr u64 kLookAgain = 200 * kMillisecond;

bool outdated(Client& client, const shard::SpanWithProofs& s) {
    for (std::size_t i = 0; i < s.span.blocks.size() && i < s.proofs.size(); i++) {
        const BlockServiceId id = s.span.blocks[i].service;
        const Service* service = id.value != 0 ? client.cluster.service(id) : nullptr;
        if (service && s.proofs[i].incarnation < service->incarnation) return true;
    }
    return false;
}

// Under which a span of that geometry and length is one span.
Policy policyOf(const SpanRecord& span) {
    const u64 stripe = static_cast<u64>(span.geometry.cell) * span.geometry.data;
    Policy policy;
    policy.scheme.push_back({~0ull, span.geometry.data, span.geometry.parity});
    policy.cell = span.geometry.cell;
    policy.span = static_cast<u32>((span.length + stripe - 1) / stripe * stripe);
    return policy;
}

Task<Result<shard::SpanWithProofs>> writtenAnew(Client& client, NewId id, ContentId content, ReadKey key, SpanRecord span) {
    shard::Open::Reply alone; // the span, as a file of its own
    alone.attributes.content = content;
    alone.attributes.size = span.end();
    alone.spans.push_back(span);
    alone.read_key = key;
    FileReader reader(client, std::move(alone));
    const Policy policy = policyOf(span);
    SpanWriter writer(client, id, content, policy, span.offset, span.length);
    while (writer.filled() < span.length) {
        const u64 step = std::min<u64>(kStep, span.length - writer.filled());
        CO_TRY(auto some, co_await reader.pieces(span.offset + writer.filled(), step));
        for (const Buffer& b : some) CHECK(writer.fill(b.span()) == b.size());
    }
    auto made = co_await writer.finish();
    co_return made;
}

} // namespace

Task<Result<>> mendSpans(Client& client, ReservationId reservation, ContentId content,
                         std::vector<shard::SpanWithProofs>& spans) {
    NewId id;
    id.from = client.metadata.reservations().find(content.shard(), reservation);
    if (!id.from) co_return Error(Code::Expired, "the reservation of these blocks is gone");
    std::vector<std::size_t> which;
    for (int look = 0; which.empty() && look < kLooks; look++) {
        if (look > 0) {
            Sleep nap(client.clock, kLookAgain);
            co_await nap;
        }
        (void)co_await client.cluster.refresh();
        for (std::size_t i = 0; i < spans.size(); i++)
            if (outdated(client, spans[i])) which.push_back(i);
    }
    if (which.empty()) co_return Error(Code::Stale, "a disk has appeared elsewhere, and the map does not say which");
    log::warn("written anew: a disk has appeared elsewhere since content={} spans={}", content.value, which.size());
    const Generation none;
    CO_TRY(auto key, co_await client.metadata.spans(content, none, 0, 0)); // no span: the key alone
    for (const std::size_t i : which) {
        const SpanRecord before = spans[i].span;
        CO_TRY(spans[i], co_await writtenAnew(client, id, content, key.read_key, before));
    }
    co_return Ok{};
}

} // namespace skua::client
