#include "shard/policy.h"
#include "shard/context.h"

namespace skua::shard {

namespace {
constexpr std::size_t kMaxSteps = 16, kMaxClass = 64;
constexpr u32 kMaxCell = 16u << 20;
} // namespace

Policy inherit(const Policy& own, const Policy& above) {
    Policy p = own;
    if (p.scheme.empty()) p.scheme = above.scheme;
    if (p.cell == 0) p.cell = above.cell;
    if (p.span == 0) p.span = above.span;
    if (p.inline_most == 0) p.inline_most = above.inline_most;
    if (p.retention == 0) p.retention = above.retention;
    if (p.disk_class.empty()) p.disk_class = above.disk_class;
    if (p.quota_bytes == 0) p.quota_bytes = above.quota_bytes;
    if (p.quota_entries == 0) p.quota_entries = above.quota_entries;
    return p;
}

Result<> checkPolicy(const Policy& p) {
    if (p.scheme.size() > kMaxSteps) return Error(Code::Invalid, "policy: scheme has more than 16 steps");
    u64 before = 0;
    for (const SchemeStep& step : p.scheme) {
        if (step.data == 0 || step.data > kMaxData) return Error(Code::Invalid, "policy: scheme's data is not 1..32");
        if (step.parity > kMaxParity) return Error(Code::Invalid, "policy: scheme's parity is not 0..8");
        if (step.up_to <= before) return Error(Code::Invalid, "policy: scheme's steps do not grow");
        before = step.up_to;
    }
    if (p.cell % kPage != 0 || p.cell > kMaxCell) return Error(Code::Invalid, "policy: cell is not whole pages up to 16 MiB");
    if (p.span > kMaxSpan) return Error(Code::Invalid, "policy: span is over 512 MiB");
    if (p.inline_most > kMaxInline + 1) return Error(Code::Invalid, "policy: inline is over 64 KiB");
    if (p.disk_class.size() > kMaxClass) return Error(Code::Invalid, "policy: class is over 64 bytes");
    return Ok{};
}

u64 retentionOf(const Policy& p) { return p.retention == 0 ? kDefaultRetention : p.retention - 1; }

u32 inlineMost(const Policy& p) { return p.inline_most == 0 ? 0 : p.inline_most - 1; }

} // namespace skua::shard
