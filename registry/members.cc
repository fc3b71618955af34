// What members the groups shall have, and who leads: the registry's leader tells a group's leader, one step at a time. The
// group's own log decides; what it says comes back with heartbeats, and the rows follow.
//
//   a server came back empty (another store), or a human replaced it:
//   voters a b c ──► learner c' ──► c' has caught up: voters a b c c' ──► voters a b c'
#include <algorithm>
#include <set>
#include "raft/messages.h"
#include "registry/ops/apply.h"
#include "registry/state.h"

namespace skua::registry {

namespace {

// Who shall be a voter in this one's place; itself if nothing has changed.
raft::Member wantedFor(const store::Reader& r, const raft::Member& voter) {
    auto server = Servers::get(r, {voter.server});
    if (server && server->replaced_by.value != 0) {
        auto other = Servers::get(r, {server->replaced_by});
        if (other && other->store != 0 && !Barred::has(r, {other->store})) return {other->id, other->store};
    }
    // Store 0: of a member that was made before it told its store.
    if (!server || server->store == 0 || voter.store == 0 || Barred::has(r, {server->store})) return voter;
    return {voter.server, server->store};
}

ServerRole roleOf(GroupId group) {
    if (group == kRegistryGroup) return ServerRole::kRegistry;
    return group == kCoordinatorGroup ? ServerRole::kCoordinator : ServerRole::kShard;
}

// Who may join a group that has too few members: of its role, not in it with any store, and not with a copy of another past.
bool mayJoin(const store::Reader& r, const GroupRow& group, const ServerRow& s) {
    if (s.role != roleOf(group.id) || s.store == 0 || s.replaced_by.value != 0 || Barred::has(r, {s.store})) return false;
    return std::none_of(group.members.begin(), group.members.end(), [&](const raft::Member& m) { return m.server == s.id; });
}

// The next step to the members that shall be; none: these are they.
// `up` servers may be taken into a group that has fewer than `replicas`: one that was recovered, from one copy.
std::optional<raft::Members> nextStep(const store::Reader& r, const GroupRow& row, u32 replicas, const std::set<ServerId>& up) {
    const raft::Members now{row.members, row.learners};
    raft::Members next = now;
    std::vector<raft::Member> wanted;
    for (const raft::Member& voter : now.voters) {
        const raft::Member w = wantedFor(r, voter);
        if (w != voter) wanted.push_back(w);
    }
    if (now.voters.size() < replicas && wanted.empty()) {
        for (const raft::Member& learner : now.learners) {
            auto server = Servers::get(r, {learner.server});
            if (!server || server->store != learner.store || !mayJoin(r, row, *server)) continue;
            std::erase(next.learners, learner);
            next.voters.push_back(learner);
            return next;
        }
        std::optional<raft::Member> joins;
        Servers::scan(r, Servers::All{}, [&](const ServerKey& key, const ServerRow& server) {
            if (mayJoin(r, row, server) && up.contains(key.id)) joins = raft::Member{key.id, server.store};
            return !joins;
        });
        if (joins && now.learners.empty()) {
            next.learners.push_back(*joins);
            return next;
        }
    }
    for (const raft::Member& learner : now.learners) { // of a server that came back empty once more
        if (std::find(wanted.begin(), wanted.end(), learner) != wanted.end()) continue;
        std::erase(next.learners, learner);
        return next;
    }
    for (const raft::Member& voter : now.voters) {
        const raft::Member w = wantedFor(r, voter);
        if (w == voter) continue;
        if (now.votes(w)) std::erase(next.voters, voter);
        else if (now.learns(w)) {
            std::erase(next.learners, w);
            next.voters.push_back(w);
        } else next.learners.push_back(w);
        return next;
    }
    return std::nullopt;
}

} // namespace

std::optional<ServerRow> Registry::leaderOf(const store::Reader& r, GroupId group, Age now) const {
    for (const auto& [id, heard] : heard_) {
        if (now.value - heard.at.value > kUpWithin) continue;
        if (std::find(heard.leads.begin(), heard.leads.end(), group) != heard.leads.end()) return Servers::get(r, {id});
    }
    return std::nullopt;
}

void Registry::noteMembers(const store::Reader& r, const GroupRow& told, raft::Leader& leader) {
    auto known = Groups::get(r, {told.id});
    if (!known || known->configuration >= told.configuration) return;
    SetGroup set;
    set.group = told;
    leader.propose(wire::encode(Request{set}));
}

void Registry::mendGroups(const store::Reader& r, raft::Time now, raft::Leader& leader) {
    if (mendedAt_.value != 0 && now.age.value < mendedAt_.value + kRetryMendNs) return;
    mendedAt_ = now.age;
    const MapVersion version = metaOf(r).version;
    if (mendedFor_ == version) return; // these are the members that shall be
    bool due = false;
    const u32 replicas = std::max<u32>(1, metaOf(r).config.replicas);
    std::set<ServerId> needed, up;
    for (const auto& [id, heard] : heard_)
        if (now.age.value - heard.at.value <= 2 * kSecond) up.insert(id);
    Groups::scan(r, Groups::All{}, [&](const GroupKey& key, const GroupRow& row) {
        for (const auto* list : {&row.members, &row.learners})
            for (const raft::Member& m : *list) needed.insert(m.server);
        due = due || !row.formatted;
        if (!row.formatted) return true;
        auto next = nextStep(r, row, replicas, up);
        due = due || row.members.size() < replicas; // until somebody comes
        if (!next) return true;
        due = true;
        Telling& t = mending_[key.id];
        if (t.token != 0 || now.age < t.not_before) return true;
        auto leads = leaderOf(r, key.id, now.age);
        if (!leads) return true;
        t.token = ++lastToken_;
        const raft::ChangeGroup change{key.id, {row.members, row.learners}, *next};
        leader.tellHost(leads->address.text, wire::encode(raft::HostRequest{change}), t.token);
        return true;
    });
    Servers::scan(r, Servers::All{}, [&](const ServerKey& key, const ServerRow& row) {
        if (row.replaced_by.value == 0 || needed.contains(key.id)) return true;
        due = true;
        leader.propose(wire::encode(Request{DropServer{key.id}}));
        return true;
    });
    if (!due) mendedFor_ = version;
}

// Nobody leads two groups more than another one that could: one group at a time is handed over.
void Registry::spreadLeaders(const store::Reader& r, raft::Time now, raft::Leader& leader) {
    if (now.age.value < std::max(leadsAt_, startedAt_).value + kSpreadLeadersNs) return;
    leadsAt_ = now.age;
    std::map<ServerId, u64> leads;
    for (const auto& [id, heard] : heard_)
        if (now.age.value - heard.at.value <= 2 * kSecond) leads[id] = heard.leads.size();
    bool told = false;
    Groups::scan(r, Groups::All{}, [&](const GroupKey& key, const GroupRow& row) {
        if (!row.formatted || row.members.size() < 2 || !row.learners.empty()) return true;
        auto leader_row = leaderOf(r, key.id, now.age);
        if (!leader_row || !leads.contains(leader_row->id)) return true;
        const raft::Member* least = nullptr;
        for (const raft::Member& m : row.members) {
            if (!leads.contains(m.server) || heard_.at(m.server).low) continue;
            if (!least || leads[m.server] < leads[least->server]) least = &m;
        }
        if (!least || leads[least->server] + 2 > leads[leader_row->id]) return true;
        Telling& t = mending_[key.id];
        if (t.token != 0 || now.age < t.not_before) return true;
        t.token = ++lastToken_;
        leader.tellHost(leader_row->address.text, wire::encode(raft::HostRequest{raft::MoveLeader{key.id, *least}}), t.token);
        told = true;
        return false;
    });
    if (told) leadsAt_ = Age{now.age.value - kSpreadLeadersNs + 2 * kSecond}; // the next one soon
}

} // namespace skua::registry
