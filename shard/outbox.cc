#include "shard/outbox.h"
#include "core/base/probe.h"
#include "shard/expiry.h"

namespace skua::shard {

namespace outbox {

void send(Context& ctx, ShardId to, const OutboxMessage& message, bool answer_waits) {
    OutboxHead head = OutboxHeads::get(ctx.rows, {to}).value_or(OutboxHead{});
    const OutboxKey key{to, ++head.last};
    OutboxHeads::put(ctx.rows, {to}, head);
    OutboxRow row;
    row.message = message;
    Outbox::put(ctx.rows, key, row);
    ctx.sent.push_back(to);
    if (answer_waits) ctx.waits_for = key;
}

void answerWhenTaken(Context& ctx, const OutboxKey& key, std::string reply) {
    auto row = Outbox::get(ctx.rows, key);
    if (!row) return;
    row->client = ctx.client;
    row->request = ctx.request;
    row->reply.value = std::move(reply);
    row->late =
        expiry::file(ctx, Due::at(Age{ctx.now.age.value + kAnswerAtMost}), ExpiryKind::kLateAnswer, key.to.value, key.number);
    Outbox::put(ctx.rows, key, *row);
}

void taken(Context& ctx, ShardId to, u64 number) {
    std::vector<std::pair<OutboxKey, OutboxRow>> gone;
    Outbox::scan(ctx.rows, ShardKey{to}, [&](const OutboxKey& key, const OutboxRow& row) {
        if (key.number > number) return false;
        gone.emplace_back(key, row);
        return true;
    });
    for (auto& [key, row] : gone) {
        Outbox::erase(ctx.rows, key);
        if (row.client == ClientId{}) continue;
        expiry::unfile(ctx, row.late, ExpiryKind::kLateAnswer, key.to.value, key.number);
        ctx.late.push_back({row.client, row.request, {{}, std::move(row.reply.value)}});
    }
}

} // namespace outbox

// The receiver takes its time: the client hears what is done here.
template <>
void expiry::expire<ExpiryKind::kLateAnswer>(Context& ctx, const ExpiryKey& key, const Expiry&) {
    const OutboxKey at{ShardId{static_cast<u16>(key.id)}, key.extra};
    auto row = Outbox::get(ctx.rows, at);
    if (!row || row->client == ClientId{}) return;
    PROBE("a client hears of its change before another shard has counted");
    ctx.late.push_back({row->client, row->request, {{}, std::move(row->reply.value)}});
    row->client = ClientId{};
    row->request = RequestId{};
    row->reply.value.clear();
    Outbox::put(ctx.rows, at, *row);
}

} // namespace skua::shard
