// ReplaceServer: a human's word that another server takes a server's groups. DropServer: it has taken them.
// AbandonCopies: a human's word that only one member's copy of a group is to go on.
#include "registry/ops/apply.h"

namespace skua::registry {

template <>
Result<ReplaceServer::Reply> apply(Context& c, const ReplaceServer& op) {
    TRY(ServerRow row, Servers::find(c.rows, {op.id}, Error(Code::NotFound, "no such server")));
    if (op.with.value != 0) {
        TRY(const ServerRow other, Servers::find(c.rows, {op.with}, Error(Code::NotFound, "no such server to take its groups")));
        if (other.id == row.id) return Error(Code::Invalid, row.name + " cannot replace itself");
        if (other.role != row.role) return Error(Code::Invalid, other.name + " has another role than " + row.name);
        if (other.replaced_by.value != 0) return Error(Code::Invalid, other.name + " is being replaced itself");
    }
    if (op.with.value != 0 && row.replaced_by != op.with) { // one copy fewer is what nobody wants who replaces a server
        u32 both = 0;
        Groups::scan(c.rows, Groups::All{}, [&](const GroupKey&, const GroupRow& group) {
            bool one = false, other = false;
            for (const raft::Member& m : group.members) one = one || m.server == op.id, other = other || m.server == op.with;
            both += one && other;
            return true;
        });
        if (both != 0)
            return Error(Code::Invalid, "the other server has copies of " + std::to_string(both) + " of the groups of " +
                                            row.name + " already: name one that has none, or leave --with out");
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

namespace {
// The group has grown since it was recovered: that one is not taken back any more.
void settleBarred(Context& c, GroupId group) {
    std::vector<std::pair<StoreKey, BarredRow>> settled;
    Barred::scan(c.rows, Barred::All{}, [&](const StoreKey& key, const BarredRow& row) {
        if (row.group == group && !row.final) settled.emplace_back(key, BarredRow{row.server, row.group, true});
        return true;
    });
    for (const auto& [key, row] : settled) Barred::put(c.rows, key, row);
}
} // namespace

// Who runs with one of the stores ends with its next heartbeat: its incarnation is an old one. The group's row says that the kept
// copy is all there is, of no configuration: whatever its next leader says is newer.
template <>
Result<AbandonCopies::Reply> apply(Context& c, const AbandonCopies& op) {
    TRY(GroupRow group, Groups::find(c.rows, {op.group}, Error(Code::NotFound, "no such group")));
    if (op.take_back) {
        std::vector<StoreKey> back;
        Barred::scan(c.rows, Barred::All{}, [&](const StoreKey& key, const BarredRow& row) {
            if (row.group == op.group && !row.final) back.push_back(key);
            return true;
        });
        for (const StoreKey& key : back) Barred::erase(c.rows, key);
        return Done{};
    }
    std::vector<raft::Member> kept;
    for (const auto* list : {&group.members, &group.learners})
        for (const raft::Member& m : *list)
            if (m.server == op.keep) kept.push_back(m);
    if (kept.empty()) return Error(Code::Invalid, "the server to keep is no member of the group");
    if (group.members.size() + group.learners.size() > 1) settleBarred(c, op.group);
    for (const auto* list : {&group.members, &group.learners})
        for (const raft::Member& m : *list) {
            if (m.server == op.keep || m.store == 0 || Barred::has(c.rows, {m.store})) continue;
            Barred::put(c.rows, {m.store}, {m.server, op.group, false});
            auto row = Servers::get(c.rows, {m.server});
            if (!row || row->store != m.store) continue;
            row->incarnation.value++;
            Servers::put(c.rows, {row->id}, *row);
        }
    group.members = {kept.front()};
    group.learners.clear();
    group.configuration = 0;
    Groups::put(c.rows, {op.group}, group);
    c.changed();
    return Done{};
}

} // namespace skua::registry
