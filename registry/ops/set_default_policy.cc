// SetDefaultPolicy: what new shards' roots resolve to, and what clients show.
#include "registry/ops/apply.h"

namespace skua::registry {

namespace {
constexpr std::size_t kMaxSteps = 16;
}

template <>
Result<SetDefaultPolicy::Reply> apply(Context& c, const SetDefaultPolicy& op) {
    if (op.policy.scheme.empty() || op.policy.scheme.size() > kMaxSteps)
        return Error(Code::Invalid, "a scheme has 1 to 16 steps");
    for (const SchemeStep& step : op.policy.scheme)
        if (step.data == 0 || step.data > kMaxData || step.parity > kMaxParity)
            return Error(Code::Invalid, "a scheme has 1 to 32 data and up to 8 parity blocks");
    c.meta.config.policy = op.policy;
    c.changed();
    return Done{};
}

} // namespace skua::registry
