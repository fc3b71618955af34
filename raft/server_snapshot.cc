// Server: a group's rows, streamed to a member that is behind the log (messages: peer_messages.h).
//
// The side that gets them puts a mark in place of what it has, in one batch that reads nothing (it may be damaged); then part
// after part, then the applied row while removing the mark, in one batch; flushes; and only then the group begins its log
// anew and answers. A start that finds the mark asks for the rows again; the applied row of before stays beside it, for the log
// is behind that.
#include <algorithm>
#include "core/base/probe.h"
#include "raft/server.h"
#include "raft/server_leader.h"

namespace skua::raft {

namespace {
LogBase baseOf(const Applied& a) { return {a.index, a.term, a.wall, a.age, a.configuration, {a.members, a.learners}}; }
constexpr std::size_t kMaxRowBytes = net::kMaxBody - 32'768; // fits a frame
} // namespace

void Server::sendSnapshot(const Member& from, const Member& to, GroupId group, u64 number, decltype(SnapshotMessage::body) body) {
    outbox_[to.server].snapshots.push_back({group, from, to, number, std::move(body)});
}

// --- the side that has the rows -----------------------------------------------------------------------------

void Server::offerRows(Moment now, Replica& g, const Member& to) {
    const u64 number = random_.next() | 1;
    Sending s;
    s.group = g.id;
    s.to = to;
    s.cursor = prefixOf(g.id);
    s.begun = now.monotonic;
    if (sending_.size() < kMaxSending) {
        s.rows = kv_.snapshot();
        OfferRows offer;
        offer.term = g.group->term();
        offer.applied.value = wire::encode(g.applied);
        sendSnapshot(g.group->self(), to, g.id, number, std::move(offer));
    } // else it is given up after a while, and the group asks again
    sending_.emplace(number, std::move(s));
}

RowsPart Server::nextPart(Sending& s) {
    RowsPart part;
    part.part = s.part;
    part.last = true;
    const std::string prefix = prefixOf(s.group);
    std::size_t bytes = 0;
    s.rows->scan(s.cursor, wire::afterPrefix(prefix), [&](std::string_view key, std::string_view value) {
        const std::string_view own = key.substr(prefix.size());
        if (own == kAppliedKey || own == kInstallingKey) return true;
        const std::size_t size = key.size() + value.size() + 16;
        if (size > kMaxRowBytes) {
            s.rows->fail(); // nobody makes such rows: they do not fit a log entry either
            return false;
        }
        if (bytes != 0 && bytes + size > options_.part_bytes) {
            part.last = false;
            s.cursor = key;
            return false;
        }
        bytes += size;
        part.rows.push_back({{std::string(own)}, {std::string(value)}});
        return true;
    });
    return part;
}

void Server::asked(Moment now, const SnapshotMessage& m, const AskRows& ask, Effects& out) {
    auto at = sending_.find(m.number);
    if (at == sending_.end() || at->second.group != m.group || at->second.to != m.from || !at->second.rows) return;
    Sending& s = at->second;
    s.heard = now.monotonic;
    Replica* g = find(m.group);
    if (!ask.wanted || !g || !g->group) {
        const Member to = s.to;
        sending_.erase(at);
        if (g) (void)step(now, *g, SnapshotEnded{to}, out);
        return;
    }
    if (s.last && ask.part == s.part + 1 && !s.last->last) {
        s.part++;
        s.last.reset();
    }
    if (ask.part != s.part) return;
    if (!s.last) s.last = nextPart(s);
    if (s.rows->failed()) { // who asks is offered them by somebody else
        kv_.fail();
        (void)readFailed(now, *g, out);
        return;
    }
    sendSnapshot(g->group->self(), s.to, m.group, m.number, *s.last);
}

// --- the side that gets them ----------------------------------------------------------------------------------

void Server::offered(Moment now, Replica& g, const SnapshotMessage& m, const OfferRows& offer, Effects& out) {
    Installation in;
    in.from = m.from;
    in.number = m.number;
    in.asked = in.heard = now.monotonic;
    if (!wire::decodeRow(offer.applied.value, in.applied)) return;
    if (auto at = installing_.find(g.id); at != installing_.end() && at->second.flush != 0) return; // one is as good as there
    if (!g.group && !reopen(now, g, m.to)) return;
    GroupEffects effects;
    g.group->step(now, SnapshotOffered{m.from, offer.term, baseOf(in.applied)}, effects);
    activate(g);
    const bool install = effects.install;
    take(now, g, effects, out);
    if (!g.group) return;
    if (install && kv_.full()) return; // the sender gives up, and offers it again
    if (!install) return sendSnapshot(m.to, m.from, g.id, m.number, AskRows{false, 0});
    PROBE("a snapshot is installed");
    store::Batch mark;
    const std::string prefix = prefixOf(g.id);
    mark.emplace(prefix + kInstallingKey, wire::encode(Installing{m.number}));
    if (g.applied.index.value != 0) mark.emplace(prefix + kAppliedKey, wire::encode(g.applied));
    if (!kv_.replace(prefix, wire::afterPrefix(prefix), mark)) {
        if (kv_.refusedForRoom()) return;
        return rowsRefused(g, out);
    }
    g.unapplied.clear(); // the snapshot has it
    g.lostAt = {};
    installing_[g.id] = std::move(in);
    sendSnapshot(m.to, m.from, g.id, m.number, AskRows{true, 0});
}

void Server::gotRows(Moment now, Replica& g, const SnapshotMessage& m, RowsPart& part, Effects& out) {
    auto at = installing_.find(g.id);
    if (at == installing_.end() || at->second.number != m.number || at->second.part != part.part || at->second.flush != 0) return;
    Installation& in = at->second;
    in.heard = now.monotonic;
    const std::string prefix = prefixOf(g.id);
    store::Batch batch;
    for (RowOf& row : part.rows) {
        if (row.key.value < in.done || row.key.value == kAppliedKey || row.key.value == kInstallingKey)
            return; // not what was asked for
        batch.insert_or_assign(prefix + row.key.value, std::move(row.value.value));
    }
    if (part.last) {
        batch.insert_or_assign(prefix + kAppliedKey, wire::encode(in.applied));
        batch.insert_or_assign(prefix + kInstallingKey, std::nullopt);
    }
    const std::string done = part.rows.empty() ? in.done : part.rows.back().key.value + '\0';
    if (!kv_.write(batch)) {
        if (kv_.refusedForRoom()) return; // asked for again
        return rowsRefused(g, out);
    }
    in.part++;
    in.done = done;
    if (part.last) {
        in.flush = out.flush_rows = ++lastFlush_;
        return;
    }
    in.asked = now.monotonic;
    sendSnapshot(m.to, m.from, g.id, m.number, AskRows{true, in.part});
}

void Server::rowsFlushed(Moment now, u64 number, Effects& out) {
    for (auto at = installing_.begin(); at != installing_.end();) {
        if (at->second.flush == 0 || at->second.flush > number) {
            ++at;
            continue;
        }
        Installation in = std::move(at->second);
        Replica* g = find(at->first);
        at = installing_.erase(at);
        if (!g || !g->group) continue;
        g->applied = in.applied;
        g->shutOut.insert(in.applied.shut_out.begin(), in.applied.shut_out.end());
        g->forgetFrom = {};
        (void)step(now, *g, SnapshotInstalled{baseOf(in.applied)}, out);
        if (g->group) sendSnapshot(g->group->self(), in.from, g->id, in.number, AskRows{false, in.part}); // it is done
    }
}

void Server::snapshotMessage(Moment now, SnapshotMessage& m, Effects& out) {
    if (m.to.store != options_.store) return;
    if (auto* ask = std::get_if<AskRows>(&m.body)) return asked(now, m, *ask, out);
    Replica* g = replicaOf(m.group);
    if (!g || !g->trouble.empty() || m.from.store == options_.store || g->shutOut.contains(m.from.store)) return;
    if (auto* offer = std::get_if<OfferRows>(&m.body)) offered(now, *g, m, *offer, out);
    else gotRows(now, *g, m, std::get<RowsPart>(m.body), out);
}

void Server::snapshotsTick(Moment now, Effects& out) {
    for (auto at = sending_.begin(); at != sending_.end();) {
        const Sending& sending = at->second;
        const bool begun = sending.heard.value != 0;
        const u64 since = begun ? sending.heard.value : sending.begun.value;
        if (now.monotonic.value < since + (begun ? kSnapshotDeadNs : kOfferDeadNs)) {
            ++at;
            continue;
        }
        const Sending s = std::move(at->second);
        at = sending_.erase(at);
        if (Replica* g = find(s.group)) (void)step(now, *g, SnapshotEnded{s.to}, out);
    }
    for (auto at = installing_.begin(); at != installing_.end();) {
        Installation& in = at->second;
        Replica* g = find(at->first);
        if (!g || !g->group || (in.flush == 0 && now.monotonic.value >= in.heard.value + kSnapshotDeadNs)) {
            at = installing_.erase(at); // the mark stays, and the group says that it needs rows
            continue;
        }
        if (in.flush == 0 && now.monotonic.value >= in.asked.value + kAskAgainNs) {
            in.asked = now.monotonic;
            sendSnapshot(g->group->self(), in.from, g->id, in.number, AskRows{true, in.part});
        }
        ++at;
    }
}

} // namespace skua::raft
