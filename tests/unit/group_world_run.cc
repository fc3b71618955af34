// GroupWorld: what happens in it: a client, faults, an operator; and the end of a run.
#include <algorithm>
#include "core/wire/codec.h"
#include "tests/unit/group_world.h"

namespace skua::raft {

namespace {
std::string text(const Member& m) { return std::to_string(m.server.value) + "/" + std::to_string(m.store); }
} // namespace

GroupWorld::At GroupWorld::leader() const {
    At best = npos;
    for (At s = 0; s < stores_.size(); s++)
        if (stores_[s].group && stores_[s].group->leads() &&
            (best == npos || stores_[s].group->term() > stores_[best].group->term()))
            best = s;
    return best;
}

void GroupWorld::client() {
    if (done_) return;
    for (At s = 0; s < stores_.size(); s++) {
        Store& store = stores_[s];
        if (!store.group || store.pausedUntil > now_) continue;
        Group& g = *store.group;
        if (g.mayRead(clock(s).monotonic) && store.rows.at.index < acked_)
            return wrong("a lease read misses an acknowledged write");
        if (random_.oneIn(4)) {
            store.reads[++lastToken_] = acked_;
            feed(s, ReadIndex{lastToken_});
        }
        if (!g.leads() || random_.oneIn(3)) continue;
        for (u64 n = random_.below(4); n > 0; n--) {
            Entry e;
            e.kind = EntryKind::kCommand;
            e.payload.value = "command " + std::to_string(++lastCommand_) + std::string(random_.below(40), 'x');
            feed(s, Propose{std::move(e)});
            if (!wrong_.empty()) return;
            if (g.leads() && !g.transferring()) store.proposed.emplace(g.log().last(), g.term());
        }
    }
    at(now_ + random_.below(6 * kMillisecond), [this] { client(); });
}

void GroupWorld::fault() {
    if (healed_) return;
    const At s = random_.below(stores_.size());
    Store& store = stores_[s];
    switch (random_.below(12)) {
        case 0:
        case 1:
        case 2:
            if (store.group) crash(s);
            break;
        case 3:
        case 4:
            for (At o = 0; o < stores_.size(); o++)
                if (!stores_[o].group && !stores_[o].wiped) start(o);
            break;
        case 5:
        case 6: { // one way
            const At o = random_.below(stores_.size());
            if (o != s) cut_.insert({store.id, stores_[o].id});
            tell(s, "is cut from " + text(stores_[o].id));
            break;
        }
        case 7: { // both ways, from all
            for (const Store& o : stores_)
                if (o.id != store.id) cut_.insert({store.id, o.id}), cut_.insert({o.id, store.id});
            tell(s, "is cut off");
            break;
        }
        case 8: cut_.clear(); break;
        case 9:
            store.pausedUntil = now_ + random_.below(200 * kMillisecond);
            tell(s, "is paused");
            break;
        case 10: {
            const u64 local = clock(s).monotonic.value;
            store.localAt = local;
            store.trueAt = now_;
            store.rate = 0.9 + static_cast<double>(random_.below(201)) / 1000;
            store.wallOff += static_cast<i64>(random_.below(20 * kSecond)) - static_cast<i64>(10 * kSecond);
            if (store.group) store.wake = 0, planTick(s);
            break;
        }
        case 11:
            // Not the last ones that there are: nobody could mend that.
            if (!store.group || !random_.oneIn(2) ||
                std::any_of(stores_.begin(), stores_.end(), [](const Store& x) { return x.installing || x.wiped; }))
                break;
            tell(s, "loses its rows");
            store.installing = true;
            feed(s, RowsLost{});
            break;
    }
    if (random_.oneIn(3)) flush(random_.below(stores_.size()));
    at(now_ + random_.below(80 * kMillisecond), [this] { fault(); });
}

// Somebody keeps the group at its size, and sometimes changes it for no reason.
void GroupWorld::operate() {
    if (healed_) return;
    if (const At s = leader(); s != npos && stores_[s].pausedUntil <= now_) change(s);
    at(now_ + random_.below(120 * kMillisecond), [this] { operate(); });
}

void GroupWorld::change(At s) {
    const Group& g = *stores_[s].group;
    Members next = g.members();
    auto gone = [&](const Member& m) {
        const At o = find(m);
        return o == npos || stores_[o].wiped;
    };
    auto remove = [](std::vector<Member>& from, const Member& m) { std::erase(from, m); };
    Member dead;
    for (const Member& m : next.voters)
        if (gone(m)) dead = m;
    // One store at a time comes back empty, and not before the last one is replaced.
    if (dead.store == 0 && next.voters.size() >= 3 && random_.oneIn(6)) {
        const At o = find(next.voters[random_.below(next.voters.size())]);
        if (o != npos && o != s && std::none_of(stores_.begin(), stores_.end(), [&](const Store& x) {
                return x.installing || (x.wiped && g.members().has(x.id));
            })) {
            if (stores_[o].group) crash(o);
            stores_[o].wiped = true;
            counts_.wiped++;
            tell(o, "loses its disk");
            return;
        }
    }
    if (dead.store != 0 && next.voters.size() > 1) remove(next.voters, dead);
    else if (!next.learners.empty() && !random_.oneIn(4)) {
        const Member m = next.learners[random_.below(next.learners.size())];
        remove(next.learners, m);
        if (!gone(m) && next.voters.size() < 5) next.voters.push_back(m);
    } else if (next.voters.size() < voters_ || random_.oneIn(5)) {
        if (next.learners.size() > 1 || stores_.size() > 14) return;
        const At fresh = make(ServerId{static_cast<u32>(random_.below(6) + 1)});
        next.learners.push_back(stores_[fresh].id);
    } else if (next.voters.size() > 2 && random_.oneIn(4)) {
        const Member m = next.voters[random_.below(next.voters.size())];
        remove(next.voters, m);
    } else if (random_.oneIn(3)) {
        counts_.transfers++;
        const Member to = random_.oneIn(2) ? Member{} : next.voters[random_.below(next.voters.size())];
        tell(s, "is to hand over to " + text(to));
        return feed(s, Transfer{to});
    } else return;
    counts_.members++;
    feed(s, ChangeMembers{next});
}

void GroupWorld::heal() {
    healed_ = true;
    cut_.clear();
    for (At s = 0; s < stores_.size(); s++) {
        stores_[s].pausedUntil = 0;
        if (!stores_[s].group && !stores_[s].wiped) start(s);
    }
}

bool GroupWorld::converged() const {
    const At s = leader();
    if (s == npos) return false;
    const Group& g = *stores_[s].group;
    if (g.log().last() != g.applied() || !g.ready() || g.firstOfTerm() > g.applied()) return false;
    for (const auto& group : {g.members().voters, g.members().learners})
        for (const Member& m : group) {
            const At o = find(m);
            if (o == npos || stores_[o].wiped) continue;
            if (stores_[o].rows.at.index != g.applied() || stores_[o].installing ||
                stores_[o].group->log().last() != g.log().last())
                return false;
        }
    return true;
}

std::string GroupWorld::run() {
    voters_ = 3 + random_.below(3);
    loss_ = random_.below(4) * 3;
    repeat_ = random_.below(3) * 5;
    slow_ = random_.below(3) * 2;
    ownHeartbeats_ = random_.oneIn(2);
    Entry format;
    format.wall = Wall{1'600'000'000 * kSecond};
    Format f;
    f.group = kWorldGroup;
    stores_.reserve(64);
    for (std::size_t i = 0; i < voters_; i++) f.members.push_back(stores_[make(ServerId{static_cast<u32>(i + 1)})].id);
    format.payload.value = wire::encode(f);
    for (At s = 0; s < voters_; s++)
        if (2 * s < voters_ || chance(80)) feed(s, MakeGroup{format});
    at(now_, [this] { client(); });
    at(now_ + 100 * kMillisecond, [this] { fault(); });
    at(now_ + 200 * kMillisecond, [this] { operate(); });
    runUntil(now_ + 1500 * kMillisecond);
    if (!wrong_.empty()) return wrong_;
    heal();
    const u64 before = counts_.acked;
    u64 limit = now_ + 4 * kSecond;
    while (wrong_.empty() && counts_.acked < before + 5 && now_ < limit) runUntil(now_ + 20 * kMillisecond);
    if (wrong_.empty() && counts_.acked < before + 5) wrong("no progress after the faults ended");
    done_ = true; // no more commands: everybody must get there
    limit = now_ + 2 * kSecond;
    while (wrong_.empty() && !converged() && now_ < limit) runUntil(now_ + 20 * kMillisecond);
    if (wrong_.empty() && !converged()) wrong("the members do not catch up");
    if (ownHeartbeats_ || !wrong_.empty()) return wrong_;
    // To a member that is no more a leader speaks until it is removed.
    for (const Store& s : stores_)
        if (s.wiped && stores_[leader()].group->members().has(s.id)) return wrong_;
    // Stores that were removed would ask for votes for ever; their owner takes them away.
    for (At s = 0; s < stores_.size(); s++)
        if (stores_[s].group && !stores_[leader()].group->members().has(stores_[s].id)) crash(s);
    runUntil(now_ + 4 * kWorldElection);
    const Term term = leader() == npos ? Term{} : stores_[leader()].group->term();
    quiet_ = true;
    runUntil(now_ + 10 * kWorldElection);
    if (leader() == npos || stores_[leader()].group->term() != term) wrong("an idle group loses its leader");
    else if (!stores_[leader()].group->mayRead(clock(leader()).monotonic)) wrong("an idle leader's lease is not renewed");
    return wrong_;
}

} // namespace skua::raft
