// Server: what the log has to keep for its groups, so that old segments may go (log_cut.h decides when).
//
// A group that has applied what old segments hold, and whose rows are flushed, needs nothing of them: its vote stands at
// the head of each segment. One that cannot apply (it lacks its majority, or its rows, or has stopped) has entries that
// only the log has: they are written again, all from the first that the rows lack to the last, as kCarried. They stand
// together in the log, at a place where the group's log is exactly so: a start takes them whole or not at all, and does
// not care whether the old ones are still there.
#include <algorithm>
#include "core/base/probe.h"
#include "raft/server.h"

namespace skua::raft {

std::map<GroupId, Index> Server::appliedIndexes() const {
    std::map<GroupId, Index> all;
    for (const auto& [id, g] : groups_) all[id] = g->applied.index;
    return all;
}

// Of a group that has stopped, or waits to hear who it is: its past is all of its log behind the rows.
Index Server::lastOf(const Replica& g) {
    if (g.group) return g.group->log().last();
    return g.past.entries().empty() ? Index{} : g.past.entries().back().index;
}

std::map<GroupId, Index> Server::durableIndexes() const {
    std::map<GroupId, Index> all;
    for (const auto& [id, g] : groups_) all[id] = g->group ? g->group->durable() : lastOf(*g);
    return all;
}

// An entry that was replaced since need not be waited for.
std::vector<GroupId> Server::lagging(const std::map<GroupId, Index>& indexes) const {
    std::vector<GroupId> all;
    for (const auto& [id, index] : indexes) {
        auto at = groups_.find(id);
        if (at != groups_.end() && at->second->applied.index < std::min(index, lastOf(*at->second))) all.push_back(id);
    }
    return all;
}

bool Server::keepsLog() const {
    return std::any_of(groups_.begin(), groups_.end(), [](const auto& pair) {
        const Replica& g = *pair.second;
        if (g.group) return false;
        return (!g.trouble.empty() && !g.stopped) || g.past.start().index > g.applied.index;
    });
}

std::size_t Server::carrySize(GroupId group) const {
    auto at = groups_.find(group);
    if (at == groups_.end()) return 0;
    const Replica& g = *at->second;
    if (g.group) return g.group->log().bytesAfter(std::max(g.applied.index, g.group->log().base().index));
    std::size_t bytes = 0;
    for (const LoggedEntry& e : g.past.entries())
        if (e.index > g.applied.index) bytes += e.bytes->size();
    return bytes;
}

bool Server::carry(GroupId group, Index flushed) {
    const Replica* g = find(group);
    if (!g) return true;
    std::vector<const LoggedEntry*> due;
    if (g->group) {
        const GroupLog& log = g->group->log();
        if (log.base().index > flushed) return false; // it was quick meanwhile: the next flush has more
        for (Index i{flushed.value + 1}; i <= log.last(); i.value++) due.push_back(&log.at(i));
    } else {
        for (const LoggedEntry& e : g->past.entries())
            if (e.index > flushed) due.push_back(&e);
        if (!due.empty() && due.front()->index.value != flushed.value + 1) return false; // applied, and not flushed
    }
    if (due.empty()) return true;
    for (const LoggedEntry* e : due) {
        Logged l;
        l.group = group;
        l.again = true;
        l.record = {RecordKind::kCarried, group, 0,
                    wire::encode(Carried{due.front()->index, due.back()->index, Bytes{*e->bytes}})};
        gathered_.push_back(std::move(l));
        carrying_++;
    }
    PROBE("what a group that cannot apply needs of old segments is written again");
    return true;
}

std::string Server::voteRow(GroupId group) const {
    auto at = groups_.find(group);
    if (at == groups_.end()) return {};
    if (!at->second->group) return wire::encode(at->second->past.vote());
    return wire::encode(at->second->group->voteRow());
}

// What stopGroup() leaves of it: its vote, and what the rows have not.
void Server::keepPast(Replica& g) {
    GroupPast past(g.id);
    (void)past.takeVote(wire::encode(g.group->voteRow()));
    const GroupLog& log = g.group->log();
    for (Index i{std::max(g.applied.index, log.base().index).value + 1}; i <= log.last(); i.value++)
        (void)past.takeEntry(*log.at(i).bytes);
    g.past = std::move(past);
    g.stopped = true;
}

} // namespace skua::raft
