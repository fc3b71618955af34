// Admission: which requests a host looks at, in what order, and which it refuses before any work is done. Pure.
//
//   arrives ─ refuse() ─► Busy, with a time to come again        nothing was decoded, nothing happened
//      │ there is room
//      └─ take() ─► a queue of its connection and lane ─ next() at the turn's end ─► the host looks at it ─► answered()
//            └ the same read waits already: joins it (one evaluation, later than every one of them has arrived)
//
// Frames of raft never wait here: they are stepped as they arrive, before a turn's requests. Those go in this order:
//
//   kSteps        of servers: coordinators' steps, messages between shards, heartbeats
//   kReads, kWrites   of clients, in turns
//   kBackground   what nobody waits for: garbage, sweeps, checks
//
// A turn takes kTurnRequests at most, and none is begun after kTurnBytes of requests and answers. Within a lane every
// connection gives one, then the next one (round robin). No class starves: of every turn kLeastClients and
// kLeastBackground are kept for those that wait, and after kTurnBytes each class still gets one. kWrites and
// kBackground wait while the log has as much of their own as keeps it busy (Hold): what is in the log is in order, and
// who comes next would wait for all of it.
#pragma once

#include <array>
#include <deque>
#include <list>
#include <optional>
#include <unordered_map>
#include <vector>
#include "core/net/group.h"

namespace skua::raft {

struct AdmissionLimits {
    std::size_t window = 512;             // requests of a client's connection that have no answer yet
    std::size_t window_bytes = 16u << 20; // in them; one may be larger if it is alone
    std::size_t queued = 65'536;          // requests of all that nobody has looked at
    std::size_t queued_bytes = 64u << 20; // in them; one may be larger if it is alone
    std::size_t turn_requests = 128;      // looked at in one turn
    std::size_t turn_bytes = 4u << 20;    // requests and answers of one turn
};
inline constexpr std::size_t kLeastClients = 32, kLeastBackground = 8; // of a turn, if so many wait
inline constexpr std::size_t kMaxJoinedBody = 4096;                    // of a read that others may join
inline constexpr u32 kRetryLeastMs = 5, kRetryMostMs = 1000, kServedPerMs = 20;

// Who asks: a connection's number is never another's in this process.
struct From {
    u64 connection = 0;
    bool server = false; // has proven to be one of the cluster's
};

class Admission {
public:
    enum class Lane : u8 { kSteps, kReads, kWrites, kBackground };
    struct Hold { // lanes that wait for the log
        bool writes = false, background = false;
    };
    struct Asked {
        u64 token = 0;
        Lane lane = Lane::kReads;
        bool from_server = false;
        net::GroupRequest request;
        std::vector<u64> also; // tokens of the same read
    };
    struct Counters {
        u64 admitted = 0, refused = 0, joined = 0; // joined ones are admitted too
    };

    explicit Admission(AdmissionLimits limits) : limits_(limits) {}

    // Not empty: so much is waiting that this one, of so many bytes, is not taken now.
    std::optional<net::RetryAfter> refuse(const From& from, bool background, std::size_t bytes);
    // Whatever refuse() says. `joins`: a read that depends on nothing but its group, its bytes and `from.server`.
    void take(u64 token, const From& from, Lane lane, bool joins, net::GroupRequest&& request, std::size_t bytes);
    void beginTurn() { turn_ = {}; }
    // The next one of this turn. `answers`: bytes in those of this turn.
    std::optional<Asked> next(std::size_t answers, Hold hold);
    // It has its answer, or never will.
    void answered(u64 token);
    // The connection has ended: what it asked and nobody looked at, and nobody else wants, is dropped.
    void gone(u64 connection, std::vector<u64>& dropped);

    bool empty() const { return queued_ == 0; }
    // Something waits that is not held.
    bool wantsTurn(Hold hold) const;
    std::size_t queued() const { return queued_; }
    std::size_t queuedBytes() const { return queuedBytes_; }
    const Counters& counters() const { return counters_; }
    net::RetryAfter retryAfter() const;

private:
    static constexpr std::size_t kLanes = 4, kClasses = 3;
    enum Class : u8 { kOfServers, kOfClients, kOfBackground };
    struct Item {
        Asked asked;
        std::size_t bytes = 0;
        u64 hash = 0; // not 0: others may join
    };
    struct Client {
        std::array<std::list<Item>, kLanes> lanes;
        std::size_t outstanding = 0, bytes = 0;
        bool gone = false;
        bool idle() const;
    };
    struct Held {
        u64 connection = 0;
        std::size_t bytes = 0;
    };
    struct Turn {
        std::size_t all = 0, bytes = 0, answers = 0; // answers: bytes in them
        std::array<std::size_t, kClasses> served{};
    };
    static Class classOf(Lane lane);
    bool waits(Lane lane, Hold hold) const; // and is not held
    bool mayServe(Lane lane, Hold hold) const;
    std::size_t keptFor(Class c, Hold hold) const;
    Asked pop(Lane lane);
    void drop(Item& item);

    const AdmissionLimits limits_;
    std::unordered_map<u64, Client> clients_;   // looked up only, never gone through
    std::unordered_map<u64, Held> held_;        // by token
    std::unordered_map<u64, Item*> joinable_;   // by hash
    std::array<std::deque<u64>, kLanes> rings_; // connections that have something in the lane, each once
    bool readsNext_ = true;
    std::size_t queued_ = 0, queuedBytes_ = 0;
    Turn turn_;
    Counters counters_;
};

} // namespace skua::raft
