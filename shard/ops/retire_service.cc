// RetireService: a disk is gone for good, so nobody will ever take its garbage. Blocks that still stand on
// it are repair's.
#include "shard/contents.h"
#include "shard/expiry.h"
#include "shard/ops/apply.h"
#include "shard/totals.h"

namespace skua::shard {
namespace {

void dropGarbage(Context& ctx, BlockServiceId service) {
    std::vector<GarbageKey> gone;
    Garbage::scan(ctx.rows, ServicePrefix{service}, [&](const GarbageKey& key, const Nothing&) {
        gone.push_back(key);
        return gone.size() < contents::kMostGarbage;
    });
    for (const GarbageKey& key : gone) Garbage::erase(ctx.rows, key);
    totals::add(ctx, {.garbage_blocks = -static_cast<i64>(gone.size())});
    if (gone.size() == contents::kMostGarbage)
        expiry::file(ctx, Due::at(ctx.now.age), ExpiryKind::kRetiredService, service.value);
}

} // namespace

template <>
Result<Done> apply(Context& ctx, const RetireService& op) {
    if (!ctx.server) return Error(Code::Denied, "only servers may retire a service");
    if (op.service.value == 0) return Error(Code::Invalid, "no service is named");
    dropGarbage(ctx, op.service);
    return Done{};
}

template <>
void expiry::expire<ExpiryKind::kRetiredService>(Context& ctx, const ExpiryKey& key, const Expiry&) {
    dropGarbage(ctx, {static_cast<u32>(key.id)});
}

} // namespace skua::shard
