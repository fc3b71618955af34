// What is to be done later: rows ordered by the log's clocks, taken by Purge entries in log order. The
// leader proposes a Purge when the first row is due; no daemon walks the tree.
#pragma once

#include "shard/context.h"

namespace skua::shard::expiry {

// Files a row, not earlier than now; returns where it is, for unfile().
Due file(Context&, Due when, ExpiryKind kind, u64 id, u64 extra = 0, const std::string& name = {}, const Expiry& row = {});
void unfile(Context&, Due filed, ExpiryKind kind, u64 id, u64 extra = 0, const std::string& name = {});

// The times of the first rows of both scales: nothing is due before. Holds until something is applied.
struct Earliest {
    u64 wall = ~0ull, age = ~0ull;
    bool due(raft::Time now) const { return now.wall.value >= wall || now.age.value >= age; }
};
Earliest earliest(const store::Reader&);
// Takes at most `limit` due rows off, the oldest first, and does what each says. One call of a handler is
// bounded work; what is left it files again.
void purge(Context&, u32 limit);

// The handlers; the row is already removed. In the file that owns what is purged.
template <ExpiryKind kKind>
void expire(Context&, const ExpiryKey&, const Expiry&);
// Declared here, so that no file that calls one can make the general one instead.
template <>
void expire<ExpiryKind::kPastEntry>(Context&, const ExpiryKey&, const Expiry&);
template <>
void expire<ExpiryKind::kPastContent>(Context&, const ExpiryKey&, const Expiry&);
template <>
void expire<ExpiryKind::kHold>(Context&, const ExpiryKey&, const Expiry&);
template <>
void expire<ExpiryKind::kReservation>(Context&, const ExpiryKey&, const Expiry&);
template <>
void expire<ExpiryKind::kStaged>(Context&, const ExpiryKey&, const Expiry&);
template <>
void expire<ExpiryKind::kReplacedSpan>(Context&, const ExpiryKey&, const Expiry&);
template <>
void expire<ExpiryKind::kDyingContent>(Context&, const ExpiryKey&, const Expiry&);
template <>
void expire<ExpiryKind::kDyingInode>(Context&, const ExpiryKey&, const Expiry&);
template <>
void expire<ExpiryKind::kRetiredService>(Context&, const ExpiryKey&, const Expiry&);
template <>
void expire<ExpiryKind::kUsedIds>(Context&, const ExpiryKey&, const Expiry&);
template <>
void expire<ExpiryKind::kLateAnswer>(Context&, const ExpiryKey&, const Expiry&);

// When what stops being visible now may be purged: retention by `policy`, and never within kSafeAge.
struct Fate {
    Wall purge;
    Age not_before;
};
Fate fateOf(const Context&, const Policy& policy);
// Files for `purge`; the handler looks at not_before (when due by wall but too young: file at not_before).
inline bool tooYoung(const Context& ctx, Age not_before) { return ctx.now.age < not_before; }

} // namespace skua::shard::expiry
