// Server: all groups of one process, purely. Requests, durable writes, replies of others and time come in;
// log writes, answers and calls come out as Effects, and the shell (shell.h) or the simulator carries them
// out. The order that keeps promises:
//
//   arrive ─► admission.h: refused, or it waits for the turn's end, then
//
//   request ─ remembered? ─► its answer        query ─► rows ─► answer
//      │ no
//      └─ admit ─► Effects::log (one write a turn) ─ durable() ─► apply, rows and remembered answer in one
//                                                              batch ─► answer
//
// Each group is one replica of raft/group.h, which says what goes to the log, to its peers and to the rows; a group with
// one member commits what is durable here. So an answer is given only for what a majority has, and after a crash
// what the log has behind the rows' applied index is applied again once it is known to be committed.
// Thread-safety: none; no clock, socket or disk but the Kv's memory.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>
#include "raft/admission.h"
#include "raft/group.h"
#include "raft/peer_messages.h"
#include "raft/segment_format.h"

namespace skua::raft {

inline constexpr u64 kTickNs = 50 * kMillisecond;                    // how often tick() is wanted, at most
inline constexpr u64 kQuietNs = 2 * kSecond, kQuietTickNs = kSecond; // lead() of a group in which nothing happens
inline constexpr u64 kParkNs = 8 * kSecond;      // a query that waits is answered then: within an attempt (group_caller.h)
inline constexpr u64 kIdleAgeNs = 10 * kSecond;  // older than this, a group's age is logged before it is used
inline constexpr std::size_t kMaxInLog = 16'384; // commands not applied yet, of all groups
inline constexpr std::size_t kMaxInLogBytes = 64u << 20;
// Of clients' writes and of the background, each: then the next ones wait (admission.h). It keeps two writes large.
inline constexpr std::size_t kEnoughInLog = 128, kEnoughInLogBytes = 8u << 20;
inline constexpr std::size_t kMaxWriteBytes = 8u << 20;            // of one write to the log; one entry may be larger
inline constexpr std::size_t kMaxReplyBytes = (8u << 20) - 65'536; // of a body: the frame has its limit
inline constexpr std::size_t kMaxWaiting = 8; // for one answer: a client that repeats waits with the last ones only
inline constexpr std::size_t kForgetClients = 4, kForgetAnswers = 64; // with one entry, and of each client
inline constexpr std::size_t kMaxParked = 65'536;
inline constexpr std::size_t kMaxFrameBytes = 2u << 20; // of messages in one frame; a single one may be larger
inline constexpr std::size_t kPartBytes = 1u << 20;     // of rows, in one part of a snapshot
inline constexpr std::size_t kMaxSending = 4;           // snapshots at a time
inline constexpr u64 kAskAgainNs = 500 * kMillisecond, kOfferDeadNs = 2 * kSecond, kSnapshotDeadNs = 10 * kSecond;
inline constexpr u32 kMaxRowLosses = 3; // of a group, within that time: then it stays down
inline constexpr u64 kRowLossesNs = kHour;
inline constexpr u64 kTryRowsAgainNs = 20 * kSecond; // where nobody offers others
inline constexpr std::size_t kMaxGroups = 8'192;
inline constexpr std::size_t kMaxJoinedBytes = 4u << 20;   // of all copies of an answer that many wait for
inline constexpr std::size_t kKeepTotalBytes = 128u << 20; // of applied entries in memory, of all groups

struct Effects {
    struct Reply {
        u64 token = 0; // of request()
        net::GroupReply reply;
    };
    struct HostReply {
        u64 token = 0;
        Result<std::string> reply;
    };
    struct Call { // repeat until answered, then heard(group, token, ...)
        GroupId group, to;
        std::string body;
        u64 token = 0;
    };
    struct Tell { // a HostRequest to a process, then heard()
        GroupId group;
        std::string address, body;
        u64 token = 0;
    };
    struct Frame { // to another host: an encoded PeerFrame; nobody answers, it may be lost
        ServerId to;
        std::string body;
    };
    std::vector<RecordToWrite> log; // to append, in order, as write number `write`
    u64 write = 0;                  // 0: nothing to append
    std::vector<Frame> frames;
    u64 flush_rows = 0;    // not 0: flush the Kv, then rowsFlushed() with this
    std::vector<u64> lost; // tokens whose outcome is decided elsewhere now: hang up
    std::vector<Reply> replies;
    std::vector<HostReply> host_replies;
    std::vector<Call> calls;
    std::vector<Tell> tells;
    std::vector<std::string> said; // worth a line in the process's log
    bool rows_refused = false;     // not for want of room: the process is to end, its start replays
};

struct ServerOptions {
    u64 seed = 0;
    u64 store = 1;         // of this process's data folder, drawn when it was made
    u64 process = 1;       // drawn at every start
    std::string name = {}; // told with HostStatus
    u64 heartbeat_ns = 100 * kMillisecond, election_ns = 500 * kMillisecond;
    std::size_t keep_bytes = 16u << 20; // GroupOptions
    std::size_t keep_total_bytes = kKeepTotalBytes;
    std::size_t part_bytes = kPartBytes; // of a snapshot
    AdmissionLimits admission = {};
    // A lease is checked after a read was evaluated; none: at the turn's own time.
    std::function<Monotonic()> clock;
};

struct GroupMembers {
    GroupId group;
    Members members;
    Index configuration; // of the entry that made them so
};

class Server {
public:
    using Factory = std::function<std::unique_ptr<StateMachine>(GroupId)>; // null: not a group of this host

