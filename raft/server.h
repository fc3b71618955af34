// Server: all groups of one process, purely. Requests, durable writes, replies of others and time come in;
// log writes, answers and calls come out as Effects, and the shell (shell.h) or the simulator carries them
// out. The order that keeps promises:
//
//   request ─ remembered? ─► its answer        query ─► rows ─► answer
//      │ no
//      └─ admit ─► Effects::log (one write a turn) ─ durable() ─► apply, rows and remembered answer in one
//                                                              batch ─► answer
//
// So an answer is given only for what the log has, and after a crash the log is replayed from the applied
// index that the rows have (recover()). One member a group for now: what is durable here is committed.
// Thread-safety: none; no clock, socket or disk but the Kv's memory.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>
#include "raft/entry.h"

namespace skua::raft {

inline constexpr u64 kTickNs = 50 * kMillisecond;           // how often tick() is wanted
inline constexpr u64 kParkNs = 8 * kSecond;                 // a query that waits is answered then: within an attempt (group_caller.h)
inline constexpr u64 kIdleAgeNs = 10 * kSecond;             // older than this, a group's age is logged before it is used
inline constexpr std::size_t kMaxInLog = 16'384;            // commands not applied yet, of all groups
inline constexpr std::size_t kMaxInLogBytes = 64u << 20;
inline constexpr std::size_t kMaxWriteBytes = 8u << 20;     // of one write to the log; one entry may be larger
inline constexpr std::size_t kMaxReplyBytes = (8u << 20) - 65'536;     // of a body: the frame has its limit
inline constexpr std::size_t kMaxWaiting = 8;               // for one answer: a client that repeats waits with the last ones only
inline constexpr std::size_t kMaxParked = 65'536;

// The time of a turn. `monotonic` never goes back within a process.
struct Moment {
    Monotonic monotonic;
    Wall wall;
};

struct Effects {
    struct Reply {
        u64 token = 0;                  // of request()
        net::GroupReply reply;
    };
    struct HostReply {
        u64 token = 0;
        Result<std::string> reply;
    };
    struct Call {                       // repeat until answered, then heard(group, token, ...)
        GroupId group, to;
        std::string body;
        u64 token = 0;
    };
    struct Tell {                       // a HostRequest to a process, then heard()
        GroupId group;
        std::string address, body;
        u64 token = 0;
    };
    std::vector<std::string> log;       // encoded entries to append, in order, as write number `write`
    std::vector<GroupId> log_groups;    // of each
    u64 write = 0;                      // 0: nothing to append
    std::vector<Reply> replies;
    std::vector<HostReply> host_replies;
    std::vector<Call> calls;
    std::vector<Tell> tells;
};

class Server {
public:
    using Factory = std::function<std::unique_ptr<StateMachine>(GroupId)>;

    Server(store::Kv& kv, Factory factory, u64 seed) : kv_(kv), factory_(std::move(factory)), random_(seed) {}
    Server(const Server&) = delete;

    // --- start: every entry that the log has, in order, then begin() -------------------------------------
    // Entries at or below the applied index are passed over; the others are applied again.
    void recover(const Entry& entry);
    // A group whose log lost what it promised: it stays down and says why.
    void setTrouble(GroupId group, std::string why);
    // The same for every group that is in the log or has rows: nothing can be appended to a damaged log.
    void setTroubleOfAll(const std::string& why);
    // Some group is down: its entries are in the log only, which must be kept.
    bool anyTrouble() const;
    // All groups take up a new term; they answer when its first entry is durable.
    void begin(Moment now, Effects& out);

    // --- a turn: any of these, then flush() ---------------------------------------------------------------
    void request(Moment now, u64 token, bool from_server, net::GroupRequest&& request, Effects& out);
    void hostRequest(Moment now, u64 token, std::string_view body, Effects& out);
    void durable(Moment now, u64 write, Effects& out);
    void heard(Moment now, GroupId group, u64 token, const Result<std::string>& reply, Effects& out);
    void tick(Moment now, Effects& out);
    // Gives what was gathered to the log as one write, unless `most_writes` are under way.
    void flush(Effects& out, u64 most_writes = 2);

    std::vector<GroupStatus> status(Moment now) const;
    // Lowest index that the log must still have, per group: what is applied in flushed rows is not needed.
    std::map<GroupId, Index> appliedIndexes() const;
    bool leads(GroupId group) const;
    // Numbers of writes: what was given out, and what is durable and therefore applied.
    u64 lastWrite() const { return lastWrite_; }
    u64 durableWrite() const { return durableWrite_; }

private:
    struct Waiting {                    // who wants the answer of an entry or of a pending request
        std::vector<u64> tokens;
    };
    struct Parked {
        u64 token = 0;
        Command command;
        std::string body;
        Monotonic until;
    };
    struct Group {
        GroupId id;
        std::unique_ptr<StateMachine> machine;
        std::unique_ptr<store::Prefixed> rows;
        Applied applied;                // as the rows have it
        Term term;
        Index last;                     // given out, perhaps not durable
        Wall lastWall;
        Age lastAge;
        Monotonic lastAt;               // when the entry with lastAge was made, by our clock
        bool leading = false, touched = false;
        std::string trouble;
        std::map<Index, Waiting> byIndex;                       // commands without a client
        std::map<std::pair<ClientId, RequestId>, Waiting> byRequest;    // in the log, or pending
        std::vector<Parked> parked;
        Index firstOfTerm;
        Age forgetFrom;                 // nothing is to be forgotten before; found again after a start
    };
    struct Logged {                     // an entry between the log and the machine
        u64 write = 0;
        Entry entry;
        std::size_t bytes = 0;
    };
    class LeaderOf;

    Group& groupOf(GroupId id);
    Group* find(GroupId id);
    Time timeOf(const Group& g, Moment now) const;
    void append(Moment now, Group& g, Entry entry);
    void discover();                    // groups that have rows
    void wait(Group& g, std::pair<ClientId, RequestId> key, u64 token, Age age, Effects& out);
    void stopGroup(Group& g, std::string why, Effects* out);
    void apply(Group& g, const Entry& entry, Effects* out);
    void applyCommand(Group& g, store::Transaction& t, const Entry& entry, Outcome& outcome, bool& keep);
    void remember(Group& g, store::Transaction& t, const Entry& entry, const Answer* answer);
    void forgetOld(Group& g, store::Transaction& t, Age now);
    bool write(Group& g, const store::Transaction& t);
    void answer(Group& g, Waiting& waiting, const Answer& answer, Age age, Effects& out);
    void lead(Moment now, Group& g, Effects& out);
    void reply(u64 token, Age age, Error error, std::string body, Effects& out);
    void retryParked(Moment now, Group& g, Effects& out);

    store::Kv& kv_;
    Factory factory_;
    Random random_;
    std::map<GroupId, std::unique_ptr<Group>> groups_;
    std::vector<Logged> gathered_;      // for the next write
    std::vector<Logged> logged_;        // written, not durable; in order
    u64 lastWrite_ = 0, durableWrite_ = 0;
    std::size_t inLog_ = 0, inLogBytes_ = 0, parked_ = 0;
};

}  // namespace skua::raft
