// Services: talks to block services, and remembers how well each of them does.
//
//   CO_TRY(auto answer, co_await services.ask(id, request, {}, 5 * kSecond));     answer.reply, answer.payload
//
// Latencies and failures are kept per disk. One that failed is doubtful until it answers again (it is probed
// in the background, after 1 s, doubling to 30 s): readers take others at once, writers place elsewhere.
// Answers such as NotFound or Corrupt are answers, not failures. Busy is repeated here until the limit. One that stays
// away is worth waiting for only so long (Patience): then it is `away`, and who needs it fails at once; a hard mount waits as
// long as nobody has said that it is dead (DiskWait). What outlives its caller (hedged reads, slow writes, reports) runs in
// background(): whoever spawns there owns its state by shared_ptr.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <vector>
#include "blocks/messages.h"
#include "client/cluster.h"
#include "core/data/placement.h"

namespace skua::client {

class Services {
public:
    // How long one that fails may still come back: one that refuses connections, and one that says nothing.
    struct Patience {
        u64 refused_ns = 4 * kSecond, silent_ns = 10 * kSecond;
        u64 place_ns = 5 * kSecond; // writers, for more disks than answer
        bool hard = false;          // whoever is not lost() is waited for, however long that takes
    };
    Services(Clock& clock, net::Transport& transport, Cluster& cluster, Random random, Patience patience);

    template <class R>
    struct Answer {
        typename R::Reply reply;
        Buffer payload;
    };
    // NotFound with the service's id: not in the map. Unavailable, OutcomeUnknown: it failed.
    template <class R>
    Task<Result<Answer<R>>> ask(BlockServiceId service, R request, Buffer payload, u64 limit_ns) {
        const std::string body = net::encodeRequest(request);
        CO_TRY(net::Message message, co_await call(service, body, std::move(payload), limit_ns));
        Answer<R> answer;
        if (!wire::decode(message.body, answer.reply)) co_return Error(Code::Corrupt, "a block service's reply does not decode");
        answer.payload = std::move(message.payload);
        co_return answer;
    }

    // Not to be asked if there are others: it failed lately, or the map says that it is gone.
    bool doubtful(BlockServiceId service);
    void failed(BlockServiceId service, bool refused_connection = false);
    // Doubtful for longer than patience lasts, or the map says that it is dead. It is probed every second.
    bool away(BlockServiceId service);
    void giveUp(BlockServiceId service); // patience is over, if it fails
    // The map says that it is dead or removed: not even a hard mount waits for it.
    bool lost(BlockServiceId service);
    bool hard() const { return patience_.hard && !ending_; }
    void end() { ending_ = true; } // nobody is waited for any more
    // Told what is missing when somebody has waited for disks (DiskWait) for a second, and "" when nobody does any more.
    void setWaiting(std::function<void(const std::string&)> told) { waitingTold_ = std::move(told); }
    // "disk 3 (blocks-2)", for people.
    std::string describe(BlockServiceId service);
    // It takes no blocks of so many bytes (0: none at all): no candidate for those for 5 s.
    void refused(BlockServiceId service, u64 bytes);
    // Where blocks can go now; rebuilt when the map changes. Latencies are as seen from here.
    const std::vector<Candidate>& candidates();
    // Those too that failed lately but that the map calls up: better tried than a block left out.
    std::vector<Candidate> lastCandidates();
    // What could be written to, for who finds too few candidates for blocks of so many bytes.
    struct Shortage {
        u32 domains = 0;   // failure domains that there are
        u32 live = 0;      // of those, with a disk that answers and takes blocks, if it has room
        u32 hoped = 0;     // of those, with such a disk or one that does not answer and is not lost
        u32 with_room = 0; // of those, that have room
        std::string why;   // "; do not answer: 2 5; full: 3", or empty
    };
    Shortage shortage(u64 bytes);
    // The largest block that so many failure domains take now, by what they report; ~0: too few of them answer to say.
    u64 roomIn(u32 domains);
    // Where that is so little that others may have taken it since it was heard, or was heard before a pause: asks anew, once a
    // second, and waits 200 ms at most.
    Task<> freshenRoom(u64 room);
    // Too few are live: whether they are worth waiting for. Only for place_ns since it began, whoever waits: then false.
    bool waitForMore();
    // After this long without an answer another one is asked: 3 x the 95th percentile of reads, 30 ms..700 ms.
    u64 hedgeAfter() const;
    // At most once a second: map and hints are worth asking for again.
    bool mayRefresh();
    // Takes one of the permits for extra reads (at most 5 % of all, and a few at the start).
    bool mayHedge();

