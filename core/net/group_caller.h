// GroupCaller: asks replicated groups, exactly once (metadata.md, "Exactly once").
//
//   GroupCaller caller(clock, transport, directory, ClientId{...}, Random(seed), limits);
//   CO_TRY(auto reply, co_await caller.mutate(groupOf(dir.shard()), request));
//
// Repeats a request under the same RequestId until there is an answer: after a lost connection, Busy,
// NotLeader (following the hint), with exponential, jittered back-off, for at most limits.total_ns (0: for
// ever). Busy is never an outcome: nothing was done; if it names a time to come again, that is waited at least. Locked is an
// answer and is asked again here under a new id (of mutate(); to others it is returned). What comes back:
//   the Reply, or the Error that the machine answered;
//   Unavailable      nobody could be reached in time, certainly nothing happened
//   OutcomeUnknown   time ran out, or the answer expired, after it was sent at least once
// With client 0 (between servers) nothing is remembered: only for what is idempotent.
// One per thread; tasks of one thread share it.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>
#include "core/async/clock.h"
#include "core/base/random.h"
#include "core/net/group.h"
#include "core/net/transport.h"

namespace skua::net {

// Who may serve a group; from the cluster map, or from flags.
class GroupDirectory {
public:
    virtual ~GroupDirectory() = default;
    // Where to try, the best first. Empty: not known yet.
    virtual std::vector<Address> membersOf(GroupId group) = 0;
    // The address of a server, for a leader hint; empty if unknown.
    virtual Address addressOf(ServerId server) = 0;
    // Nobody of membersOf() answered: perhaps the map is old.
    virtual void suspect(GroupId group) { (void)group; }
};

inline constexpr u64 kMaxRetryAfterMs = 2000; // that a Busy may make us wait

struct CallerLimits {
    u64 total_ns = 4 * kMinute;    // of one request with all its repeats; 0: for ever
    u64 attempt_ns = 10 * kSecond; // of one attempt
    // Where a group has several members: after that the others are asked who leads. A leader that only is slow is asked
    // again under the same id; one that hangs has been replaced meanwhile.
    u64 member_ns = kSecond;
    u64 backoff_min_ns = 2 * kMillisecond, backoff_max_ns = 500 * kMillisecond;
};

// A request's bytes as its service's variant has them, without making the variant.
template <class R>
std::string encodeRequest(const R& request) {
    std::string out(1, static_cast<char>(R::kTag));
    wire::encode(request, out);
    return out;
}

class GroupCaller {
public:
    GroupCaller(Clock& clock, Transport& transport, GroupDirectory& directory, ClientId client, Random random,
                CallerLimits limits = {});
    // Nothing is repeated any more, whatever the limits say: this process ends.
    void end() { ending_ = true; }

    // Parameters are taken by value: the coroutine outlives the statement that made them.
    template <class R>
    Task<Result<typename R::Reply>> mutate(GroupId group, R request) {
        const std::string body = encodeRequest(request);
        CO_TRY(std::string bytes, co_await run(group, body, client_.value != 0));
        typename R::Reply reply{};
        if (!wire::decode(bytes, reply)) co_return Error(Code::Corrupt, "a reply that does not decode");
        co_return reply;
    }
    // `waits`: the answer may rightly take until attempt_ns (a long-poll).
    template <class R>
    Task<Result<typename R::Reply>> query(GroupId group, R request, bool waits = false) {
        const std::string body = encodeRequest(request);
        CO_TRY(std::string bytes, co_await run(group, body, false, waits));
        typename R::Reply reply{};
        if (!wire::decode(bytes, reply)) co_return Error(Code::Corrupt, "a reply that does not decode");
        co_return reply;
    }
    // The untyped form: the request's bytes (tag first), the reply's bytes.
    Task<Result<std::string>> run(GroupId group, std::string body, bool remembered, bool waits = false);

    ClientId client() const { return client_; }
    void setLimits(CallerLimits limits) { limits_ = limits; }
    const CallerLimits& limits() const { return limits_; }
    u64 repeats() const { return repeats_; } // attempts after the first, for metrics

private:
    struct Heard { // of a group's age
        Age age;
        Monotonic at;
    };
    struct Sent { // what became of one id's attempts
        bool waits = false;
        bool maybe_received = false;
    };
    Task<Result<std::string>> attempts(GroupId group, const std::string& body, RequestId id, Monotonic deadline, Sent& sent);
    Task<Result<GroupReply>> once(GroupId group, GroupRequest request, Sent& sent);
    Task<Result<Age>> freshAge(GroupId group, Monotonic deadline);
    Task<> backOff(u32 attempt, u64 least_ns = 0);
    bool past(Monotonic deadline) { return ending_ || (deadline.value != 0 && clock_.now() >= deadline); }

    Clock& clock_;
    Transport& transport_;
    GroupDirectory& directory_;
    const ClientId client_;
    Random random_;
    CallerLimits limits_;
    u64 lastRequest_ = 0, repeats_ = 0;
    bool ending_ = false;
    std::set<u64> unanswered_;
    std::map<u32, Heard> heard_;    // by group
    std::map<u32, Address> leader_; // by group: who answered last
    std::map<u32, Address> hung_;   // by group: who did not, last: is asked after the others
};

} // namespace skua::net
