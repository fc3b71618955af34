// Group: one replica of a replicated log, purely: step(now, input) -> effects. Raft (Ongaro's thesis) with
// pre-vote, check-quorum, leader leases, read-index, leadership transfer, pipelining, learners and membership
// changes of one voter at a time. docs/replication.md says why each rule is there.
//
//              timeout                majority would vote          majority voted
//   Follower ───────────► PreCandidate ───────────────► Candidate ───────────────► Leader
//      ▲  onTimeout           │ askPreVotes                │ stand                    │ lead
//      └──────────────────────┴────────────────────────────┴──────────────────────────┘
//        follow(): a higher term, a leader of this term, or a leader that hears no majority
//
// The owner (raft/server.h, or a test's world) carries Effects out and feeds what comes of it back:
//  - `records` go to the log in their order; when write n and all before it are durable: Durable{n}.
//  - a Send leaves not before write `after` is durable (0: at once). The owner may lose, repeat, delay and reorder
//    messages as it likes, but must not let one leave early.
//  - `committed` entries are applied in order, then RowsApplied{index}.
//  - after the inputs of a turn comes EndTurn: then the leader sends what was proposed, in batches.
//  - step() is called with Tick when wakeAt() has come.
// A restart makes a new Group from the store's records (GroupPast) and the rows; a store that forgot
// anything must come back under another store id, as a new member.
//
// Times are of CLOCK_BOOTTIME; clocks may differ in rate by 10 %. Safety rests on rates for lease reads only.
// Thread-safety: none; no clock, socket, thread or global state; the same inputs give the same effects.
#pragma once

#include <map>
#include <set>
#include <vector>
#include "core/base/random.h"
#include "raft/group_io.h"
#include "raft/group_log.h"
#include "raft/moment.h"

namespace skua::raft {

struct GroupOptions {
    GroupId group;
    Member self;
    u64 seed = 0; // of the randomised timeouts
    u64 heartbeat_ns = 100 * kMillisecond;
    u64 election_ns = 500 * kMillisecond; // the least; a timeout is drawn between this and twice as much
    // False: the owner keeps liveness per pair of processes (Renewed, LeaderHeard, Speak), and a group that has
    // nothing to say is silent.
    bool own_heartbeats = true;
    std::size_t append_bytes = 1u << 20;   // of one Append; one entry may be larger
    std::size_t window_bytes = 4u << 20;   // sent to a follower and not yet acknowledged
    std::size_t keep_bytes = 16u << 20;    // of applied entries, for followers that are a little behind
    std::size_t pending_bytes = 64u << 20; // proposed and not yet committed: more is refused
};
// The lease is this part of the least election timeout: 0.8 / 0.9 < 1 / 1.1.
inline constexpr u64 kRecoverTerms = 1u << 20; // a recovery goes on so many terms later
constexpr u64 leaseOf(u64 election_ns) { return election_ns / 10 * 8; }

class Group {
public:
    enum class Role : u8 { kFollower, kPreCandidate, kCandidate, kLeader };

    // `rows`: what the rows have applied. `needs_rows`: they were being installed. `log` is from GroupPast::join.
    Group(GroupOptions options, VoteRow vote, GroupLog log, const LogBase& rows, bool needs_rows, Moment now);

    void step(Moment now, Input input, GroupEffects& out);

