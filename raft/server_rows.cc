// Server: rows that cannot be read. A read error is never an answer: the replica steps down, applies nothing more, and asks
// for the group's rows anew. Its log, with its votes and what it acknowledged, stays.
//
//   a read fails ─► loseRows(): Group RowsLost ─┬► a member that has rows offers them (server_snapshot.cc)
//                            ▲                  │  ─► what is here is dropped unread, and replaced
//                            └── a read fails ──┴► nobody has for 20 s, or a restart: what is here is tried again
//
// What is here stays until somebody offers better: perhaps it is all there is. A group of one stops where it must
// apply to what it cannot read; a query that fails there is refused, and the others are answered.
#include <algorithm>
#include "core/base/probe.h"
#include "raft/server.h"
#include "raft/server_leader.h"

namespace skua::raft {

// Nobody else has what is here. (A learner that has only begun knows of no voters: there are some.)
bool Server::alone(const Replica& g) {
    const auto& voters = g.group->members().voters;
    return voters.size() == 1 && voters[0] == g.group->self();
}

bool Server::readFailed(Moment now, Replica& g, Effects& out) {
    if (!kv_.failed()) return false;
    kv_.forgive(); // of this group; the others are judged for themselves
    if (g.group && !alone(g)) loseRows(now, g, out);
    return true;
}

void Server::loseRows(Moment now, Replica& g, Effects& out) {
    if (g.group->needsRows()) return;
    const bool again = g.lostAt.value != 0; // they were tried again, and not replaced
    g.lostAt = now.monotonic;
    if (!again && (g.losses == 0 || now.monotonic.value > g.lossesSince.value + kRowLossesNs)) {
        g.losses = 0;
        g.lossesSince = now.monotonic;
    }
    if (!again && ++g.losses > kMaxRowLosses)
        return stopGroup(g,
                         "its rows could not be read, were fetched " + std::to_string(kMaxRowLosses) +
                             " times within an hour and still cannot be read; look at the disk",
                         &out);
    PROBE("rows cannot be read, and are asked for");
    if (g.leading) PROBE("a leader cannot read its rows");
    if (!again)
        out.said.push_back("group " + std::to_string(g.id.value) +
                           ": its rows cannot be read, they are fetched from another member");
    // No mark: the rows are whole but for what cannot be read, and a start tries them again.
    g.unapplied.clear(); // what comes instead has it, or the log hands it out again
    installing_.erase(g.id);
    std::vector<Member> sendingTo;
    for (auto at = sending_.begin(); at != sending_.end();) {
        if (at->second.group != g.id) {
            ++at;
            continue;
        }
        sendingTo.push_back(at->second.to);
        at = sending_.erase(at);
    }
    (void)step(now, g, RowsLost{}, out); // take() tells the machine
    for (const Member& to : sendingTo) (void)step(now, g, SnapshotEnded{to}, out);
}

// Perhaps all copies failed at once, for a while, and nobody has any to offer.
void Server::tryRowsAgain(Moment now, Replica& g, Effects& out) {
    if (!g.group->needsRows() || g.lostAt.value == 0 || now.monotonic.value < g.lostAt.value + kTryRowsAgainNs) return;
    g.lostAt = now.monotonic;
    const bool replaced = installing_.contains(g.id) || InstallingRow::has(*g.rows, {});
    if (kv_.failed()) return kv_.forgive();
    if (!replaced) (void)step(now, g, RowsTriedAgain{g.applied.index}, out);
}

} // namespace skua::raft