    // Tells the content's shard that a block is bad or missing; each block once in ten minutes.
    using Report = std::function<Task<>(BlockServiceId, BlockId)>;
    void setReport(Report report) { report_ = std::move(report); }
    void reportBad(BlockServiceId service, const BlockId& block);

    TaskGroup& background() { return background_; }
    Random& random() { return random_; }
    Clock& clock() { return clock_; }
    Cluster& cluster() { return cluster_; }

    struct Stats {
        u64 calls = 0, failures = 0, hedges = 0, degraded = 0, bad_pages = 0, rewritten = 0, left_out = 0;
    };
    Stats stats;

private:
    friend class DiskWait;
    void waitBegins(const std::string& missing);
    void waitEnds();

    struct Health {
        u64 latency_ns = 0;   // moving average
        u32 failures = 0;     // in a row
        bool refuses = false; // the last of them: a connection was refused
        bool givenUp = false; // somebody waited for it in vain
        Monotonic failing_since;
        Monotonic answered; // last
        Monotonic probe_at; // while failures != 0: when to ask how it is
        Monotonic probed;   // last
        Monotonic refused_until;
        u64 refused_bytes = 0; // until then
        bool probing = false;
        bool takesNothing(u64 now) const { return refused_until.value > now && refused_bytes == 0; }
    };
    Task<Result<net::Message>> call(BlockServiceId service, std::string body, Buffer payload, u64 limit_ns);
    void answered(BlockServiceId service, u64 ns, bool read);
    Task<> probe(BlockServiceId service);
    void startProbe(BlockServiceId service, Health& health);
    static Task<> refreshMap(Cluster& cluster, std::shared_ptr<Event> done);

    Clock& clock_;
    net::Transport& transport_;
    Cluster& cluster_;
    Random random_;
    const Patience patience_;
    bool ending_ = false;
    std::map<u32, Health> health_;
    std::vector<Candidate> candidates_;
    u64 candidatesEdition_ = ~0ull;
    Monotonic candidatesAt_, refreshedAt_, freshenAgain_;
    Monotonic shortSince_, shortAt_; // too few were live: first, last
    std::vector<u64> roomByDomain_;  // of the candidates', the largest first
    std::vector<u64> reads_;         // a ring of the last latencies
    std::size_t nextRead_ = 0;
    u64 percentile_ = 0;       // the 95th of them; 0: too few
    u64 hedgeTokens_ = 8 * 20; // a read earns 1, a hedge costs 20
    std::map<BlockId, Monotonic> reported_;
    Report report_;
    std::function<void(const std::string&)> waitingTold_;
    u32 waits_ = 0;
    Monotonic waitsSince_;
    TaskGroup background_;
};

// In the scope of who waits for disks that are away, on a hard mount: the first that has waited for a second is said in the
// log, and that the last one has ended.
class DiskWait {
public:
    explicit DiskWait(Services& services) : services_(services) {}
    ~DiskWait() {
        if (told_) services_.waitEnds();
    }
    DiskWait(const DiskWait&) = delete;
    // Before each time that it is waited.
    void waits(const std::string& missing);

private:
    Services& services_;
    Monotonic since_;
    bool told_ = false;
};

} // namespace skua::client