    Server(store::Kv& kv, Factory factory, ServerOptions options)
        : kv_(kv),
          factory_(std::move(factory)),
          options_(std::move(options)),
          random_(options_.seed),
          admission_(options_.admission) {}
    Server(store::Kv& kv, Factory factory, u64 seed) : Server(kv, std::move(factory), ServerOptions{.seed = seed, .clock = {}}) {}
    Server(const Server&) = delete;

    // --- start: every record that the log has, in order, then begin() ------------------------------------
    void recover(RecordKind kind, GroupId group, std::string_view payload);
    // A group whose log lost what it promised: it stays down and says why.
    void setTrouble(GroupId group, std::string why);
    // The same for every group that is in the log or has rows: nothing can be appended to a damaged log.
    void setTroubleOfAll(const std::string& why);
    void discover(); // groups that have rows only
    // Every group that is here has other members, and there is one: what is lost here is not lost.
    bool othersHaveAll() const;
    bool anyTrouble() const { return !firstTrouble().empty(); }
    std::string firstTrouble() const; // of a group that is down
    void begin(Moment now, Effects& out);

    // --- a turn: any of these, then flush() ---------------------------------------------------------------
    // The bytes of a GroupRequest: refused at once if too much waits (nothing is decoded then), else looked at by flush().
    void arrive(u64 token, const From& from, std::string_view body, Effects& out);
    void gone(u64 connection, Effects& out); // what it asked and nobody has looked at is dropped
    // Looked at now; `also`: of others who ask the very same.
    void request(Moment now, u64 token, bool from_server, net::GroupRequest&& request, Effects& out, std::vector<u64> also = {});
    void hostRequest(Moment now, u64 token, std::string_view body, Effects& out);
    void durable(Moment now, u64 write, Effects& out);
    void heard(Moment now, GroupId group, u64 token, const Result<std::string>& reply, Effects& out);
    // A PeerFrame of another host.
    void frame(Moment now, std::string_view body, Effects& out);
    void rowsFlushed(Moment now, u64 number, Effects& out);
    void tick(Moment now, Effects& out);
    // This process's disk has little room, or has room again. With little it hands its groups to members that have more
    // (server_room.cc); where most of a group's voters have little, only what frees space is taken.
    void setLow(bool low) { low_ = low; }
    bool low() const { return low_; }
    // When tick() is wanted next: often while something happens.
    u64 nextTickNs(Monotonic now) const;

