// StateMachine: what a replicated service is to its host (raft/server.h). Pure: it sees its arguments
// and nothing else, so replicas cannot drift and the simulator runs the same code.
//
//   a request comes ──classify──► kQuery     query(), on a leader that may read; nothing is logged
//                             ├─► kVolatile  tell(), changes only the leader's memory (heartbeats)
//                             └─► kCommand   admit() on the leader ─► log ─► apply() on every replica
//
// No content of a request may make any of these stop the process: refuse by an Answer. Whatever apply()
// answers with an error has changed nothing: the host drops the transaction's writes (the remembered
// answer is still stored), unless Outcome::keep. Bytes that do not decode are answered Invalid.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>
#include "core/base/random.h"
#include "core/base/result.h"
#include "core/store/kv.h"
#include "core/wire/codec.h"

namespace skua::raft {

// The two times of a log entry (metadata.md, "Time"); for queries: as an entry made now would have.
struct Time {
    Wall wall;
    Age age;
    // In lead(): the wall time is within a minute of what most of the other hosts say. Else nothing ends by it: a clock
    // that is days ahead must not end all retention.
    bool sure = true;
};

struct Command {
    ClientId client; // 0: from a server, or the leader's own
    RequestId request;
    bool server = false;   // the sender proved to be a server of this cluster, or it is the leader's own
    bool own = false;      // the leader's own proposal (Leader::propose): never from a socket
    std::string_view body; // the service's Request variant
};

struct Answer {
    Error error; // code Ok: body is the Reply
    std::string body;
};
template <class Reply>
Answer answerOf(const Result<Reply>& r) {
    if (!r) return {r.error(), {}};
    return {{}, wire::encode(*r)};
}

struct LateAnswer {
    ClientId client;
    RequestId request;
    Answer answer;
};
// What apply() says. No `answer`: the request is pending (the host remembers that; a repeat waits) until
// some later entry's outcome has it among `late`. `keep`: the writes stay although the answer is an error
// (the machine undid what failed itself, and remembers its refusal).
struct Outcome {
    std::optional<Answer> answer;
    std::vector<LateAnswer> late;
    bool keep = false;
};

// What only a leader does; its calls become effects of the host.
class Leader {
public:
    virtual ~Leader() = default;
    // An entry of our own (Command::own). Not remembered; may be lost with the leadership.
    virtual void propose(std::string body) = 0;
    // Asks another group's leader and repeats until it answers (not Busy, NotLeader, Unavailable); the
    // answer comes to StateMachine::heard with this token, on the same leadership, or never.
    virtual void call(GroupId to, std::string body, u64 token) = 0;
    // Tells a process (Format and the like): a kHost message to an address, answered to heard().
    virtual void tellHost(std::string address, std::string body, u64 token) = 0;
    virtual Random& random() = 0;
};

class StateMachine {
public:
    enum class Class : u8 { kQuery, kCommand, kVolatile };

    virtual ~StateMachine() = default;
    // Of a request's body; undecodable ones are kQuery (and get Invalid there).
    virtual Class classify(std::string_view body) const = 0;
    // Of a client's command: is it taken when the disks have little room? What deletes is, and what must not stop.
    virtual bool frees(std::string_view) const { return true; }
    // Is it of those that nobody waits for (garbage, sweeps, checks)? Such requests come last.
    virtual bool background(std::string_view) const { return false; }
    // The leader's check before it proposes, for what depends on more than state (receipts, the map).
    virtual Result<> admit(const store::Reader&, Time, const Command&) { return Ok{}; }
    virtual void apply(store::Transaction&, Time, const Command&, Outcome&) = 0;
    // None: not yet; asked again after the group applied something, and with `last` after 8 s.
    virtual std::optional<Answer> query(const store::Reader&, Time, const Command&, bool last) = 0;
    virtual Answer tell(const store::Reader&, Time, const Command&, Leader&) { return {Code::Invalid, {}}; }

    // Leading begins (after an entry of the leader's own term is applied) and ends.
    virtual void started(const store::Reader&, Time, Leader&) {}
    virtual void stopped() {}
    // After a turn that applied something of this group, and every 50 ms; where nothing was applied for 2 s, every 500 ms.
    virtual void lead(const store::Reader&, Time, Leader&) {}
    virtual void heard(const store::Reader&, Time, u64 token, const Result<std::string>& reply, Leader&) {
        (void)token;
        (void)reply;
    }
    // The rows of `meta` that a new group begins with, from HostRequest Format.
    virtual void format(store::Transaction&, Time, std::string_view config) { (void)config; }
};

} // namespace skua::raft
