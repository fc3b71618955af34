#include "shard/expiry.h"
#include <algorithm>
#include "shard/policy.h"

namespace skua::shard::expiry {

namespace {

u64 nowOn(Scale scale, raft::Time now) { return scale == Scale::kWall ? now.wall.value : now.age.value; }

// Due rows of one scale, the oldest first, at most `limit`.
std::vector<std::pair<ExpiryKey, Expiry>> due(const store::Reader& rows, Scale scale, raft::Time now, std::size_t limit) {
    std::vector<std::pair<ExpiryKey, Expiry>> found;
    if (limit == 0) return found;
    const PurgedRow purged = Purged::get(rows, {}).value_or(PurgedRow{});
    ExpiryKey from;
    from.scale = scale;
    from.time = scale == Scale::kWall ? purged.wall : purged.age;
    Expiries::scan(
        rows, scale,
        [&](const ExpiryKey& key, const Expiry& row) {
            if (key.time > nowOn(scale, now)) return false;
            found.emplace_back(key, row);
            return found.size() < limit;
        },
        from);
    return found;
}

void run(Context& ctx, const ExpiryKey& key, const Expiry& row) {
    switch (key.kind) {
        case ExpiryKind::kPastEntry: return expire<ExpiryKind::kPastEntry>(ctx, key, row);
        case ExpiryKind::kPastContent: return expire<ExpiryKind::kPastContent>(ctx, key, row);
        case ExpiryKind::kHold: return expire<ExpiryKind::kHold>(ctx, key, row);
        case ExpiryKind::kReservation: return expire<ExpiryKind::kReservation>(ctx, key, row);
        case ExpiryKind::kStaged: return expire<ExpiryKind::kStaged>(ctx, key, row);
        case ExpiryKind::kReplacedSpan: return expire<ExpiryKind::kReplacedSpan>(ctx, key, row);
        case ExpiryKind::kDyingContent: return expire<ExpiryKind::kDyingContent>(ctx, key, row);
        case ExpiryKind::kDyingInode: return expire<ExpiryKind::kDyingInode>(ctx, key, row);
        case ExpiryKind::kRetiredService: return expire<ExpiryKind::kRetiredService>(ctx, key, row);
        case ExpiryKind::kUsedIds: return expire<ExpiryKind::kUsedIds>(ctx, key, row);
        case ExpiryKind::kLateAnswer: return expire<ExpiryKind::kLateAnswer>(ctx, key, row);
    }
}

} // namespace

Due file(Context& ctx, Due when, ExpiryKind kind, u64 id, u64 extra, const std::string& name, const Expiry& row) {
    // Never in the past: purge() does not look there again.
    when.time = std::max(when.time, nowOn(when.scale, ctx.now));
    Expiries::put(ctx.rows, {when.scale, when.time, kind, id, extra, name}, row);
    return when;
}

void unfile(Context& ctx, Due filed, ExpiryKind kind, u64 id, u64 extra, const std::string& name) {
    Expiries::erase(ctx.rows, {filed.scale, filed.time, kind, id, extra, name});
}

Earliest earliest(const store::Reader& rows) {
    const raft::Time end{Wall{~0ull}, Age{~0ull}};
    Earliest first;
    for (const auto& [key, _] : due(rows, Scale::kWall, end, 1)) first.wall = key.time;
    for (const auto& [key, _] : due(rows, Scale::kAge, end, 1)) first.age = key.time;
    return first;
}

void purge(Context& ctx, u32 limit) {
    auto rows = due(ctx.rows, Scale::kAge, ctx.now, limit);
    auto by_wall = due(ctx.rows, Scale::kWall, ctx.now, limit - rows.size());
    PurgedRow purged = Purged::get(ctx.rows, {}).value_or(PurgedRow{});
    if (!rows.empty()) purged.age = std::max(purged.age, rows.back().first.time);
    if (!by_wall.empty()) purged.wall = std::max(purged.wall, by_wall.back().first.time);
    rows.insert(rows.end(), std::make_move_iterator(by_wall.begin()), std::make_move_iterator(by_wall.end()));
    if (rows.empty()) return;
    Purged::put(ctx.rows, {}, purged);
    for (const auto& [key, row] : rows) {
        // An earlier one of this entry may have taken it away.
        if (!Expiries::has(ctx.rows, key)) continue;
        Expiries::erase(ctx.rows, key);
        run(ctx, key, row);
    }
}

Fate fateOf(const Context& ctx, const Policy& policy) {
    const u64 wall = ctx.now.wall.value, retention = retentionOf(policy);
    return {Wall{retention > ~wall ? ~u64{0} : wall + retention}, Age{ctx.now.age.value + kSafeAge}};
}

} // namespace skua::shard::expiry
