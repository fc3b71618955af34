// Worker: a user who works on a part of the tree of his own and on one that all share, with the production
// client library. His process may die at any moment and begin anew, as another client; what he was doing is
// then uncertain. All that he asks and hears goes to the arena's Checker.
#pragma once

#include "client/client.h"
#include "tests/sim/checker.h"
#include "tests/sim/cluster.h"

namespace skua::sim {

// A part of the tree, with what its users know of it: perhaps no longer true.
struct Arena {
    Arena(World& world, std::string name, InodeId root, std::vector<std::string> names)
        : checker(world, name, root), root(root), names(std::move(names)) {
        dirs.push_back(root);
    }
    Checker checker;
    const InodeId root;
    const std::vector<std::string> names;
    std::vector<InodeId> dirs, files, links;
    struct Place {
        InodeId dir;
        std::string name;
        InodeId inode;
    };
    std::vector<Place> seen;                                      // names that were there lately
    InodeId target, carried;                                      // the directory that something was last moved to, and what
    u32 moving = 0;                                               // how many are just moving something
    std::optional<std::pair<InodeId, shard::PastEntry>> bringing; // back: the directory and what was there
    void learn(InodeId inode);
    void learn(InodeId dir, const std::string& name, InodeId inode);
    void forget(InodeId inode);
};

// One life of a worker's process.
struct ClientLife {
    ClientLife(Cluster& cluster, u32 node, net::CallerLimits limits, i64 rate_ppm);
    ~ClientLife();
    void die(); // what it has under way ends soon; then it lets go of itself
    Task<> bury();

    World& world;
    NodeClock clock;
    SimTransport transport;
    client::Client client;
    bool dead = false;
    Event stop;
    TaskGroup tasks;
    std::shared_ptr<ClientLife> self;
    std::optional<Task<>> burial;
};

// What all workers of a run share.
struct Crew {
    u32 awake = 0;                   // hands that are not in a long sleep
    u64 rest_ns = 30 * kMillisecond; // at most, between two operations
    u32 together = 333;              // of 1000 operations: on what all share
    u32 stops = 0;                   // how often a process may still be stopped
    u64 theme = 0;                   // what they are fond of
    std::function<void()> began;     // an operation begins
    bool nights = true;              // the pace may change while all sleep
    u64 naps = 0;
    std::set<std::pair<u64, u64>> asleep; // until, number
    u64 night = 0;                        // everybody sleeps until then
    bool strict = false;                  // nothing fails any more: every answer must come, soon
    u64 operations = 0;
};

class Worker {
public:
    Worker(Cluster& cluster, Crew& crew, u32 number, Arena& own, Arena& shared);
    ~Worker();

    // Begins a life, if he has none, that does `left` operations.
    void begin();
    void crash();
    void stop(u64 ns); // his process, as by SIGSTOP
    void end();        // leaves in good order
    bool idle() const { return left == 0 && busy_ == 0; }

    u32 left = 0;
    u32 hands = 1; // of a life: what he does at once

private:
    // What is done with an answer that is none.
    enum class Took { kAnswer, kNothing };
    using Life = std::shared_ptr<ClientLife>;

    Task<> work(Life life);
    Task<> hand(Life life);
    Task<> handWork(Life life);
    Task<> nap(Life life, u64 ns);
    Task<> idles(Life life);
    u64 sleeps(u64 until);
    void wakes(u64 until, u64 number);
    Task<> one(Life life, Arena& arena);
    Task<> verify(Life life, Arena& arena, InodeId dir, std::string name);

    Task<> create(Life life, Arena& arena);
    Task<> content(Life life, Arena& arena);
    Task<> edit(Life life, Arena& arena);
    Task<> names(Life life, Arena& arena);
    Task<> moves(Life life, Arena& arena, bool exchange);
    Task<> link(Life life, Arena& arena);
    Task<> reads(Life life, Arena& arena);
    Task<> attributes(Life life, Arena& arena);
    Task<> past(Life life, Arena& arena);
    Task<> pastContents(Life life, Arena& arena);
    Task<> other(Life life, Arena& arena);

    // A new content under `id`: inline bytes, or spans that are written and perhaps staged. None: it did not work.
    Task<Result<shard::NewContent>> fresh(Life life, client::NewId id, ContentId content, Data* data);
    Task<Result<shard::SpanWithProofs>> span(Life life, client::NewId id, ContentId content, u64 offset, u64 most);

    u32 invoke(Arena& arena, Op op);
    Took took(Life life, Arena& arena, u32 id, const Error* error, Heard& heard);
    void hear(Arena& arena, u32 id, const Heard& heard);
    void remember(const shard::Open::Reply& open, u64 asked);

    InodeId anyDir(Arena& arena);
    InodeId anyFile(Arena& arena);
    std::string anyName(Arena& arena);
    // A name that is probably there, of a kind that `fits`; else any.
    Arena::Place anyPlace(Arena& arena, const std::function<bool(InodeId)>& fits);

    Cluster& cluster_;
    World& world_;
    Crew& crew_;
    const u32 number_, node_;
    Arena& own_;
    Arena& shared_;
    Life life_;
    u64 tags_ = 0;
    u32 busy_ = 0;
};

Data dataOf(const shard::Open::Reply& open);
std::string textOf(const Attributes& a);

} // namespace skua::sim
