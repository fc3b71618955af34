// Server: its start: what the log's records and the rows say of each group, and what is made of it.
//
//   recover(), of each record in order ─► discover(): who has rows only ─► begin(): reopen() each that has a past
//
// A group whose past has a gap, or whose rows do not say how far they are, stays down and says why.
#include <algorithm>
#include "core/base/probe.h"
#include "raft/server.h"
#include "raft/server_leader.h"

namespace skua::raft {

void Server::recover(RecordKind kind, GroupId group, std::string_view payload) {
    Replica* g = replicaOf(group);
    if (!g || !g->trouble.empty()) return;
    bool fine = true;
    switch (kind) {
        case RecordKind::kEntry: fine = g->past.takeEntry(std::string(payload)); break;
        case RecordKind::kState: fine = payload.empty() || g->past.takeVote(payload); break;
        case RecordKind::kVote: fine = g->past.takeVote(payload); break;
        case RecordKind::kBase: fine = g->past.takeBase(payload); break;
        case RecordKind::kCarried: fine = g->past.takeCarried(payload); break;
    }
    if (!fine) g->trouble = "its log has a gap, or a record that cannot be read";
}

void Server::setTrouble(GroupId group, std::string why) {
    if (Replica* g = replicaOf(group)) g->trouble = std::move(why);
}

bool Server::othersHaveAll() const {
    for (const auto& [_, g] : groups_) {
        std::size_t voters = g->applied.members.size();
        for (const LoggedEntry& entry : g->past.entries())
            if (auto members = membersOf(entry)) voters = members->voters.size();
        if (voters < 2) return false;
    }
    return !groups_.empty();
}

std::string Server::firstTrouble() const {
    for (const auto& [_, g] : groups_)
        if (!g->trouble.empty()) return g->trouble;
    return {};
}

void Server::discover() {
    // Groups that have only flushed rows, and nothing in the log any more.
    std::set<GroupId> known;
    kv_.scan({}, {}, [&](std::string_view key, std::string_view) {
        GroupId id;
        if (key.size() >= 4 && wire::decodeKey(key.substr(0, 4), id)) known.insert(id);
        return false;
    });
    for (std::string from; !known.empty();) { // hop from group to group
        const std::string after = wire::afterPrefix(prefixOf(*known.rbegin()));
        if (after == from || after.empty()) break;
        from = after;
        kv_.scan(from, {}, [&](std::string_view key, std::string_view) {
            GroupId id;
            if (key.size() >= 4 && wire::decodeKey(key.substr(0, 4), id)) known.insert(id);
            return false;
        });
    }
    kv_.forgive(); // each is read for itself
    for (GroupId id : known) (void)replicaOf(id);
}

void Server::setTroubleOfAll(const std::string& why) {
    discover();
    for (auto& [_, g] : groups_)
        if (g->trouble.empty()) g->trouble = why;
}

// A group with a past, as far as it goes. Where that does not say which server we are (a learner that has a vote and no
// rows yet), whoever speaks to us does: until then it stays closed.
bool Server::reopen(Moment now, Replica& g, const Member& told) {
    const Applied& a = g.applied;
    const LogBase rows{a.index, a.term, a.wall, a.age, a.configuration, {a.members, a.learners}};
    GroupLog log;
    if (!g.past.join(rows, log)) {
        g.trouble = "its log begins behind its rows: what is between is lost";
        return false;
    }
    for (const LoggedEntry& entry : g.past.entries()) {
        const std::vector<u64> stores = shutOutBy(entry);
        g.shutOut.insert(stores.begin(), stores.end());
    }
    Member self = selfIn(log.members());
    if (self.server.value == 0) self = selfIn(log.base().members);
    if (self.server.value == 0 && log.members().voters.size() != 1) {
        if (told.store == 0) return true;
        PROBE("a learner is told who it is after a restart");
        self = told;
    }
    const bool needs_rows = InstallingRow::has(*g.rows, {}) || kv_.failed();
    kv_.forgive();
    openGroup(now, g, self, std::move(log), rows, needs_rows);
    if (!needs_rows || !alone(g)) return true;
    stopGroup(g, "its rows cannot be read, and it has no other member; look at the disk", nullptr);
    return false;
}

void Server::begin(Moment now, Effects& out) {
    discover();
    for (auto& [_, g] : groups_) {
        const bool nothing = g->applied.index.value == 0 && g->past.empty() && !InstallingRow::has(*g->rows, {}) && !kv_.failed();
        kv_.forgive(); // reopen() reads it again
        if (!g->trouble.empty() || nothing) continue;
        if (!reopen(now, *g, {}) || !g->group) continue;
        if (g->group->wakeAt() <= now.monotonic) (void)step(now, *g, Tick{}, out);
    }
    flush(now, out);
}

} // namespace skua::raft
