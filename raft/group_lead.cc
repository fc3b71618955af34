// Group: what a leader does. Its followers' progress, commits, leases and reads, members, handing over.
#include <algorithm>
#include "core/base/probe.h"
#include "raft/group.h"

namespace skua::raft {

namespace {
constexpr u64 kPromoteLag = 1000;         // entries that a learner may be behind when it becomes a voter
constexpr std::size_t kMaxReads = 65'536; // waiting for a majority to confirm the leader
} // namespace

// `begins_term`: with an empty entry, by which earlier ones can commit. (A new group begins with its Format.)
void Group::lead(bool begins_term) {
    failReads();
    role_ = Role::kLeader;
    leader_ = options_.self;
    out_->changed = true;
    leaseGone_ = toldToStand_ = everTold_ = false;
    transfer_ = {};
    ledSince_ = now_;
    beatAt_ = Monotonic{now_.value + options_.heartbeat_ns};
    lastAt_ = now_;
    peers_.clear();
    syncPeers();
    firstOfTerm_ = begins_term ? Index{log_.last().value + 1} : log_.last();
    if (begins_term) appendOwn({});
}

void Group::syncPeers() {
    const Members& m = members();
    std::erase_if(peers_, [&](const auto& p) { return !m.has(p.first); });
    for (const auto& group : {m.voters, m.learners})
        for (const Member& id : group) {
            if (id == options_.self) continue;
            auto [at, fresh] = peers_.try_emplace(id);
            at->second.voter = m.votes(id);
            if (fresh) probe(at->second, Index{log_.last().value + 1});
        }
}

void Group::appendOwn(Entry e) {
    const Time time = timeNow({now_, wall_});
    e.group = options_.group;
    e.index = Index{log_.last().value + 1};
    e.term = term_;
    e.wall = time.wall;
    e.age = time.age;
    append(writeEntry(e));
    lastAt_ = now_;
}

void Group::on(Propose&& p) {
    if (!leads()) {
        out_->refused = Error::notLeader(leader_.server);
        return;
    }
    if (transferring()) return refuse(Code::Busy, "the group changes its leader");
    if (p.entry.payload.value.size() > kMaxPayloadBytes) return refuse(Code::TooLarge, "it does not fit a log entry");
    if (p.entry.kind != EntryKind::kCommand && p.entry.kind != EntryKind::kEmpty) return refuse(Code::Invalid, "not a command");
    if (log_.bytesAfter(commit_) > options_.pending_bytes)
        return refuse(Code::Busy, "too much is proposed and not yet committed");
    appendOwn(std::move(p.entry));
}

// --- sending ----------------------------------------------------------------------------------------------

void Group::probe(Peer& p, Index next) {
    p.flow = Flow::kProbe;
    p.next = std::max(next, Index{p.match.value + 1});
    p.probing = false;
    p.flight.clear();
    p.flightBytes = 0;
}

void Group::stream(const Member& id, Peer& p) {
    if (p.streaming) return;
    if (needsRows_) { // a caretaker's rows are nobody's: who needs some waits for another leader
        PROBE("a caretaker has no rows to give");
        return;
    }
    PROBE("a follower needs a snapshot");
    p.streaming = true;
    p.snapshot = applied_;
    out_->snapshots.push_back(id);
}

void Group::sendDue(const Member& id, Peer& p) {
    const bool speak = std::exchange(p.speak, false);
    switch (p.flow) {
        case Flow::kProbe:
            if (!p.probing || speak) sendAppend(id, p, !p.probing);
            return;
        case Flow::kReplicate: {
            const bool more = p.next <= log_.last() && p.flightBytes < options_.window_bytes;
            while (p.flow == Flow::kReplicate && p.next <= log_.last() && p.flightBytes < options_.window_bytes)
                sendAppend(id, p, true);
            if (speak && !more) sendAppend(id, p, false);
            return;
        }
        case Flow::kSnapshot:
            if (!p.streaming) stream(id, p);
            if (speak) sendAppend(id, p, false);
            return;
    }
}

void Group::sendAppend(const Member& id, Peer& p, bool entries) {
    Index previous{p.next.value - 1};
    if (previous < log_.base().index) {
        probe(p, p.next);
        p.flow = Flow::kSnapshot;
        stream(id, p);
    }
    Append a;
    a.committed = commit_;
    a.sent = now_;
    if (p.flow == Flow::kSnapshot) previous = Index{}; // only to be heard
    else {
        a.previous_term = log_.termAt(previous);
        std::size_t bytes = 0;
        for (Index i{previous.value + 1}; entries && i <= log_.last() && bytes < options_.append_bytes; i.value++) {
            const auto& e = log_.at(i);
            if (bytes != 0 && bytes + e.bytes->size() > options_.append_bytes) break;
            bytes += e.bytes->size();
            a.entries.push_back(Bytes{*e.bytes});
        }
        if (p.flight.empty() && !p.probing) p.retryAt = Monotonic{now_.value + 2 * options_.heartbeat_ns};
        if (p.flow == Flow::kProbe) p.probing = true;
        else if (!a.entries.empty()) {
            p.next.value += a.entries.size();
            p.flight.emplace_back(Index{p.next.value - 1}, bytes);
            p.flightBytes += bytes;
        }
    }
    a.previous = previous;
    send(id, std::move(a), 0); // our own write may still be under way: it only counts when it is durable
}

void Group::speakToAll() {
    for (auto& [_, p] : peers_) p.speak = true;
}

void Group::beat() {
    beatAt_ = Monotonic{now_.value + options_.heartbeat_ns};
    if (std::max(heardByMajority(now_), ledSince_).value + 2 * options_.election_ns <= now_.value) {
        PROBE("a leader that hears no majority steps down");
        return follow(term_, {});
    }
    if (transfer_.store != 0 && now_ >= transferUntil_) {
        // It did not stand. If it was told to, it still may, at any time: there is no lease in this term any more.
        transfer_ = {};
        leaseGone_ = false;
        if (everTold_) {
            PROBE("a transfer failed, the leader goes on in a new term");
            return standAgain();
        }
    }
    toldToStand_ = false;
    continueTransfer();
    if (caretaker() && ledSince_.value + 8 * options_.election_ns <= now_.value) return follow(term_, {});
    for (auto& [_, p] : peers_) {
        if (p.flow == Flow::kReplicate && !p.flight.empty() && now_ >= p.retryAt) {
            PROBE("what was sent to a follower seems lost");
            probe(p, Index{p.match.value + 1});
        }
        if (options_.own_heartbeats || !quiet(p) || !reads_.empty()) p.speak = true;
    }
}

// --- answers ------------------------------------------------------------------------------------------------

void Group::on(const GroupMessage& m, Appended& a) {
    auto found = peers_.find(m.from);
    if (!leads() || found == peers_.end()) return;
    Peer& p = found->second;
    if (a.sent > now_ || a.durable > log_.last() || a.committed > log_.last() || a.up_to.value > kMaxCount) return;
    if (a.agrees && a.up_to > log_.last()) return;
    p.acked = std::max(p.acked, a.sent);
    p.heard = now_;
    p.committed = std::min(std::max(p.committed, a.committed), commit_);
    p.needsRows = a.needs_rows;
    if (a.needs_rows) stream(m.from, p);
    if (a.agrees) {
        if (a.durable > p.match) {
            p.match = a.durable;
            p.retryAt = Monotonic{now_.value + 2 * options_.heartbeat_ns};
        }
        std::size_t done = 0;
        for (; done < p.flight.size() && p.flight[done].first <= p.match; done++) p.flightBytes -= p.flight[done].second;
        p.flight.erase(p.flight.begin(), p.flight.begin() + static_cast<std::ptrdiff_t>(done));
        const Index reached = std::max(a.up_to, p.match);
        if (p.flow == Flow::kProbe || (p.flow == Flow::kSnapshot && reached >= log_.base().index)) {
            p.flow = Flow::kReplicate;
            p.probing = false;
            p.next = Index{reached.value + 1};
        }
        p.next = std::max(p.next, Index{p.match.value + 1});
        advanceCommit();
        if (leads()) continueTransfer();
        handOver();
    } else if (p.flow != Flow::kSnapshot && a.up_to > p.match &&
               (p.flow == Flow::kReplicate || a.up_to.value == p.next.value - 1)) {
        Index next = std::min(Index{a.up_to.value - 1}, std::min(a.hint, log_.last()));
        while (next > log_.base().index && next > p.match && log_.termAt(next) > a.hint_term) next.value--;
        probe(p, Index{next.value + 1});
    }
    if (leads()) confirmReads();
}

// By counting only entries of the own term; earlier ones are committed with them.
void Group::advanceCommit() {
    std::vector<Index> matches;
    for (const Member& id : members().voters) {
        if (id == options_.self) matches.push_back(durable_);
        else if (auto at = peers_.find(id); at != peers_.end()) matches.push_back(at->second.match);
    }
    std::sort(matches.rbegin(), matches.rend());
    const Index agreed = matches[matches.size() / 2];
    if (agreed <= commit_ || log_.termAt(agreed) != term_) return;
    commit_ = agreed;
    confirmReads();
    if (log_.configIndex() <= commit_ && !members().votes(options_.self)) {
        PROBE("a leader removed itself");
        resign();
    }
}

// --- leases and reads ---------------------------------------------------------------------------------------

// The latest time at which, or after which, a majority said that we lead: the sending of what they answered.
Monotonic Group::heardByMajority(Monotonic now) const {
    std::vector<Monotonic> heard;
    for (const Member& id : members().voters) {
        if (id == options_.self) heard.push_back(now);
        else if (auto at = peers_.find(id); at != peers_.end()) heard.push_back(at->second.acked);
    }
    if (heard.empty()) return {};
    std::sort(heard.rbegin(), heard.rend());
    return heard[heard.size() / 2];
}

Monotonic Group::leaseUntil(Monotonic now) const {
    const Monotonic heard = heardByMajority(now);
    return heard.value == 0 ? heard : Monotonic{heard.value + leaseOf(options_.election_ns)};
}

void Group::on(ReadIndex&& r) {
    if (mayRead(now_)) return out_->reads.push_back({r.token, true, commit_});
    if ((!leads() && leader_.store == 0) || reads_.size() >= kMaxReads) return out_->reads.push_back({r.token, false, {}});
    reads_.push_back({r.token, options_.self, now_});
    if (!leads()) return send(leader_, AskIndex{r.token}, 0);
    speakToAll();
    confirmReads();
}

void Group::on(const GroupMessage& m, AskIndex& ask) {
    if (!leads() || !peers_.contains(m.from)) return send(m.from, TellIndex{ask.token, false, {}}, 0);
    if (mayRead(now_)) return send(m.from, TellIndex{ask.token, true, commit_}, 0);
    if (reads_.size() >= kMaxReads) return send(m.from, TellIndex{ask.token, false, {}}, 0);
    reads_.push_back({ask.token, m.from, now_});
    speakToAll();
    confirmReads();
}

void Group::on(const GroupMessage& m, TellIndex& tell) {
    if (leads() || leader_ != m.from) return;
    auto at = std::find_if(reads_.begin(), reads_.end(), [&](const auto& r) { return r.token == tell.token; });
    if (at == reads_.end() || tell.index.value > kMaxCount) return;
    out_->reads.push_back({tell.token, tell.leads, tell.index});
    reads_.erase(at);
}

// A read is as of a moment after it was asked if a majority followed us then.
void Group::confirmReads() {
    if (reads_.empty() || commit_ < firstOfTerm_) return;
    const Monotonic heard = heardByMajority(now_);
    std::erase_if(reads_, [&](const PendingRead& r) {
        if (r.asked > heard) return false;
        if (r.from == options_.self) out_->reads.push_back({r.token, true, commit_});
        else send(r.from, TellIndex{r.token, true, commit_}, 0);
        return true;
    });
}

void Group::failReads() {
    for (const PendingRead& r : std::exchange(reads_, {})) {
        if (r.from == options_.self) out_->reads.push_back({r.token, false, {}});
        else send(r.from, TellIndex{r.token, false, {}}, 0);
    }
}

// --- liveness that the owner keeps, snapshots under way --------------------------------------------------------

void Group::on(Renewed&& r) {
    auto at = peers_.find(r.peer);
    if (!leads() || r.term != term_ || at == peers_.end() || r.sent > now_) return;
    at->second.acked = std::max(at->second.acked, r.sent);
    at->second.heard = now_;
    confirmReads();
}

void Group::on(Speak&& s) {
    if (auto at = peers_.find(s.peer); leads() && at != peers_.end()) at->second.speak = true;
}

void Group::on(SnapshotEnded&& s) {
    auto at = peers_.find(s.to);
    if (!leads() || at == peers_.end()) return;
    at->second.streaming = false;
    // If it came, the follower has said so or will answer this; else it will be seen to be behind again.
    if (at->second.flow == Flow::kSnapshot) probe(at->second, Index{log_.last().value + 1});
}

std::vector<Group::Lag> Group::followers() const {
    std::vector<Lag> all;
    for (const auto& [id, p] : peers_) all.push_back({id, p.voter, p.match, p.streaming, p.heard, canLead(id)});
    return all;
}

// --- members, and handing over -----------------------------------------------------------------------------------

// Two memberships that are in force side by side have a common majority only if they differ in one voter, and a
// new leader knows which are in force only when an entry of its own is committed.
Error Group::mayChange(const Members& next) const {
    if (!leads()) return Error::notLeader(leader_.server);
    if (transferring()) return {Code::Busy, "the group changes its leader"};
    if (commit_ < firstOfTerm_) return {Code::Busy, "the leader is new; again in a moment"};
    if (log_.configIndex() > commit_) return {Code::Busy, "another change of the members is under way"};
    if (!wellFormed(next)) return {Code::Invalid, "a group has 1 to 7 voters and at most 7 learners, each once"};
    if (next == members()) return {Code::Exists, "these are the members"};
    std::size_t differences = 0;
    for (const Member& m : members().voters) differences += !next.votes(m);
    for (const Member& m : next.voters) {
        if (members().votes(m)) continue;
        differences++;
        if (!members().learns(m)) return {Code::Invalid, "a voter is a learner first"};
        const auto at = peers_.find(m);
        // Who has nothing yet does not even know that it is to vote: it must be there, and need no rows (a short log is not
        // enough).
        if (!canLead(m) || at->second.match < std::max(log_.base().index, Index{1}) ||
            at->second.match.value + kPromoteLag < log_.last().value)
            return {Code::Busy, "the learner has not caught up yet"};
    }
    if (differences > 1) return {Code::Invalid, "one voter at a time"};
    const auto able = static_cast<std::size_t>(
        std::count_if(next.voters.begin(), next.voters.end(), [&](const Member& m) { return canLead(m); }));
    if (able <= next.voters.size() / 2)
        return {Code::Busy, "too few of these voters are there and have the rows: the group would stop"};
    return {};
}

bool Group::canLead(const Member& m) const {
    if (m == options_.self) return !needsRows_;
    const auto at = peers_.find(m);
    return at != peers_.end() && !at->second.needsRows && at->second.flow != Flow::kSnapshot &&
           at->second.heard.value + 2 * options_.election_ns >= now_.value;
}

void Group::on(ChangeMembers&& c) {
    out_->refused = mayChange(c.members);
    if (out_->refused.code != Code::Ok) return;
    Entry e;
    e.kind = EntryKind::kMembers;
    e.payload.value = wire::encode(c.members);
    appendOwn(std::move(e)); // in force from here on
    syncPeers();
}

void Group::on(Recover&& r) {
    if (leads()) return refuse(Code::Exists, "it leads the group: a majority is there");
    if (promised()) return refuse(Code::Busy, "a leader was heard just now, or it has only started");
    if (needsRows_) return refuse(Code::Unavailable, "its rows are not whole: keep another member");
    if (!members().votes(options_.self)) return refuse(Code::Invalid, "it is no voter of the group");
    if (term_.value >= kMaxCount - kRecoverTerms) return refuse(Code::Invalid, "its term cannot grow");
    if (r.check) return;
    PROBE("a member goes on alone, by a human's word");
    failReads();
    // Far beyond any term that the others may have begun unheard: no two entries have one index and one term.
    term_.value += kRecoverTerms;
    vote_ = options_.self;
    saveVote();
    lead(true);
    Members alone{{options_.self}, {}};
    for (const auto& [id, _] : peers_) alone.shut_out.push_back(id.store);
    Entry e;
    e.kind = EntryKind::kMembers;
    e.payload.value = wire::encode(alone);
    appendOwn(std::move(e));
    syncPeers();
}

const Member* Group::best() const {
    const Member* best = nullptr;
    const Peer* most = nullptr;
    for (const auto& [id, p] : peers_) {
        if (!p.voter || !canLead(id)) continue;
        if (most && most->match >= p.match) continue;
        best = &id;
        most = &p;
    }
    return best;
}

void Group::on(Transfer&& t) {
    if (!leads()) {
        out_->refused = Error::notLeader(leader_.server);
        return;
    }
    if (t.to.store == 0)
        if (const Member* to = best()) t.to = *to;
    if (t.to == options_.self || !members().votes(t.to)) return refuse(Code::Invalid, "there is no such voter");
    if (log_.configIndex() > commit_) return refuse(Code::Busy, "the members are being changed");
    if (caretaker()) return; // it does so anyway
    toldToStand_ = false;
    leaseGone_ = true; // before anybody may stand in spite of what was promised to us
    transfer_ = t.to;
    transferUntil_ = Monotonic{now_.value + options_.election_ns};
    continueTransfer();
}

void Group::continueTransfer() {
    if (transfer_.store == 0) return;
    auto at = peers_.find(transfer_);
    if (at == peers_.end() || at->second.match != log_.last() || toldToStand_) return;
    toldToStand_ = everTold_ = true;
    send(transfer_, StandNow{}, 0);
}

void Group::handOver() {
    if (!caretaker()) return;
    const Member* to = best();
    if (!to || peers_.at(*to).match != log_.last()) return;
    PROBE("a caretaker hands over");
    resign();
}

void Group::resign() {
    if (const Member* to = best()) send(*to, StandNow{}, 0);
    follow(term_, {});
}

} // namespace skua::raft
