// Server: its groups: what they say goes to the log, to other hosts, into the rows; liveness between two hosts.
#include <xxhash.h>
#include <algorithm>
#include "core/base/probe.h"
#include "raft/server.h"
#include "raft/server_leader.h"

namespace skua::raft {

u64 hashOf(const std::vector<Led>& pairs) {
    const std::string bytes = wire::encode(pairs);
    return XXH3_64bits(bytes.data(), bytes.size());
}

namespace {
RecordKind kindOfRecord(GroupRecordKind kind) {
    switch (kind) {
        case GroupRecordKind::kEntry: return RecordKind::kEntry;
        case GroupRecordKind::kVote: return RecordKind::kVote;
        case GroupRecordKind::kBase: break;
    }
    return RecordKind::kBase;
}
constexpr std::size_t kRememberBeats = 16; // under way to one host
} // namespace

// --- one group ----------------------------------------------------------------------------------------------

Error Server::step(Moment now, Replica& g, Input input, Effects& out) {
    if (!g.group) return {Code::Unavailable, g.trouble};
    GroupEffects effects;
    // These change nothing that a leader has to send; most of what hundreds of idle groups hear.
    const bool quiet = std::holds_alternative<LeaderHeard>(input) || std::holds_alternative<Renewed>(input) ||
                       std::holds_alternative<RowsApplied>(input) || std::holds_alternative<Keep>(input);
    g.group->step(now, std::move(input), effects);
    noteKept(g);
    if (!quiet || !effects.sends.empty()) activate(g);
    Error refused = std::move(effects.refused);
    take(now, g, effects, out);
    if (g.group && g.group->behind() && !std::exchange(g.behind, true)) behind_.push_back(&g);
    return refused;
}

void Server::activate(Replica& g) {
    if (!std::exchange(g.active, true)) active_.push_back(&g);
}

void Server::touch(Replica& g) {
    if (!std::exchange(g.touched, true)) touched_.push_back(&g);
}

void Server::take(Moment now, Replica& g, GroupEffects& effects, Effects& out) {
    for (std::size_t i = 0; i < effects.records.size(); i++) {
        Logged l;
        l.group = g.id;
        l.group_write = i + 1 == effects.records.size() ? effects.write : 0;
        l.record = {kindOfRecord(effects.records[i].kind), g.id, 0, *effects.records[i].payload};
        gathered_.push_back(std::move(l));
    }
    for (auto& s : effects.sends) hold(g, std::move(s));
    const bool more = !effects.committed.empty();
    for (Entry& entry : effects.committed) g.unapplied.push_back(std::move(entry));
    if (more) applyDue(now, g, out);
    if (!g.group) return; // the rows failed
    roleOf(now, g, out);
    for (const auto& r : effects.reads) {
        auto at = g.confirming.find(r.token);
        if (at == g.confirming.end()) continue;
        Parked question = std::move(at->second);
        g.confirming.erase(at);
        parked_ -= question.askers();
        if (r.ok && g.leading && g.applied.index >= r.index) query(now, g, std::move(question), true, out);
        else reply(question, {}, Error::notLeader(g.group->leader().server), {}, out);
        if (!g.group) return;
    }
    for (const Member& to : effects.snapshots) {
        if (g.group && g.group->needsRows()) (void)step(now, g, SnapshotEnded{to}, out); // lost just now
        else if (g.group) offerRows(now, g, to);
    }
    if (more && g.group) (void)step(now, g, RowsApplied{g.applied.index}, out);
}

// The machine is told when leading begins (with an entry of the own term in the rows) and ends.
void Server::roleOf(Moment now, Replica& g, Effects& out) {
    if (g.leading && (!g.group->leads() || g.group->needsRows() || g.group->term() != g.led)) stopLeading(g, &out);
    if (g.leading || !g.group->leads() || g.group->needsRows() || g.applied.index < g.group->firstOfTerm()) return;
    g.leading = true;
    g.led = g.group->term();
    touch(g);
    LeaderOf leader(*this, now, g, out);
    g.machine->started(*g.rows, timeOf(g, now), leader);
    (void)readFailed(now, g, out);
}

// What was proposed may still be committed by another leader: who waits for it must ask there, under its id.
void Server::stopLeading(Replica& g, Effects* out) {
    if (g.leading) g.machine->stopped();
    g.leading = false;
    if (out) {
        for (auto& [_, w] : g.byRequest) lose(w, *out);
        for (auto& [_, w] : g.byIndex) lose(w, *out);
        const Error elsewhere = Error::notLeader(g.group->leader().server);
        for (Parked& p : g.parked) reply(p, {}, elsewhere, {}, *out);
        for (auto& [_, p] : g.confirming) reply(p, {}, elsewhere, {}, *out);
    }
    g.byRequest.clear();
    g.byIndex.clear();
    for (const Parked& p : g.parked) parked_ -= p.askers();
    for (const auto& [_, p] : g.confirming) parked_ -= p.askers();
    g.parked.clear();
    g.confirming.clear();
    forget(g, Index{~0ull});
}

void Server::forget(Replica& g, Index up_to) {
    while (!g.proposed.empty() && g.proposed.front().index <= up_to) {
        const Proposed& p = g.proposed.front();
        for (InLog* one : {&inLog_, inLogOf(p.lane)})
            if (one) one->count--, one->bytes -= p.bytes;
        g.proposed.pop_front();
    }
}

// While the log has no room the leader says the same again and again, and the answers wait: the last one says it all.
void Server::hold(Replica& g, GroupEffects::Send s) {
    const auto* appended = std::get_if<Appended>(&s.message.body);
    if (appended && !g.held.empty() && s.after > g.durable) {
        GroupEffects::Send& last = g.held.back();
        const auto* before = std::get_if<Appended>(&last.message.body);
        if (before && last.after == s.after && last.message.to == s.message.to && last.message.term == s.message.term &&
            before->agrees == appended->agrees && before->up_to == appended->up_to) {
            PROBE("an answer waits for the log, and a newer one takes its place");
            last = std::move(s);
            return;
        }
    }
    g.held.push_back(std::move(s));
}

void Server::release(Replica& g) {
    std::erase_if(g.held, [&](GroupEffects::Send& s) {
        if (s.after > g.durable) return false;
        outbox_[s.message.to.server].messages.push_back(std::move(s.message));
        return true;
    });
}

void Server::catchUp(Moment now, Effects& out) {
    for (Replica* g : std::exchange(behind_, {})) {
        g->behind = false;
        if (g->group && g->group->behind()) (void)step(now, *g, Tick{}, out);
    }
    leadTouched(now, out);
}

void Server::durable(Moment now, u64 write, Effects& out) {
    durableWrite_ = std::max(durableWrite_, write);
    std::map<GroupId, u64> done;
    while (!logged_.empty() && logged_.front().write <= durableWrite_) {
        if (logged_.front().again) carrying_--;
        if (logged_.front().group_write != 0) done[logged_.front().group] = logged_.front().group_write;
        logged_.pop_front();
    }
    for (const auto& [id, number] : done) {
        Replica* g = find(id);
        if (!g || !g->group) continue;
        g->durable = number;
        (void)step(now, *g, Durable{number}, out);
        // Format is done where it is on the disk; in a group of one also applied.
        if (!g->formats.empty() && g->group && g->group->members().voters.size() > 1)
            for (u64 token : std::exchange(g->formats, {})) out.host_replies.push_back({token, std::string()});
    }
    leadTouched(now, out);
}

void Server::flush(Moment now, Effects& out, u64 most_writes) {
    lookAtArrived(now, out);
    for (Replica* g : std::exchange(active_, {})) {
        g->active = false;
        if (!g->group) continue;
        GroupEffects effects;
        g->group->step(now, EndTurn{}, effects);
        take(now, *g, effects, out);
        if (g->group) release(*g);
    }
    if (kept_ > options_.keep_total_bytes) keepWithinTotal(now, out);
    if (!gathered_.empty() && lastWrite_ - durableWrite_ < most_writes) {
        out.write = ++lastWrite_;
        busyAt_ = now.monotonic;
        // Bounded: the log refuses a write that is half a segment large. The rest goes when this is durable.
        for (std::size_t bytes = 0; !gathered_.empty();) {
            Logged& l = gathered_.front();
            const std::size_t size = l.record.payload.size() + 64;
            if (bytes != 0 && bytes + size > kMaxWriteBytes) break;
            bytes += size;
            l.write = lastWrite_;
            out.log.push_back(std::move(l.record));
            logged_.push_back(std::move(l));
            gathered_.pop_front();
        }
    }
    for (auto& [to, frame] : std::exchange(outbox_, {})) {
        frame.from = self_;
        frame.wall = now.wall;
        frame.low = low_;
        std::vector<GroupMessage> messages = std::move(frame.messages);
        frame.messages.clear();
        std::vector<SnapshotMessage> snapshots = std::move(frame.snapshots);
        frame.snapshots.clear();
        std::size_t bytes = 0;
        auto send = [&] {
            out.frames.push_back({to, wire::encode(frame)});
            frame = {};
            frame.from = self_;
            frame.wall = now.wall;
            frame.low = low_;
            bytes = 0;
        };
        for (GroupMessage& m : messages) {
            const std::size_t size = wire::sizeOf(m);
            if (bytes != 0 && bytes + size > kMaxFrameBytes) send();
            bytes += size;
            frame.messages.push_back(std::move(m));
        }
        if (bytes != 0 || frame.beat || frame.heard) send();
        for (SnapshotMessage& m : snapshots) { // large, each in a frame of its own
            frame.snapshots.push_back(std::move(m));
            send();
        }
    }
}

// --- other hosts ------------------------------------------------------------------------------------------

void Server::frame(Moment now, std::string_view body, Effects& out) {
    PeerFrame frame;
    if (!wire::decode(body, frame)) return;
    if (frame.from.server != self_.server && (walls_.contains(frame.from.server) || walls_.size() < kMaxGroups))
        walls_[frame.from.server] = {
            now.monotonic, frame.wall < now.wall ? now.wall.value - frame.wall.value : frame.wall.value - now.wall.value,
            frame.low};
    for (GroupMessage& m : frame.messages) {
        if (m.to.store != options_.store) continue; // for a store that was here before
        Replica* g = replicaOf(m.group);
        if (!g || !g->trouble.empty()) continue;
        if (g->shutOut.contains(m.from.store)) {
            PROBE("who was shut out speaks, and is not heard");
            continue;
        }
        if (!g->group) {
            // The leader of a group that we shall learn; or one that has no leader, and we have become a voter in it
            // without having heard so: then nobody may ever lead without our vote.
            const bool known = g->applied.index.value != 0 || !g->past.empty();
            if (!std::holds_alternative<Append>(m.body) && !(known && std::holds_alternative<AskVote>(m.body))) continue;
            if (!reopen(now, *g, m.to)) continue;
        }
        (void)step(now, *g, Received{std::move(m)}, out);
    }
    for (SnapshotMessage& m : frame.snapshots) snapshotMessage(now, m, out);
    if (frame.beat) beaten(now, frame.from, *frame.beat, out);
    if (frame.heard) renewed(now, frame.from, *frame.heard, out);
    leadTouched(now, out);
}

// Of the hosts that were heard lately, are most (we are one) within a minute of our clock? A leader hears all of its
// groups'; who follows hears only leaders, and ends nothing.
void Server::compareClocks(Moment now) {
    std::size_t heard = 1, near = 1;
    for (const auto& [_, w] : walls_) {
        if (now.monotonic.value > w.at.value + 10 * kSecond) continue;
        heard++;
        near += w.off_ns <= kMinute;
    }
    clocksAgree_ = 2 * near > heard;
}

// To every host that has a member of a group that we lead.
void Server::beat(Moment now) {
    if (now.monotonic < beatAt_) return;
    beatAt_ = Monotonic{now.monotonic.value + beatNs(now.monotonic)};
    std::map<ServerId, std::vector<Led>> led;
    for (const auto& [id, g] : groups_) {
        if (!g->group || !g->group->leads()) continue;
        const Members& members = g->group->members();
        for (const auto* list : {&members.voters, &members.learners})
            for (const Member& m : *list)
                if (m != g->group->self()) led[m.server].push_back({id, g->group->term()});
    }
    for (auto& [server, pairs] : led) {
        Pair& pair = pairs_[server];
        Beat b;
        b.process = options_.process;
        b.sent = now.monotonic;
        b.hash = hashOf(pairs);
        b.listed = pair.list;
        if (b.listed) b.led = pairs;
        outbox_[server].beat = std::move(b);
        pair.sent.emplace_back(now.monotonic, std::move(pairs));
        if (pair.sent.size() > kRememberBeats) pair.sent.pop_front();
    }
}

void Server::beaten(Moment now, const Member& from, const Beat& b, Effects& out) {
    if (from.server == self_.server) return;
    Heard answer{b.process, b.sent, false, {}};
    auto follows = [&](const Replica& g, Term term) {
        return g.group && g.group->leader().server == from.server && g.group->follows(g.group->leader(), term);
    };
    if (b.listed) {
        answer.same = true;
        for (const Led& l : b.led) {
            Replica* g = find(l.group);
            if (g && follows(*g, l.term)) (void)step(now, *g, LeaderHeard{l.term}, out);
            else answer.differ.push_back(l.group);
        }
    } else {
        std::vector<Led> mine;
        for (const auto& [id, g] : groups_)
            if (g->group && follows(*g, g->group->term())) mine.push_back({id, g->group->term()});
        answer.same = hashOf(mine) == b.hash;
        if (answer.same)
            for (const Led& l : mine) (void)step(now, *find(l.group), LeaderHeard{l.term}, out);
    }
    outbox_[from.server].heard = std::move(answer);
}

void Server::renewed(Moment now, const Member& from, const Heard& h, Effects& out) {
    auto at = pairs_.find(from.server);
    if (h.process != options_.process || at == pairs_.end()) return;
    Pair& pair = at->second;
    auto sent = std::find_if(pair.sent.begin(), pair.sent.end(), [&](const auto& s) { return s.first == h.sent; });
    if (sent == pair.sent.end()) return;
    const std::vector<Led> led = std::move(sent->second);
    pair.sent.erase(pair.sent.begin(), sent + 1);
    if (!h.same) {
        pair.list = true;
        beatAt_ = now.monotonic; // at once
        return;
    }
    pair.list = !h.differ.empty();
    for (const Led& l : led) {
        Replica* g = find(l.group);
        if (!g || !g->group) continue;
        const bool differs = std::find(h.differ.begin(), h.differ.end(), l.group) != h.differ.end();
        if (differs) (void)step(now, *g, Speak{from}, out);
        else (void)step(now, *g, Renewed{from, l.term, h.sent}, out);
    }
}

} // namespace skua::raft
