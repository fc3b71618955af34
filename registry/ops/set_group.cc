// SetGroup: the registry's copy of a group's membership; never an older one over a newer one.
#include "registry/ops/apply.h"

namespace skua::registry {

template <> Result<SetGroup::Reply> apply(Context& c, const SetGroup& op) {
    if (op.group.members.empty() || op.group.members.size() > 16) return Error(Code::Invalid, "a group has 1 to 16 members");
    for (ServerId member : op.group.members)
        if (!Servers::has(c.rows, {member})) return Error(Code::NotFound, "a member is not registered");
    auto known = Groups::get(c.rows, {op.group.id});
    if (known && known->configuration > op.group.configuration) return Error(Code::Stale, "a newer membership is known");
    if (known && *known == op.group) return Done{};
    Groups::put(c.rows, {op.group.id}, op.group);
    c.changed();
    return Done{};
}

}  // namespace skua::registry