    // What is committed is applied by followers when their writes are on their way: catchUp() is wanted once what
    // flush() gave is carried out. (tick() does it too, late.)
    bool behind() const { return !behind_.empty(); }
    void catchUp(Moment now, Effects& out);
    // Requests wait that the next turn may look at: it shall be soon.
    bool wantsTurn() const { return admission_.wantsTurn(hold()); }
    const Admission& admission() const { return admission_; }
    // Looks at what has arrived. Gives what was gathered to the log as one write, unless `most_writes` are under way, and what
    // there is for other hosts, a frame each.
    void flush(Moment now, Effects& out, u64 most_writes = 2);

    std::vector<GroupStatus> status(Moment now) const;
    std::map<GroupId, Index> appliedIndexes() const;

    // --- the log's old segments (server_log.cc); log_cut.h asks ---------------------------------------------
    // What the log has to keep for a group whatever was applied; for the head of a segment.
    std::string voteRow(GroupId group) const;
    // Everything that is durable in the log now; once all of it is applied and the rows are flushed, it may go.
    std::map<GroupId, Index> durableIndexes() const;
    // Those that have not applied so much.
    std::vector<GroupId> lagging(const std::map<GroupId, Index>& indexes) const;
    // A group is down whose past is not known whole: nothing may go.
    bool keepsLog() const;
    std::size_t carrySize(GroupId group) const; // bytes of what is not applied
    // Gives the next writes every entry behind `flushed`, to where the rows are flushed. False: not all of them are here.
    bool carry(GroupId group, Index flushed);
    bool carrying() const { return carrying_ != 0; } // some of that is not durable yet
    // Memory of applied entries, of all groups; after flush() at most keep_total_bytes.
    std::size_t kept() const { return kept_; }
    bool leads(GroupId group) const;
    std::size_t ledGroups() const;
    bool clocksAgree() const { return clocksAgree_; } // ours and most other hosts', within a minute
    std::vector<GroupMembers> ledMembers() const;     // of the groups that we lead, as committed
    const Group* group(GroupId id) const;             // null: not here, or down
    // Of writes: what was given out, and what is durable.
    u64 lastWrite() const { return lastWrite_; }
    u64 durableWrite() const { return durableWrite_; }

private:
    // Nothing was written for a while: beats and ticks are half as many. An election then begins a fifth of a second later at
    // most.
    bool quiet(Monotonic now) const { return now.value >= busyAt_.value + kQuietNs; }
    u64 beatNs(Monotonic now) const { return quiet(now) ? 2 * options_.heartbeat_ns : options_.heartbeat_ns; }
    struct Waiting { // who wants the answer of an entry or of a pending request
        std::vector<u64> tokens;
    };
    struct Parked {
        u64 token = 0;
        std::vector<u64> also; // who asked the same
        Command command;
        std::string body;
        Monotonic until;
        std::size_t askers() const { return 1 + also.size(); }
    };
    struct InLog { // commands that are not applied yet
        std::size_t count = 0, bytes = 0;
        bool enough() const { return count >= kEnoughInLog || bytes >= kEnoughInLogBytes; }
    };
    struct Proposed {
        Index index;
        std::size_t bytes = 0;
        Admission::Lane lane = Admission::Lane::kSteps;
    };
    struct Replica {
        GroupId id;
        std::unique_ptr<StateMachine> machine;
        std::unique_ptr<store::Prefixed> rows;
        Applied applied;                      // as the rows have it
        GroupPast past;                       // until begin(), and of one that has stopped
        std::unique_ptr<Group> group;         // null: not made yet, or down
        u64 durable = 0;                      // of the group's writes
        std::vector<GroupEffects::Send> held; // for a write
        std::deque<Entry> unapplied;          // committed; the rows take nothing for want of room
        std::set<u64> shutOut; // stores that are not listened to: Applied::shut_out, and of entries not applied yet
        bool mayLead = true;   // as the group was told
        Monotonic handedAt;    // it was told to hand over
        bool leading = false;  // in term `led`: the machine was told
        Term led;
        Monotonic appliedAt, ledAt;           // something happened; the machine's lead() was called
        bool touched = false, active = false; // rows have changed; EndTurn is due
        bool behind = false;                  // in behind_
        std::size_t kept = 0;                 // of kept_
        u32 losses = 0;                       // of rows that could not be read, since:
        Monotonic lossesSince, lostAt;        // lostAt 0: what is there is not what was lost
        std::string trouble;
        bool stopped = false;                                        // by stopGroup(): `past` is whole
        std::map<Index, Waiting> byIndex;                            // commands without a client
        std::map<std::pair<ClientId, RequestId>, Waiting> byRequest; // in the log, or pending
        std::vector<u64> formats;                                    // who waits for Format
        std::deque<Proposed> proposed;                               // not applied yet
        std::vector<Parked> parked;
        std::map<u64, Parked> confirming; // queries without a lease: by token
        Age forgetFrom;                   // nothing is to be forgotten before; found again after a start
        explicit Replica(GroupId g) : id(g), past(g) {}
    };
    struct Logged { // a record on its way to the log
        u64 write = 0;
        GroupId group;
        u64 group_write = 0; // is whole with this record; 0: is not
        bool again = false;  // carried
        RecordToWrite record;
    };
    struct Pair { // what was said to another host of the groups led there
        bool list = false;
        std::deque<std::pair<Monotonic, std::vector<Led>>> sent;
    };
    struct Sending { // a snapshot, to one member
        GroupId group;
        Member to;
        std::unique_ptr<store::Reader> rows;
        std::string cursor; // the next key, with the group's prefix
        u64 part = 0;       // of `last`, which may be asked for again
        std::optional<RowsPart> last;
        Monotonic begun, heard; // heard 0: not asked for yet
    };
    struct Installation { // of a snapshot that we get
        Member from;
        u64 number = 0, part = 0; // the next one
        Applied applied;
        std::string done; // keys below it are as they shall be
        Monotonic asked, heard;
        u64 flush = 0; // waits for this flush
    };
    class LeaderOf;

