// Server: little room on this process's disk. What it leads is handed to a voter that has room; it stays a follower, and
// what it cannot make durable it does not acknowledge. Where no other voter has room either, it leads on.
//
// Who has little says so in every frame. Followers hear only leaders: of a leader that has died nothing is known
// after a while, and then whoever has little may stand too, rather than nobody.
#include "raft/server.h"

namespace skua::raft {

namespace {
constexpr u64 kHeardNs = 2 * kSecond;         // what was said of room holds so long
constexpr u64 kHandOverAgainNs = 1 * kSecond; // a transfer that did not work
constexpr u64 kHandOverLag = 10'000;          // entries that are soon there
} // namespace

bool Server::knownLow(ServerId server) const {
    if (server == self_.server) return low_;
    auto at = walls_.find(server);
    return at != walls_.end() && at->second.low;
}

// So that what is added would soon be durable nowhere.
bool Server::fewHaveRoom(const Replica& g) const {
    if (!g.group) return false;
    const auto& voters = g.group->members().voters;
    std::size_t low = 0;
    for (const Member& m : voters) low += m == g.group->self() ? low_ : knownLow(m.server);
    return 2 * (voters.size() - low) <= voters.size();
}

// The voter with room that has most, as far as a leader knows that; store 0: none.
Member Server::roomy(Moment now, const Replica& g) const {
    Member found;
    Index most;
    std::map<Member, Index, MemberLess> durable;
    std::set<Member, MemberLess> unready; // their process is there, their copy of this group is down or far behind
    const Index last = g.group->log().last();
    for (const Group::Lag& lag : g.group->followers()) {
        durable[lag.peer] = lag.durable;
        if (!lag.ready || lag.durable.value + kHandOverLag < last.value) unready.insert(lag.peer);
    }
    for (const Member& m : g.group->members().voters) {
        auto at = walls_.find(m.server);
        if (m == g.group->self() || at == walls_.end() || at->second.low) continue;
        if (now.monotonic.value > at->second.at.value + kHeardNs || unready.contains(m)) continue;
        if (found.store != 0 && durable[m] <= most) continue;
        found = m;
        most = durable[m];
    }
    return found;
}

void Server::roomTick(Moment now, Effects& out) {
    for (auto& [_, g] : groups_) {
        if (!g->group) continue;
        tryRowsAgain(now, *g, out);
        if (!g->group) continue;
        if (!g->unapplied.empty() && !kv_.full()) {
            applyDue(now, *g, out);
            if (!g->group) continue;
            roleOf(now, *g, out);
            (void)step(now, *g, RowsApplied{g->applied.index}, out);
            if (!g->group) continue;
        }
        const Member to = low_ ? roomy(now, *g) : Member{};
        const bool may = to.store == 0;
        if (g->group->leads() && !may) {
            if (now.monotonic.value < g->handedAt.value + kHandOverAgainNs || g->group->transferring()) continue;
            g->handedAt = now.monotonic;
            (void)step(now, *g, Transfer{to}, out);
        } else if (g->mayLead != may) {
            g->mayLead = may;
            (void)step(now, *g, MayLead{may}, out);
        }
    }
}

} // namespace skua::raft
