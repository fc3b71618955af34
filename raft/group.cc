// Group: a step, the log of one replica, and the follower's side of replication. Elections are in
// group_vote.cc, what a leader does in group_lead.cc.
#include "raft/group.h"

#include "core/base/probe.h"

namespace skua::raft {

namespace {
constexpr std::size_t kMaxHandOut = 4096; // entries a step: more come with the next
constexpr u64 kIdleAge = 10 * kSecond;    // older than this, a group's age is logged before it is used
} // namespace

Group::Group(GroupOptions options, VoteRow vote, GroupLog log, const LogBase& rows, bool needs_rows, Moment now)
    : options_(options),
      random_(options.seed),
      log_(std::move(log)),
      term_(std::max(vote.term, log_.lastTerm())),
      commit_(rows.index),
      handedOut_(rows.index),
      applied_(rows.index),
      durable_(log_.last()),
      needsRows_(needs_rows),
      now_(now.monotonic),
      wall_(now.wall) {
    if (vote.term == term_) vote_ = vote.vote;
    lastAt_ = now_;
    drawTimeout();
    // What was promised to a leader before is not known any more: wait it out. Who is alone promised nobody.
    if (alone()) electionAt_ = now_;
    else if (term_.value != 0) noVoteUntil_ = Monotonic{now_.value + options_.election_ns};
    wakeAt_ = electionAt_;
}

void Group::step(Moment now, Input input, GroupEffects& out) {
    now_ = std::max(now_, now.monotonic);
    wall_ = now.wall;
    out_ = &out;
    out.refused = {};
    out.install = false;
    wrote_ = false;
    const bool tick = std::holds_alternative<Tick>(input);
    std::visit([this](auto&& i) { on(std::move(i)); }, std::move(input));
    if (leads() || tick) handOut(); // a follower's log goes first, its rows have time
    CHECK(commit_ <= log_.last() && durable_ <= log_.last() && handedOut_ <= commit_);
    wakeAt_ = leads() ? beatAt_ : electionAt_;
    if (!leads() && !reads_.empty())
        wakeAt_ = std::min(wakeAt_, Monotonic{reads_.front().asked.value + 2 * options_.election_ns});
    if (behind()) wakeAt_ = now_;
    out_ = nullptr;
}

// The times that an entry made now has: wall strictly grows, age has grown by what the leader's clock counted.
Time Group::timeNow(Moment now) const {
    const u64 passed = leads() && now.monotonic > lastAt_ ? now.monotonic.value - lastAt_.value : 0;
    return {std::max(now.wall, Wall{log_.lastWall().value + 1}), Age{log_.lastAge().value + passed}};
}

void Group::on(Tick&&) {
    if (leads()) {
        if (now_ >= beatAt_) beat();
        return;
    }
    if (!reads_.empty() && now_.value >= reads_.front().asked.value + 2 * options_.election_ns) failReads();
    if (now_ >= electionAt_) onTimeout();
}

void Group::on(EndTurn&&) {
    if (!leads()) return;
    for (auto& [id, peer] : peers_) sendDue(id, peer);
}

void Group::on(Durable&& d) {
    if (d.write > lastWrite_) return;
    durableWrite_ = std::max(durableWrite_, d.write);
    std::size_t done = 0;
    for (; done < writes_.size() && writes_[done].first <= durableWrite_; done++)
        durable_ = std::max(durable_, writes_[done].second);
    writes_.erase(writes_.begin(), writes_.begin() + static_cast<std::ptrdiff_t>(done));
    if (leads()) advanceCommit();
}

void Group::on(RowsApplied&& a) {
    applied_ = std::max(applied_, std::min(a.index, handedOut_));
    trim();
}

void Group::on(Touch&&) {
    if (!ready() || transferring() || log_.last() != commit_) return;
    if (timeNow({now_, wall_}).age.value - log_.lastAge().value <= kIdleAge) return;
    PROBE("an idle group logs its age before it tells it");
    appendOwn({});
}

void Group::on(MakeGroup&& m) {
    if (!empty() || term_.value != 0 || needsRows_) return refuse(Code::Exists, "the group is there already");
    Entry& e = m.entry;
    e.kind = EntryKind::kFormat;
    e.group = options_.group;
    e.index = Index{1};
    e.term = Term{1};
    auto entry = readEntry(options_.group, wire::encode(e));
    auto members = entry ? membersOf(*entry) : std::nullopt;
    if (!members || !members->votes(options_.self))
        return refuse(Code::Invalid, "the format does not have this store among its members");
    term_ = Term{1};
    if (members->voters.size() == 1) vote_ = options_.self;
    else saveVote(); // a member that is alone needs none: the entry says the term
    append(std::move(*entry));
    out_->changed = true;
    if (alone()) lead(false);
    else drawTimeout();
}

// --- the log ----------------------------------------------------------------------------------------------

void Group::persist(GroupRecordKind kind, std::shared_ptr<const std::string> payload) {
    if (!wrote_) {
        wrote_ = true;
        out_->write = ++lastWrite_;
    }
    if (log_.baseDue()) {
        log_.baseDue(false);
        if (kind != GroupRecordKind::kBase)
            out_->records.push_back({GroupRecordKind::kBase, std::make_shared<const std::string>(wire::encode(log_.base()))});
    }
    out_->records.push_back({kind, std::move(payload)});
}

void Group::append(LoggedEntry entry) {
    persist(GroupRecordKind::kEntry, entry.bytes);
    log_.append(std::move(entry));
    if (writes_.empty() || writes_.back().first != lastWrite_) writes_.emplace_back(lastWrite_, log_.last());
    else writes_.back().second = log_.last();
}

// Writes that are under way carry entries that are no more: their being durable says nothing of what comes.
void Group::truncateAfter(Index i) {
    CHECK(i >= commit_);
    log_.truncateAfter(i);
    durable_ = std::min(durable_, i);
    for (auto& [_, index] : writes_) index = std::min(index, i);
}

u64 Group::writeOf(Index i) const {
    if (i <= durable_) return 0;
    for (const auto& [write, index] : writes_)
        if (index >= i) return write;
    return lastWrite_;
}

// Only what is durable here: rows that are flushed are never ahead of the log.
void Group::handOut() {
    if (needsRows_) return;
    const Index limit = std::min(commit_, durable_);
    for (std::size_t n = 0; handedOut_ < limit && n < kMaxHandOut; n++) {
        handedOut_.value++;
        Entry entry;
        CHECK(wire::decodeRow(*log_.at(handedOut_).bytes, entry));
        out_->committed.push_back(std::move(entry));
    }
}

// Applied entries stay for followers that are a little behind; behind a snapshot under way a little longer.
void Group::trim() {
    if (log_.bytes() <= options_.keep_bytes + options_.keep_bytes / 4) return;
    const Index limit = log_.bytes() <= 8 * options_.keep_bytes ? streamed(applied_) : applied_;
    Index to = log_.base().index;
    while (to < limit && log_.bytesAfter(to) > options_.keep_bytes) to.value++;
    log_.dropUpTo(to);
}

// Up to where snapshots that are under way have all.
Index Group::streamed(Index limit) const {
    for (const auto& [_, p] : peers_)
        if (p.streaming) limit = std::min(limit, p.snapshot);
    return limit;
}

void Group::on(Keep&& k) {
    const Index limit = k.all ? applied_ : streamed(applied_);
    const std::size_t kept = this->kept();
    Index to = log_.base().index;
    while (to < limit && kept - log_.memoryUpTo(to) > k.bytes) to.value++;
    log_.dropUpTo(to);
}

void Group::send(Member to, decltype(GroupMessage::body) body, u64 after, std::optional<Term> term) {
    GroupEffects::Send s;
    s.message = {options_.group, options_.self, to, term.value_or(term_), std::move(body)};
    s.after = after > durableWrite_ ? after : 0;
    out_->sends.push_back(std::move(s));
}

// --- messages -----------------------------------------------------------------------------------------------

void Group::on(Received&& r) {
    GroupMessage& m = r.message;
    if (m.group != options_.group || m.to != options_.self || m.from == options_.self || m.from.store == 0) return;
    if (m.term.value == 0 || m.term.value > kMaxCount) return;
    // Of a past that the group has left by a human's word: not even told so, or it would begin a term above ours.
    if (m.term.value / kRecoverTerms < term_.value / kRecoverTerms) return;
    const auto* vote = std::get_if<Vote>(&m.body);
    const bool own_rules = std::holds_alternative<AskVote>(m.body) || (vote && vote->pre && vote->granted);
    if (!own_rules) {
        if (m.term > term_) follow(m.term, {});
        if (m.term < term_) {
            // An old leader learns of the new term.
            if (auto* append = std::get_if<Append>(&m.body)) {
                Appended answer;
                answer.sent = append->sent;
                send(m.from, answer, voteWrite_);
            }
            return;
        }
    }
    std::visit([&](auto& body) { on(m, body); }, m.body);
}

void Group::on(const GroupMessage& m, Append& a) {
    if (leads() || (leader_.store != 0 && leader_ != m.from)) return; // one leader a term: not one of ours
    std::vector<LoggedEntry> entries;
    Index at = a.previous;
    Term before = a.previous_term;
    if (at.value > kMaxCount || a.previous_term > m.term) return;
    for (Bytes& bytes : a.entries) {
        auto e = readEntry(options_.group, std::move(bytes.value));
        at.value++;
        if (!e || e->index != at || e->term < before || e->term > m.term) return;
        before = e->term;
        entries.push_back(std::move(*e));
    }
    if (role_ != Role::kFollower || leader_ != m.from) follow(term_, m.from);
    heardLeader();
    Appended answer;
    answer.agrees = true;
    answer.needs_rows = needsRows_;
    answer.sent = a.sent;
    Index previous = a.previous;
    if (previous < log_.base().index) {
        // Up to the base all is committed and so the same everywhere. Only what is behind it is looked at.
        const u64 skip = log_.base().index.value - previous.value;
        if (entries.size() < skip) {
            answer.up_to = answer.committed = commit_;
            answer.durable = std::min(commit_, durable_);
            return send(m.from, answer, voteWrite_);
        }
        if (entries[skip - 1].term != log_.base().term) return;
        entries.erase(entries.begin(), entries.begin() + static_cast<std::ptrdiff_t>(skip));
        previous = log_.base().index;
    } else if (previous > log_.last() || log_.termAt(previous) != a.previous_term) {
        return refuseAppend(m, a);
    }
    std::size_t known = 0;
    while (known < entries.size() && log_.has(entries[known].index) && log_.termAt(entries[known].index) == entries[known].term)
        known++;
    if (known < entries.size()) {
        const Index keep{entries[known].index.value - 1};
        if (keep < commit_) return; // committed entries do not change: not a leader of ours
        if (keep < log_.last()) {
            PROBE("a follower drops entries that were not committed");
            truncateAfter(keep);
        }
        for (std::size_t i = known; i < entries.size(); i++) append(std::move(entries[i]));
    }
    const Index match{previous.value + entries.size()};
    commit_ = std::max(commit_, std::min(a.committed, match));
    answer.up_to = match;
    answer.committed = commit_;
    // Who sent nothing new wants to hear that we live, not wait for the disk.
    answer.durable = entries.empty() ? std::min(match, durable_) : match;
    send(m.from, answer, entries.empty() ? voteWrite_ : std::max(voteWrite_, writeOf(match)));
}

// Where the logs may part, so that one more try is enough for each term that they differ in.
void Group::refuseAppend(const GroupMessage& m, const Append& a) {
    if (a.previous <= commit_) return; // committed entries do not differ: not a leader of ours
    Appended answer;
    answer.needs_rows = needsRows_;
    answer.up_to = a.previous;
    answer.hint = std::min(Index{a.previous.value - 1}, log_.last());
    while (answer.hint > commit_ && log_.termAt(answer.hint) > a.previous_term) answer.hint.value--;
    answer.hint_term = log_.termAt(answer.hint);
    answer.committed = commit_;
    answer.sent = a.sent;
    send(m.from, answer, voteWrite_);
}

// --- snapshots, the side that gets one ------------------------------------------------------------------------

void Group::on(SnapshotOffered&& s) {
    if (s.term < term_ || s.term.value > kMaxCount || s.from == options_.self) return;
    if (s.base.index.value > kMaxCount || s.base.term > s.term || !wellFormed(s.base.members)) return;
    if (s.term > term_) follow(s.term, {});
    if (leads() || (leader_.store != 0 && leader_ != s.from)) return;
    if (role_ != Role::kFollower || leader_ != s.from) follow(term_, s.from);
    heardLeader();
    // Never back; unless the rows are gone, and then not behind what they had: the log on disk may begin there.
    if (s.base.index <= commit_ && !(needsRows_ && s.base.index >= handedOut_)) {
        PROBE("a snapshot is offered that is older than what is there");
        return;
    }
    needsRows_ = true;
    out_->install = true;
}

void Group::on(SnapshotInstalled&& s) {
    if (!needsRows_) return;
    const LogBase& base = s.base;
    if (base.index <= commit_ && base.index < log_.base().index) return;
    const bool in_log = base.index >= log_.base().index && base.index <= log_.last() && log_.termAt(base.index) == base.term;
    if (!in_log) {
        if (base.index <= commit_ || leads()) return;
        commit_ = base.index;
        log_.reset(base);
        durable_ = base.index; // the rows are, and they say it
        for (auto& [_, index] : writes_) index = base.index;
        persist(GroupRecordKind::kBase, std::make_shared<const std::string>(wire::encode(base)));
    }
    commit_ = std::max(commit_, base.index);
    handedOut_ = applied_ = base.index;
    needsRows_ = false;
    if (leader_.store == 0 || leads()) return;
    Appended answer;
    answer.agrees = true;
    answer.up_to = answer.durable = base.index;
    answer.committed = commit_;
    send(leader_, answer, in_log ? std::max(voteWrite_, writeOf(base.index)) : lastWrite_);
}

void Group::on(RowsLost&&) {
    needsRows_ = true;
    if (leads() && alone()) follow(term_, {});
    handOver();
}

void Group::on(RowsTriedAgain&& t) {
    if (!needsRows_ || t.index < log_.base().index || t.index > handedOut_) return;
    needsRows_ = false;
    handedOut_ = applied_ = t.index;
}

} // namespace skua::raft