    Replica* replicaOf(GroupId id); // null: not a group of this host
    Replica* find(GroupId id);
    Member selfIn(const Members& members) const;
    void openGroup(Moment now, Replica& g, const Member& self, GroupLog log, const LogBase& rows, bool needs_rows = false);
    bool reopen(Moment now, Replica& g, const Member& told);
    Time timeOf(const Replica& g, Moment now) const;
    // groups (server_group.cc)
    Error step(Moment now, Replica& g, Input input, Effects& out);
    void take(Moment now, Replica& g, GroupEffects& effects, Effects& out);
    void roleOf(Moment now, Replica& g, Effects& out);
    void activate(Replica& g);
    void touch(Replica& g);
    void stopLeading(Replica& g, Effects* out);
    void hold(Replica& g, GroupEffects::Send s);
    void release(Replica& g);
    void beat(Moment now);
    void compareClocks(Moment now);
    void beaten(Moment now, const Member& from, const Beat& beat, Effects& out);
    void renewed(Moment now, const Member& from, const Heard& heard, Effects& out);
    // the log's old segments (server_log.cc)
    static Index lastOf(const Replica& g);
    static void keepPast(Replica& g);
    // memory (server_kept.cc)
    void noteKept(Replica& g);
    void keepWithinTotal(Moment now, Effects& out);
    // room (server_room.cc)
    void roomTick(Moment now, Effects& out);
    bool knownLow(ServerId server) const;
    bool fewHaveRoom(const Replica& g) const;
    Member roomy(Moment now, const Replica& g) const;
    // rows that cannot be read (server_rows.cc)
    static bool alone(const Replica& g);
    bool readFailed(Moment now, Replica& g, Effects& out); // of what was just read: it is no answer, the group may be down
    void loseRows(Moment now, Replica& g, Effects& out);
    void tryRowsAgain(Moment now, Replica& g, Effects& out);
    // snapshots (server_snapshot.cc)
    void offerRows(Moment now, Replica& g, const Member& to);
    void snapshotMessage(Moment now, SnapshotMessage& m, Effects& out);
    void offered(Moment now, Replica& g, const SnapshotMessage& m, const OfferRows& offer, Effects& out);
    void asked(Moment now, const SnapshotMessage& m, const AskRows& ask, Effects& out);
    void gotRows(Moment now, Replica& g, const SnapshotMessage& m, RowsPart& part, Effects& out);
    RowsPart nextPart(Sending& s);
    void snapshotsTick(Moment now, Effects& out);
    void sendSnapshot(const Member& from, const Member& to, GroupId group, u64 number, decltype(SnapshotMessage::body) body);
    void forget(Replica& g, Index up_to); // of proposed: it is applied
    Error changeGroup(Moment now, const ChangeGroup& change, Effects& out);
    Error recoverGroup(Moment now, const RecoverGroup& recover, Effects& out);
    Error moveLeader(Moment now, const MoveLeader& move, Effects& out);
    void makeGroup(Moment now, u64 token, Format format, Effects& out);
    Error append(Moment now, Replica& g, Entry entry, Effects& out);
    Admission::Hold hold() const { return {clientsInLog_.enough(), backgroundInLog_.enough()}; }
    InLog* inLogOf(Admission::Lane lane);
    void lookAtArrived(Moment now, Effects& out);
    Monotonic clockNow(Moment now) const { return options_.clock ? std::max(now.monotonic, options_.clock()) : now.monotonic; }
    void query(Moment now, Replica& g, Parked question, bool confirmed, Effects& out);
    void wait(Replica& g, std::pair<ClientId, RequestId> key, u64 token, Age age, Effects& out);
    // applying (server_apply.cc)
    void stopGroup(Replica& g, std::string why, Effects* out);
    void rowsRefused(Replica& g, Effects& out);
    void applyDue(Moment now, Replica& g, Effects& out);
    bool apply(Replica& g, const Entry& entry, Effects& out); // false: not done; the group is down, or it is tried again
    void applyCommand(Replica& g, store::Transaction& t, const Entry& entry, Outcome& outcome, bool& keep);
    static std::optional<StoredAnswer> answerOf(const store::Reader& rows, const std::optional<ClientRow>& client,
                                                const AnswerKey& key);
    void remember(store::Transaction& t, const Entry& entry, const Answer* answer);
    void forgetOld(Replica& g, store::Transaction& t, Age now);
    static Age forgetAnswers(store::Transaction& t, ClientId client, Age now);
    bool write(Replica& g, const store::Transaction& t);
    void answer(Waiting& waiting, const Answer& answer, Age age, Effects& out);
    void lead(Moment now, Replica& g, Effects& out);
    void leadTouched(Moment now, Effects& out);
    void reply(u64 token, Age age, Error error, std::string body, Effects& out);
    void reply(const Parked& asked, Age age, const Error& error, std::string body, Effects& out); // to all who asked it
    void busy(u64 token, Age age, std::string_view why, Effects& out);
    void lose(Waiting& waiting, Effects& out);
    void retryParked(Moment now, Replica& g, Effects& out);

