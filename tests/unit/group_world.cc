#include "tests/unit/group_world.h"

#include <cstdio>
#include "core/wire/codec.h"

namespace skua::raft {

namespace {
u64 mix(u64 a, u64 b) {
    a = (a ^ b) * 0x9E3779B97F4A7C15ull;
    return a ^ a >> 29;
}
u64 hashOf(std::string_view s) {
    u64 h = 14695981039346656037ull;
    for (char c : s) h = (h ^ static_cast<u8>(c)) * 0x100000001b3ull;
    return h;
}
std::string text(const Member& m) { return std::to_string(m.server.value) + "/" + std::to_string(m.store); }
} // namespace

void GroupWorld::Counts::add(const Counts& o) {
    events += o.events, messages += o.messages, acked += o.acked, reads += o.reads, elections += o.elections,
        crashes += o.crashes;
    snapshots += o.snapshots, members += o.members, wiped += o.wiped, transfers += o.transfers;
    lowest = std::min(lowest, o.acked);
}

void GroupWorld::wrong(std::string what) {
    if (wrong_.empty())
        wrong_ = "seed " + std::to_string(seed_) + " at " + std::to_string((now_ - kSecond) / 1000) + " us: " + std::move(what);
}
void GroupWorld::tell(At s, const std::string& what) const {
    if (trace_)
        std::printf("[%10.3f ms] %s %s\n", static_cast<double>(now_ - kSecond) / 1e6, text(stores_[s].id).c_str(), what.c_str());
}

// --- time ---------------------------------------------------------------------------------------------------

void GroupWorld::at(u64 when, std::function<void()> f) { events_.push({std::max(when, now_), order_++, std::move(f)}); }

void GroupWorld::on(At s, u64 delay, std::function<void()> f) {
    at(now_ + delay, [this, s, life = stores_[s].life, f = std::move(f)]() mutable {
        Store& store = stores_[s];
        if (store.life != life || !store.group) return;
        if (store.pausedUntil > now_) return on(s, store.pausedUntil - now_, std::move(f));
        f();
    });
}

void GroupWorld::runUntil(u64 when) {
    while (wrong_.empty() && !events_.empty() && events_.top().when <= when) {
        Event e = std::move(const_cast<Event&>(events_.top()));
        events_.pop();
        now_ = e.when;
        counts_.events++;
        e.run();
    }
    now_ = std::max(now_, when);
}

Moment GroupWorld::clock(At s) const {
    const Store& store = stores_[s];
    const u64 local = store.localAt + static_cast<u64>(static_cast<double>(now_ - store.trueAt) * store.rate);
    return {Monotonic{local}, Wall{static_cast<u64>(static_cast<i64>(1'700'000'000 * kSecond + now_) + store.wallOff)}};
}
u64 GroupWorld::trueTime(At s, Monotonic local) const {
    const u64 here = clock(s).monotonic.value;
    return local.value <= here ? now_ : now_ + static_cast<u64>(static_cast<double>(local.value - here) / stores_[s].rate) + 1;
}

// --- processes ------------------------------------------------------------------------------------------------

GroupWorld::At GroupWorld::make(ServerId server) {
    Store store;
    store.id = {server, ++lastStore_};
    store.localAt = kHour + random_.below(kHour);
    store.trueAt = now_;
    store.rate = 0.9 + static_cast<double>(random_.below(201)) / 1000;
    store.wallOff = static_cast<i64>(random_.below(10 * kSecond));
    stores_.push_back(std::move(store));
    start(stores_.size() - 1);
    return stores_.size() - 1;
}

void GroupWorld::start(At s) {
    Store& store = stores_[s];
    store.life++;
    store.writing.clear();
    store.held.clear();
    store.reads.clear();
    store.proposed.clear();
    store.durable = store.wake = 0;
    store.pausedUntil = 0;
    store.turn = false;
    store.rows = store.flushed;
    GroupPast past(kWorldGroup);
    for (const GroupRecord& r : store.disk) {
        const bool fine = r.kind == GroupRecordKind::kVote   ? past.takeVote(*r.payload)
                          : r.kind == GroupRecordKind::kBase ? past.takeBase(*r.payload)
                                                             : past.takeEntry(*r.payload);
        if (!fine) return wrong(text(store.id) + " cannot read its records");
    }
    GroupLog log;
    if (!past.join(store.rows.at, log)) return wrong(text(store.id) + " has a gap between rows and log");
    GroupOptions o;
    o.group = kWorldGroup;
    o.self = store.id;
    o.seed = random_.next();
    o.heartbeat_ns = kWorldBeat;
    o.election_ns = kWorldElection;
    o.own_heartbeats = ownHeartbeats_;
    o.append_bytes = 400;
    o.window_bytes = 1500;
    o.keep_bytes = 3000;
    store.group = std::make_unique<Group>(o, past.vote(), std::move(log), store.rows.at, store.installing, clock(s));
    tell(s, "starts, term " + std::to_string(store.group->term().value) + ", log to " +
                std::to_string(store.group->log().last().value));
    planTick(s);
    if (!ownHeartbeats_) on(s, random_.below(kWorldBeat), [this, s] { beat(s); });
}

void GroupWorld::crash(At s) {
    Store& store = stores_[s];
    const std::size_t survive = random_.below(store.writing.size() + 1);
    for (std::size_t i = 0; i < survive; i++)
        for (auto& r : store.writing[i].records) store.disk.push_back(r);
    store.group.reset();
    store.life++;
    counts_.crashes++;
    tell(s, "crashes");
}

void GroupWorld::feed(At s, Input input) {
    Store& store = stores_[s];
    if (!store.group || !wrong_.empty()) return;
    GroupEffects out;
    store.group->step(clock(s), std::move(input), out);
    carry(s, out);
    if (!store.turn) {
        store.turn = true;
        on(s, 10 * kMicrosecond + random_.below(50 * kMicrosecond), [this, s] {
            stores_[s].turn = false;
            GroupEffects effects;
            stores_[s].group->step(clock(s), EndTurn{}, effects);
            carry(s, effects);
        });
    }
}

void GroupWorld::carry(At s, GroupEffects& out) {
    Store& store = stores_[s];
    Group& g = *store.group;
    if (out.changed)
        tell(s, std::string(g.leads()                            ? "leads"
                            : g.role() == Group::Role::kFollower ? "follows " + text(g.leader())
                                                                 : "asks for votes") +
                    " in term " + std::to_string(g.term().value));
    if (g.leads()) {
        auto [it, fresh] = leaders_.try_emplace(g.term(), store.id);
        if (it->second != store.id) return wrong("two leaders in term " + std::to_string(g.term().value));
        if (fresh) {
            counts_.elections++;
            auto before = ackedIn_.lower_bound(g.term()); // of earlier terms: in a later one it may lead no more
            if (before != ackedIn_.begin() && g.log().last() < std::prev(before)->second)
                return wrong("the leader " + text(store.id) + " lacks what was acknowledged");
        }
    }
    if (out.write != 0) {
        store.writing.push_back({out.write, std::move(out.records)});
        startWrite(s);
    }
    for (auto& m : out.sends) store.held.push_back(std::move(m));
    release(s);
    for (const Entry& e : out.committed) {
        apply(s, e);
        if (!wrong_.empty()) return;
    }
    for (const auto& r : out.reads) {
        auto at = store.reads.find(r.token);
        if (at == store.reads.end()) continue;
        if (r.ok && r.index < at->second) return wrong("a read index is older than what was acknowledged before it was asked");
        counts_.reads += r.ok;
        store.reads.erase(at);
    }
    for (const Member& to : out.snapshots) sendSnapshot(s, to);
    if (!out.committed.empty()) {
        GroupEffects effects;
        g.step(clock(s), RowsApplied{store.rows.at.index}, effects);
        carry(s, effects);
    }
    planTick(s);
}

void GroupWorld::apply(At s, const Entry& e) {
    Store& store = stores_[s];
    Rows& rows = store.rows;
    if (e.index.value != rows.at.index.value + 1) return wrong(text(store.id) + " applies out of order");
    if (e.wall <= rows.at.wall && e.index.value > 1) return wrong("wall time does not grow");
    if (e.age < rows.at.age) return wrong("age goes back");
    const u64 hash = mix(hashOf(e.payload.value), static_cast<u64>(e.kind));
    auto [it, fresh] = entries_.try_emplace(e.index, e.term, hash);
    if (it->second != std::pair(e.term, hash)) return wrong("a committed entry changed at " + std::to_string(e.index.value));
    rows.at.index = e.index;
    rows.at.term = e.term;
    rows.at.wall = e.wall;
    rows.at.age = e.age;
    if (e.kind == EntryKind::kMembers || e.kind == EntryKind::kFormat) {
        rows.at.config = e.index;
        rows.at.members = *membersOf(writeEntry(e));
    }
    rows.hash = mix(rows.hash, hash);
    if (auto [state, first] = states_.try_emplace(e.index, rows.hash); state->second != rows.hash)
        return wrong("rows differ at " + std::to_string(e.index.value));
    if (!store.proposed.erase({e.index, e.term})) return;
    // Its proposer answers the client.
    counts_.acked++;
    acked_ = std::max(acked_, e.index);
    const Term in = store.group->term(); // it was committed in this term or before, perhaps later than its own
    ackedIn_[in] = std::max(ackedIn_[in], e.index);
    for (At o = 0; o < stores_.size(); o++) {
        Store& other = stores_[o];
        if (o == s || !other.group || other.pausedUntil > now_) continue;
        if (other.rows.at.index < e.index && other.group->mayRead(clock(o).monotonic))
            return wrong(text(other.id) + " holds a lease while " + text(store.id) + " commits");
    }
}

void GroupWorld::planTick(At s) {
    Store& store = stores_[s];
    const u64 when = std::max(trueTime(s, store.group->wakeAt()), now_ + 20 * kMicrosecond);
    if (store.wake != 0 && store.wake <= when) return;
    store.wake = when;
    on(s, when - now_, [this, s, when] {
        if (stores_[s].wake != when && stores_[s].wake != 0) return;
        stores_[s].wake = 0;
        feed(s, Tick{});
    });
}

// --- disks --------------------------------------------------------------------------------------------------

void GroupWorld::startWrite(At s) {
    const u64 number = stores_[s].writing.back().number;
    const u64 lasts =
        chance(slow_) && !healed_ ? random_.below(60 * kMillisecond) : 50 * kMicrosecond + random_.below(kMillisecond);
    on(s, lasts, [this, s, number] {
        Store& store = stores_[s];
        if (store.durable >= number) return;
        while (!store.writing.empty() && store.writing.front().number <= number) { // in order, whole
            for (auto& r : store.writing.front().records) store.disk.push_back(std::move(r));
            store.writing.erase(store.writing.begin());
        }
        store.durable = number;
        feed(s, Durable{number});
        release(s);
    });
}

void GroupWorld::release(At s) {
    Store& store = stores_[s];
    std::vector<GroupEffects::Send> held;
    std::swap(held, store.held);
    for (auto& h : held) {
        if (h.after > store.durable) store.held.push_back(std::move(h));
        else deliver(s, h.message);
    }
}

// Rows become durable; entries before are dropped with their segments, some sooner, some later.
void GroupWorld::flush(At s) {
    Store& store = stores_[s];
    if (!store.group || store.installing) return;
    store.flushed = store.rows;
    GroupPast past(kWorldGroup);
    for (const GroupRecord& r : store.disk) {
        const bool fine = r.kind == GroupRecordKind::kVote   ? past.takeVote(*r.payload)
                          : r.kind == GroupRecordKind::kBase ? past.takeBase(*r.payload)
                                                             : past.takeEntry(*r.payload);
        if (!fine) return wrong(text(store.id) + " has written what cannot be read");
    }
    const u64 keep = random_.below(60);
    store.disk.clear();
    store.disk.push_back({GroupRecordKind::kVote, std::make_shared<const std::string>(wire::encode(past.vote()))});
    for (const LoggedEntry& e : past.entries())
        if (e.index.value + keep > store.flushed.at.index.value) store.disk.push_back({GroupRecordKind::kEntry, e.bytes});
}

// --- the network ----------------------------------------------------------------------------------------------

GroupWorld::At GroupWorld::find(const Member& m) const {
    for (At s = 0; s < stores_.size(); s++)
        if (stores_[s].id == m) return s;
    return npos;
}

void GroupWorld::overNetwork(const Member& from, const Member& to, std::function<void(At)> f) {
    const At s = find(to);
    if (s == npos) return;
    if (!healed_ && (chance(loss_) || cut_.contains({from, to}))) return;
    const int copies = !healed_ && chance(repeat_) ? 2 : 1;
    for (int i = 0; i < copies; i++) {
        const u64 delay =
            !healed_ && chance(slow_) ? random_.below(80 * kMillisecond) : 30 * kMicrosecond + random_.below(700 * kMicrosecond);
        at(now_ + delay, [this, s, from, to, f] {
            if (!stores_[s].group || (!healed_ && cut_.contains({from, to}))) return;
            on(s, 0, [s, f] { f(s); });
        });
    }
}

void GroupWorld::deliver(At s, const GroupMessage& m) {
    counts_.messages++;
    if (quiet_) wrong("an idle group speaks");
    // As bytes: what arrives is what can be told.
    std::string bytes = wire::encode(m);
    overNetwork(stores_[s].id, m.to, [this, bytes = std::move(bytes)](At to) {
        GroupMessage message;
        if (!wire::decode(bytes, message)) return wrong("a message does not decode");
        feed(to, Received{std::move(message)});
    });
}

// The owner's liveness per pair of processes, here of one group.
void GroupWorld::beat(At s) {
    Store& store = stores_[s];
    const Group& g = *store.group;
    if (g.leads()) {
        const Term term = g.term();
        const Monotonic sent = clock(s).monotonic;
        std::vector<Member> all = g.members().voters;
        all.insert(all.end(), g.members().learners.begin(), g.members().learners.end());
        for (const Member& to : all) {
            if (to == store.id) continue;
            overNetwork(store.id, to, [this, from = store.id, term, sent, s](At t) {
                const Member self = stores_[t].id;
                const bool same = stores_[t].group->follows(from, term);
                if (same) feed(t, LeaderHeard{term});
                overNetwork(self, from, [this, self, same, term, sent, life = stores_[s].life](At back) {
                    if (stores_[back].life != life) return; // the answer is to another process
                    if (same) feed(back, Renewed{self, term, sent});
                    else feed(back, Speak{self});
                });
            });
        }
    }
    on(s, kWorldBeat, [this, s] { beat(s); });
}

// Rows as they are now, in one piece that takes a while; a crash or a cut on the way loses it.
void GroupWorld::sendSnapshot(At s, const Member& to) {
    counts_.snapshots++;
    const Rows rows = stores_[s].rows;
    const Member from = stores_[s].id;
    const Term term = stores_[s].group->term();
    tell(s, "sends a snapshot of " + std::to_string(rows.at.index.value) + " to " + text(to));
    overNetwork(from, to, [this, rows, from, term](At t) {
        Store& store = stores_[t];
        GroupEffects out;
        store.group->step(clock(t), SnapshotOffered{from, term, rows.at}, out);
        const bool install = out.install;
        carry(t, out);
        if (!install) return;
        tell(t, "installs a snapshot of " + std::to_string(rows.at.index.value));
        store.installing = true; // durable, before a row is touched
        on(t, random_.below(30 * kMillisecond), [this, t, rows, number = ++store.installs] {
            Store& s2 = stores_[t];
            if (s2.installs != number) return;
            s2.rows = s2.flushed = rows;
            s2.installing = false;
            feed(t, SnapshotInstalled{rows.at});
            if (s2.group->needsRows()) wrong("an installed snapshot is refused");
        });
    });
    on(s, 40 * kMillisecond, [this, s, to] { feed(s, SnapshotEnded{to}); });
}

} // namespace skua::raft
