// Group: who leads. Terms, votes, timeouts, and what is promised to a leader.
#include "core/base/probe.h"
#include "raft/group.h"

namespace skua::raft {

void Group::drawTimeout() {
    timeout_ = options_.election_ns + random_.below(options_.election_ns);
    electionAt_ = Monotonic{now_.value + timeout_};
}

// The leader's lease rests on this: no vote for anybody else within the least timeout.
void Group::heardLeader() {
    waits_ = 0;
    electionAt_ = Monotonic{now_.value + timeout_};
    noVoteUntil_ = std::max(noVoteUntil_, Monotonic{now_.value + options_.election_ns});
}

bool Group::promised() const { return leads() ? !leaseGone_ && now_ < leaseUntil(now_) : now_ < noVoteUntil_; }

bool Group::upToDate(const AskVote& ask) const {
    return std::pair(ask.last_term, ask.last) >= std::pair(log_.lastTerm(), log_.last());
}

void Group::saveVote() {
    persist(GroupRecordKind::kVote, std::make_shared<const std::string>(wire::encode(VoteRow{term_, vote_})));
    voteWrite_ = lastWrite_;
}

void Group::onTimeout() {
    drawTimeout();
    waits_++;
    if (!mayStand()) {
        if (leader_.store == 0 && role_ == Role::kFollower) return;
        return follow(term_, {});
    }
    if (alone()) return stand(false);
    askPreVotes();
}

// First ask who would vote: who cannot win must not disturb a leader with a new term.
void Group::askPreVotes() {
    if (!leads()) failReads();
    role_ = Role::kPreCandidate;
    leader_ = {};
    votes_ = {options_.self};
    out_->changed = true;
    askOthers(true, false);
}

void Group::stand(bool transfer) {
    if (term_.value >= kMaxCount) return;
    failReads();
    role_ = Role::kCandidate;
    leader_ = {};
    term_.value++;
    vote_ = options_.self;
    votes_ = {options_.self};
    out_->changed = true;
    saveVote();
    drawTimeout();
    if (haveMajority()) return lead(true);
    askOthers(false, transfer);
}

void Group::standAgain() {
    follow(term_, {});
    stand(true);
}

void Group::askOthers(bool pre, bool transfer) {
    for (const Member& m : members().voters) {
        if (m == options_.self) continue;
        // Our own vote is as good as theirs: it is durable before anybody hears of it.
        send(m, AskVote{pre, transfer, log_.last(), log_.lastTerm()}, pre ? 0 : voteWrite_, Term{term_.value + (pre ? 1 : 0)});
    }
}

bool Group::haveMajority() const {
    std::size_t votes = 0;
    for (const Member& m : members().voters) votes += votes_.contains(m);
    return votes > members().voters.size() / 2;
}

void Group::count(const Member& voter) {
    if (!members().votes(voter)) return;
    votes_.insert(voter);
    if (!haveMajority()) return;
    if (role_ == Role::kPreCandidate) stand(false);
    else lead(true);
}

void Group::follow(Term term, Member leader) {
    out_->changed = true;
    failReads();
    if (leads()) {
        peers_.clear();
        transfer_ = {};
        drawTimeout();
    }
    role_ = Role::kFollower;
    leader_ = leader;
    if (term <= term_) return;
    term_ = term;
    vote_ = {};
    saveVote();
}

void Group::on(const GroupMessage& m, AskVote& ask) {
    if (ask.pre) {
        const bool granted = m.term > term_ && !promised() && upToDate(ask);
        send(m.from, Vote{true, granted}, 0, granted ? m.term : term_);
        // Who asks has not heard us for long.
        if (leads())
            if (auto at = peers_.find(m.from); at != peers_.end()) at->second.speak = true;
        return;
    }
    // The leader of the term before wants the transfer, and reads no more by its lease.
    if (!ask.transfer && promised()) {
        PROBE("a vote is refused for the sake of a leader that was heard");
        return;
    }
    if (m.term > term_) follow(m.term, {});
    const bool granted = m.term == term_ && !leads() && (vote_.store == 0 || vote_ == m.from) && upToDate(ask);
    if (granted && vote_.store == 0) {
        role_ = Role::kFollower;
        vote_ = m.from;
        saveVote();
    }
    if (granted) drawTimeout();
    send(m.from, Vote{false, granted}, voteWrite_);
}

void Group::on(const GroupMessage& m, Vote& v) {
    if (!v.granted) return;
    if (v.pre ? role_ == Role::kPreCandidate && m.term.value == term_.value + 1 : role_ == Role::kCandidate && m.term == term_)
        count(m.from);
}

void Group::on(const GroupMessage& m, StandNow&) {
    if (role_ != Role::kFollower || leader_ != m.from || !mayStand()) return;
    PROBE("a leader hands over");
    stand(true);
}

void Group::on(LeaderHeard&& h) {
    if (leader_.store != 0 && follows(leader_, h.term)) heardLeader();
}

void Group::on(MayLead&& m) {
    mayLead_ = m.may;
    handOver();
}

} // namespace skua::raft
