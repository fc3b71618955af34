// A step's answer is remembered by (txn, step), a refusal too: a delayed packet must not lock a name for a
// transaction that has been rolled back meanwhile. Below the watermark everything is refused.
#include "core/base/probe.h"
#include "shard/ops/apply.h"

namespace skua::shard {

namespace {

constexpr std::size_t kForgetAtOnce = 64;

void raiseWatermark(Context& ctx, TxnId to) {
    const WatermarkRow row = Watermark::get(ctx.rows, {}).value_or(WatermarkRow{});
    if (to <= row.txn) return;
    Watermark::put(ctx.rows, {}, {to});
    std::vector<StepKey> old;
    StepAnswers::scan(ctx.rows, OnlyKey{}, [&](const StepKey& key, const StepAnswer&) {
        if (key.txn >= to) return false;
        old.push_back(key);
        return old.size() < kForgetAtOnce;
    });
    for (const StepKey& key : old) StepAnswers::erase(ctx.rows, key);
}

template <class Action>
Result<std::string> run(Context& ctx, TxnId txn, const Action& action) {
    TRY(const auto reply, act<Action>(ctx, txn, action));
    return wire::encode(reply);
}

} // namespace

Result<std::string> applyStep(Context& ctx, const Step& op) {
    if (op.txn == TxnId{} || op.txn < op.watermark) return Error(Code::Invalid, "a step of a finished transaction");
    if (op.txn < Watermark::get(ctx.rows, {}).value_or(WatermarkRow{}).txn) {
        PROBE("a step comes after its transaction has ended");
        return Error(Code::Expired, "the transaction is finished");
    }
    const StepKey key{op.txn, op.step};
    if (auto before = StepAnswers::get(ctx.rows, key)) {
        PROBE("a step comes twice");
        if (before->error.code != Code::Ok) return before->error;
        return std::move(before->reply.value);
    }
    raiseWatermark(ctx, op.watermark);

    // On its own, so that a refused step changes nothing while its answer stays.
    store::Transaction writes(static_cast<const store::Reader&>(ctx.rows));
    Context inner{writes, ctx.now, ctx.client, ctx.request, ctx.server, ctx.own, ctx.config, ctx.keys, ctx.late, {}, {}};
    auto reply = std::visit([&](const auto& action) { return run(inner, op.txn, action); }, op.action);
    if (!reply) {
        StepAnswers::put(ctx.rows, key, {reply.error(), {}});
        return reply;
    }
    for (const auto& [k, v] : writes.writes()) {
        if (v) ctx.rows.put(k, *v);
        else ctx.rows.erase(k);
    }
    ctx.sent = std::move(inner.sent);
    StepAnswers::put(ctx.rows, key, {{}, Bytes{*reply}});
    return reply;
}

} // namespace skua::shard