    store::Kv& kv_;
    Factory factory_;
    const ServerOptions options_;
    Random random_;
    Admission admission_;
    std::size_t answeredBytes_ = 0;                      // bodies of answers, ever
    std::map<GroupId, std::unique_ptr<Replica>> groups_; // never erased
    std::vector<Replica*> active_, touched_, behind_;    // each once
    std::deque<Logged> gathered_;                        // for the next write
    std::deque<Logged> logged_;                          // written, not durable; in order
    std::map<ServerId, PeerFrame> outbox_;
    std::map<ServerId, Pair> pairs_;
    struct HostClock {
        Monotonic at;
        u64 off_ns = 0; // from ours
        bool low = false;
    };
    std::map<ServerId, HostClock> walls_;
    bool clocksAgree_ = true;
    bool low_ = false;
    Monotonic busyAt_;               // something was written
    std::map<u64, Sending> sending_; // by number
    std::map<GroupId, Installation> installing_;
    u64 lastFlush_ = 0;
    Monotonic beatAt_;
    Member self_; // of any of our groups, once known
    u64 lastWrite_ = 0, durableWrite_ = 0;
    InLog inLog_, clientsInLog_, backgroundInLog_;      // all; and of all
    Admission::Lane looking_ = Admission::Lane::kSteps; // at one of these
    std::size_t parked_ = 0, kept_ = 0;
    std::size_t carrying_ = 0; // records in gathered_ and logged_
};

} // namespace skua::raft