    Role role() const { return role_; }
    bool leads() const { return role_ == Role::kLeader; }
    // Memory of applied entries, which serve only followers that are behind.
    std::size_t kept() const { return log_.memoryUpTo(applied_); }
    Term term() const { return term_; }
    VoteRow voteRow() const { return {term_, vote_}; }
    Member leader() const { return leader_; } // store 0: not known
    const Member& self() const { return options_.self; }
    const GroupLog& log() const { return log_; }
    const Members& members() const { return log_.members(); }
    Index committed() const { return commit_; }
    Index durable() const { return durable_; }
    Index applied() const { return applied_; }
    Index firstOfTerm() const { return firstOfTerm_; } // while it leads
    bool needsRows() const { return needsRows_; }
    bool empty() const { return log_.last().value == 0; }
    bool transferring() const { return leads() && (transfer_.store != 0 || caretaker()); }
    // Leads, and has applied an entry of its own term.
    bool ready() const { return leads() && !needsRows_ && applied_ >= firstOfTerm_; }
    // Leads only until somebody can who has the rows.
    bool caretaker() const { return leads() && !fit(); }
    // Ready, and nobody else can have committed anything by now. Evaluate first, then ask this.
    bool mayRead(Monotonic now) const { return ready() && !leaseGone_ && now < leaseUntil(now); }
    // As an entry made now would have.
    Time timeNow(Moment now) const;
    // What an idle, silent leader and its followers agree on. Who needs rows is to be spoken to, or nobody hears that.
    bool follows(const Member& leader, Term term) const {
        return role_ == Role::kFollower && term_ == term && leader_ == leader && voteWrite_ <= durableWrite_ && !needsRows_;
    }
    Monotonic wakeAt() const { return wakeAt_; }
    // Entries are committed that were not handed out: the next Tick does.
    bool behind() const { return !needsRows_ && handedOut_ < std::min(commit_, durable_); }
    struct Lag {
        Member peer;
        bool voter = false;
        Index durable;
        bool snapshot = false;
        Monotonic heard;
        bool ready = false; // it was heard lately, and has rows: it could lead
    };
    std::vector<Lag> followers() const; // while it leads

private:
    enum class Flow : u8 { kProbe, kReplicate, kSnapshot };
    struct Peer { // a leader's view of another member
        bool voter = false;
        Flow flow = Flow::kProbe;
        Index next;                                        // the next entry to send
        Index match;                                       // equal up to here, and durable there
        Index committed;                                   // it knows this
        bool probing = false;                              // a probe is under way
        std::vector<std::pair<Index, std::size_t>> flight; // Appends under way: last entry, bytes
        std::size_t flightBytes = 0;
        Monotonic acked;        // sending time of the latest that it answered
        Monotonic heard;        // when it answered last
        Monotonic retryAt;      // without progress until then, what is in flight is lost
        bool needsRows = false; // it said so
        bool streaming = false; // a snapshot is on its way, of at least entry `snapshot`
        Index snapshot;
        bool speak = false; // send it something at the end of the turn
    };
    struct PendingRead {
        u64 token = 0;
        Member from; // self: the owner asked
        Monotonic asked;
    };

    // inputs
    void on(Tick&&);
    void on(EndTurn&&);
    void on(Received&&);
    void on(Durable&&);
    void on(RowsApplied&&);
    void on(Propose&&);
    void on(Touch&&);
    void on(ChangeMembers&&);
    void on(Transfer&&);
    void on(MayLead&&);
    void on(ReadIndex&&);
    void on(MakeGroup&&);
    void on(Renewed&&);
    void on(LeaderHeard&&);
    void on(Speak&&);
    void on(SnapshotOffered&&);
    void on(SnapshotInstalled&&);
    void on(SnapshotEnded&&);
    void on(RowsLost&&);
    void on(RowsTriedAgain&&);
    void on(Recover&&);
    void on(Keep&&);
    // messages
    void on(const GroupMessage&, AskVote&);
    void on(const GroupMessage&, Vote&);
    void on(const GroupMessage&, Append&);
    void on(const GroupMessage&, Appended&);
    void on(const GroupMessage&, StandNow&);
    void on(const GroupMessage&, AskIndex&);
    void on(const GroupMessage&, TellIndex&);

