// ReplaceServer: a human's word that another server takes a server's groups. DropServer: it has taken them.
// AbandonCopies: a human's word that only one member's copy of a group is to go on.
#include <algorithm>
#include "registry/ops/apply.h"

namespace skua::registry {

namespace {
constexpr std::size_t kMostAbandoned = 16; // of one name: the older folders are hardly still there
}

template <>
Result<ReplaceServer::Reply> apply(Context& c, const ReplaceServer& op) {
    TRY(ServerRow row, Servers::find(c.rows, {op.id}, Error(Code::NotFound, "no such server")));
    if (op.with.value != 0) {
        TRY(const ServerRow other, Servers::find(c.rows, {op.with}, Error(Code::NotFound, "no such server to take its groups")));
        if (other.id == row.id) return Error(Code::Invalid, row.name + " cannot replace itself");
        if (other.role != row.role) return Error(Code::Invalid, other.name + " has another role than " + row.name);
        if (other.replaced_by.value != 0) return Error(Code::Invalid, other.name + " is being replaced itself");
    }
    if (row.role == ServerRole::kBlocks || row.role == ServerRole::kMount)
        return Error(Code::Invalid, row.name + " is in no metadata group");
    if (row.replaced_by == op.with) return Done{};
    row.replaced_by = op.with;
    Servers::put(c.rows, {row.id}, row);
    c.changed();
    return Done{};
}

template <>
Result<DropServer::Reply> apply(Context& c, const DropServer& op) {
    auto row = Servers::get(c.rows, {op.id});
    if (!row || row->replaced_by.value == 0) return Done{};
    bool needed = false;
    Groups::scan(c.rows, Groups::All{}, [&](const GroupKey&, const GroupRow& group) {
        for (const auto* list : {&group.members, &group.learners})
            for (const raft::Member& m : *list) needed = needed || m.server == op.id;
        return !needed;
    });
    if (needed) return Done{};
    Servers::erase(c.rows, {op.id});
    c.changed();
    return Done{};
}

template <>
Result<AbandonCopies::Reply> apply(Context& c, const AbandonCopies& op) {
    TRY(const GroupRow group, Groups::find(c.rows, {op.group}, Error(Code::NotFound, "no such group")));
    const auto kept = [&](const raft::Member& m) { return m.server == op.keep; };
    if (std::none_of(group.members.begin(), group.members.end(), kept))
        return Error(Code::Invalid, "the server to keep is no member of the group");
    for (const auto* list : {&group.members, &group.learners})
        for (const raft::Member& m : *list) {
            if (kept(m)) continue;
            auto row = Servers::get(c.rows, {m.server});
            if (!row || std::find(row->abandoned.begin(), row->abandoned.end(), m.store) != row->abandoned.end()) continue;
            if (row->abandoned.size() >= kMostAbandoned) row->abandoned.erase(row->abandoned.begin());
            row->abandoned.push_back(m.store);
            Servers::put(c.rows, {row->id}, *row);
            c.changed();
        }
    return Done{};
}

} // namespace skua::registry
