// World: virtual time of one simulated run, and what everything in it shares: one generator, one order of
// events, the faults that are on, and the story so far.
//
//   World world(seed, trace);
//   world.at(ns, [] { ... });            once, then; among equals the first that was said
//   NodeClock clock(world, ...);         a process's own clocks: they may run fast, slow, or be off
//   while (world.step()) ...
//
// Same seed, same story: nothing here or above looks at real time, at addresses or at unordered containers.
#pragma once

#include <fmt/core.h>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>
#include "core/async/clock.h"
#include "core/base/random.h"

namespace skua::sim {

// What may go wrong just now. All zero: nothing.
struct Faults {
    u32 lose = 0, repeat = 0, delay = 0; // of 1000 messages
    u32 slow_disk = 0;                   // of 1000 writes to a log
    bool crashes = false;
    u64 latency = 300 * kMicrosecond; // of a message, at most
    u32 crash_busy = 0;               // of 1000 moments at which a server has just begun something
    u32 late_votes = 0;               // of 1000 questions for a vote
};

// How often something happened, over a batch of runs.
using Counts = std::map<std::string, u64>;

class World {
public:
    World(u64 seed, bool trace, Counts& counts) : random(seed), seed_(seed), trace_(trace), counts_(counts) { current_ = this; }
    ~World() { current_ = nullptr; }
    World(const World&) = delete;

    u64 now() const { return now_; }
    u64 seed() const { return seed_; }
    void at(u64 when, std::function<void()> what);
    void after(u64 ns, std::function<void()> what) { at(now_ + ns, std::move(what)); }
    // One event; false: nothing will ever happen again.
    bool step();
    void runUntil(u64 when);
    // Until `done`, at most `limit_ns`; false: it did not come.
    bool runUntil(const std::function<bool()>& done, u64 limit_ns);

    template <class... A>
    void tell(fmt::format_string<A...> f, A&&... a) {
        line(fmt::format(f, std::forward<A>(a)...));
    }
    void count(const std::string& what) { counts_[what]++; }
    // Tells the last events, why, and the seed, and ends the process: coroutines cannot be thrown through.
    [[noreturn]] void fail(const std::string& why);
    // The same for the world of this process, of a CHECK that failed or a bad address; does not end it.
    static void tellEnd(const char* why);
    // How main() was told to run, for the command that replays it.
    static inline std::string replay_flags;

    bool chance(u32 of_1000) { return of_1000 != 0 && random.below(1000) < of_1000; }

    Random random;
    Faults faults;
    bool quiet = false; // hours pass: ticks and heartbeats are seldom
    u64 events = 0;
    u64 print() const { return print_; } // of the whole story

private:
    friend class NodeClock;
    struct Event {
        std::function<void()> what;
        Timer* timer = nullptr;
        class NodeClock* clock = nullptr;
    };
    using Key = std::pair<u64, u64>;
    void line(std::string text);
    static inline World* current_ = nullptr;

    const u64 seed_;
    const bool trace_;
    Counts& counts_;
    u64 now_ = 0, order_ = 0, print_ = 14695981039346656037ull;
    std::map<Key, Event> events_;
    std::deque<std::string> lately_;
};

// The clocks of one life of a process. `rate_ppm`: how much faster than the world's its monotonic one runs.
class NodeClock final : public Clock {
public:
    NodeClock(World& world, i64 rate_ppm, u64 monotonic_base, i64 wall_offset_ns)
        : world_(world), rate_ppm_(rate_ppm), base_(monotonic_base), wall_offset_(wall_offset_ns), from_(world.now()) {}
    ~NodeClock();
    Monotonic now() override;
    Wall wall() override;
    // The process is stopped (SIGSTOP) until then: its timers fire late, its clock goes on.
    void stopUntil(u64 when) { stopped_until_ = when; }
    u64 stoppedUntil() const { return stopped_until_; }
    void setWall(i64 offset_ns) { wall_offset_ = offset_ns; }

private:
    friend class World;
    void insert(Timer& t) override;
    void remove(Timer& t) override;
    void fire(Timer& t);

    World& world_;
    const i64 rate_ppm_;
    const u64 base_;
    i64 wall_offset_;
    const u64 from_;
    u64 stopped_until_ = 0;
    std::map<Timer*, World::Key> where_; // only looked up, never walked
};

inline constexpr u64 kBegin = 1'700'000'000 * kSecond; // of wall time

} // namespace skua::sim