    // roles (group_vote.cc)
    bool alone() const { return members().voters.size() == 1 && members().votes(options_.self); }
    bool fit() const { return !needsRows_ && (mayLead_ || alone()); }
    // Who is not fit stands when nobody else has led for long: perhaps only its log has what was committed. It
    // leads as a caretaker: brings another one up to date, and hands over.
    // Nor does it matter that its log says it was removed, while that is not committed.
    bool mayStand() const { return log_.mayVote(options_.self, commit_) && (fit() || (waits_ >= kCaretakerWaits && !alone())); }
    static constexpr u32 kCaretakerWaits = 4;
    void handOver();
    bool promised() const; // to a leader: no vote now
    void heardLeader();
    void drawTimeout();
    bool upToDate(const AskVote& ask) const;
    bool haveMajority() const; // of votes_
    void onTimeout();
    void askPreVotes();
    void stand(bool transfer);
    void standAgain(); // a leader, for its next term
    void count(const Member& voter);
    void lead(bool begins_term);
    void follow(Term term, Member leader);
    void resign(); // stops leading, in its term, and tells the best to stand
    void saveVote();
    void askOthers(bool pre, bool transfer);
    // the leader's side of replication (group_lead.cc)
    void syncPeers();
    void sendDue(const Member& id, Peer& p);
    void sendAppend(const Member& id, Peer& p, bool entries);
    void beat();
    bool quiet(const Peer& p) const { // nothing to tell it, nothing to hear from it
        return p.flow == Flow::kReplicate && p.match == log_.last() && p.committed == commit_ && !p.needsRows;
    }
    void probe(Peer& p, Index next);
    void stream(const Member& id, Peer& p);
    void advanceCommit();
    const Member* best() const; // the other voter that has most
    void continueTransfer();
    Monotonic heardByMajority(Monotonic now) const;
    Monotonic leaseUntil(Monotonic now) const;
    void confirmReads();
    void failReads();
    void speakToAll();
    void appendOwn(Entry entry);
    Error mayChange(const Members& next) const;
    bool canLead(const Member& voter) const; // as far as it is known
    // the log (group.cc)
    void persist(GroupRecordKind kind, std::shared_ptr<const std::string> payload);
    void append(LoggedEntry entry);
    void truncateAfter(Index i);
    void trim();
    Index streamed(Index limit) const;
    void refuseAppend(const GroupMessage& m, const Append& a);
    u64 writeOf(Index i) const; // the write that carries entry i; 0: durable
    void handOut();
    void send(Member to, decltype(GroupMessage::body) body, u64 after, std::optional<Term> term = {});
    void refuse(Code code, std::string_view why) { out_->refused = Error(code, why); }

    GroupOptions options_;
    Random random_;
    GroupLog log_;
    Term term_;
    Member vote_;
    Role role_ = Role::kFollower;
    Member leader_;
    Index commit_, handedOut_, applied_, durable_;
    bool needsRows_, mayLead_ = true;
    // Writes under way: what the log reaches once each is durable, less what was replaced since.
    std::vector<std::pair<u64, Index>> writes_;
    u64 lastWrite_ = 0, durableWrite_ = 0, voteWrite_ = 0;
    bool wrote_ = false; // in this step
    Monotonic now_, wakeAt_;
    Wall wall_;
    u64 timeout_ = 0;
    u32 waits_ = 0; // timeouts since a leader was heard
    Monotonic electionAt_, noVoteUntil_;
    std::set<Member, MemberLess> votes_;
    // while it leads
    std::map<Member, Peer, MemberLess> peers_;
    Index firstOfTerm_;
    Monotonic beatAt_, ledSince_, lastAt_; // lastAt_: when the last entry was made, or the lead began
    bool leaseGone_ = false;
    Member transfer_;
    Monotonic transferUntil_;
    bool toldToStand_ = false, everTold_ = false; // since the last beat; in this term
    std::vector<PendingRead> reads_;              // of a leader; of a follower: asked of its leader
    GroupEffects* out_ = nullptr;                 // during step()
};

} // namespace skua::raft
