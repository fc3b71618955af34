// SetGroup: the registry's copy of a group's membership; never an older one over a newer one.
#include <algorithm>
#include "registry/ops/apply.h"

namespace skua::registry {

template <>
Result<SetGroup::Reply> apply(Context& c, const SetGroup& op) {
    if (op.group.members.empty() || op.group.members.size() + op.group.learners.size() > 16)
        return Error(Code::Invalid, "a group has 1 to 16 members");
    for (const auto* list : {&op.group.members, &op.group.learners})
        for (const raft::Member& member : *list)
            if (!Servers::has(c.rows, {member.server})) return Error(Code::NotFound, "a member is not registered");
    for (const auto* list : {&op.group.members, &op.group.learners})
        for (const raft::Member& member : *list)
            if (Barred::has(c.rows, {member.store})) return Error(Code::Stale, "a member was shut out since");
    auto known = Groups::get(c.rows, {op.group.id});
    if (known && known->configuration > op.group.configuration) return Error(Code::Stale, "a newer membership is known");
    // The leader may propose twice before it sees the first applied, with other servers that came in between:
    // who was told first may have made the group already.
    if (known && known->configuration == op.group.configuration && known->members != op.group.members)
        return Error(Code::Stale, "the group's members are known, and they are others");
    GroupRow row = op.group;
    row.formatted = row.formatted || (known && known->formatted);
    row.made = known ? known->made : std::max(c.now.wall, Wall{1});
    if (known && *known == row) return Done{};
    Groups::put(c.rows, {op.group.id}, row);
    c.changed();
    return Done{};
}

} // namespace skua::registry
