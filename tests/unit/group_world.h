// GroupWorld: one group of 3 to 5 members in virtual time, from one seed: everything that may go wrong between
// them and with their disks does, and what must hold is checked at every step.
//
//   network    loses, repeats, delays, reorders; links are cut, one way too
//   disks      writes last; a crash loses what is not durable; rows go back to their last flush; segments dropped
//   processes  crash, pause, lose their rows, come back empty under a new store id
//   clocks     10 % fast or slow, changing; wall clocks jump
//   operator   adds learners, makes them voters, removes voters, moves the leader
//
// Checked: one leader a term; an index has one entry for ever, everywhere; equal rows at equal indexes; a new
// leader has all that was acknowledged; nobody may read by a lease what lacks an acknowledged write; the two times
// grow; when the faults end all members catch up, and an idle group with liveness per pair says nothing.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <set>
#include <string>
#include <vector>
#include "raft/group.h"

namespace skua::raft {

inline constexpr GroupId kWorldGroup = groupOf(ShardId{1});
inline constexpr u64 kWorldBeat = 10 * kMillisecond, kWorldElection = 50 * kMillisecond;

class GroupWorld {
public:
    struct Counts {
        u64 events = 0, messages = 0, acked = 0, reads = 0, elections = 0, crashes = 0, snapshots = 0, members = 0, wiped = 0,
            transfers = 0;
        u64 lowest = ~0ull; // acknowledged, of the seed with the fewest
        void add(const Counts& o);
    };
    GroupWorld(u64 seed, bool trace) : seed_(seed), trace_(trace), random_(seed) {}
    // Empty: all held. Else what did not, and when.
    std::string run();
    const Counts& counts() const { return counts_; }

private:
    struct Rows {
        LogBase at;
        u64 hash = 0;
    };
    struct Writing {
        u64 number = 0;
        std::vector<GroupRecord> records;
    };
    struct Store {
        Member id;
        std::unique_ptr<Group> group;  // null: down
        std::vector<GroupRecord> disk; // durable
        std::vector<Writing> writing;
        std::vector<GroupEffects::Send> held; // for a write
        Rows rows, flushed;
        bool installing = false, wiped = false;
        u64 life = 0, installs = 0, durable = 0;
        u64 pausedUntil = 0;
        double rate = 1;
        u64 localAt = 0, trueAt = 0; // the clock was set then
        i64 wallOff = 0;
        u64 wake = 0;      // true time of the next Tick that is planned; 0: none
        bool turn = false; // EndTurn is planned
        Term led;
        std::map<u64, Index> reads; // token -> what was acknowledged when it was asked
        std::set<std::pair<Index, Term>> proposed;
    };
    struct Event {
        u64 when = 0, order = 0;
        std::function<void()> run;
        bool operator<(const Event& o) const { return std::pair(when, order) > std::pair(o.when, o.order); }
    };
    using At = std::size_t; // of a store in stores_

    void wrong(std::string what);
    void tell(At s, const std::string& what) const;
    void at(u64 when, std::function<void()> f);
    void on(At s, u64 delay, std::function<void()> f); // unless it restarts first; later while it is paused
    void runUntil(u64 when);
    bool chance(u64 percent) { return random_.below(100) < percent; }
    Moment clock(At s) const;
    u64 trueTime(At s, Monotonic local) const;

    At make(ServerId server);
    void start(At s);
    void crash(At s);
    void feed(At s, Input input);
    void carry(At s, GroupEffects& out);
    void apply(At s, const Entry& entry);
    void startWrite(At s);
    void release(At s);
    void deliver(At s, const GroupMessage& m);
    void overNetwork(const Member& from, const Member& to, std::function<void(At)> f);
    void sendSnapshot(At s, const Member& to);
    void planTick(At s);
    void beat(At s);
    void flush(At s);

    void client();
    void fault();
    void operate();
    void change(At leader);
    At leader() const; // the one of the highest term; npos
    At find(const Member& m) const;
    void heal();
    bool converged() const;

    static constexpr At npos = ~At{0};
    const u64 seed_;
    const bool trace_;
    Random random_;
    std::vector<Store> stores_;
    std::priority_queue<Event> events_;
    std::set<std::pair<Member, Member>, bool (*)(const std::pair<Member, Member>&, const std::pair<Member, Member>&)> cut_{
        [](const auto& a, const auto& b) {
            return std::tie(a.first.store, a.second.store) < std::tie(b.first.store, b.second.store);
        }};
    u64 now_ = kSecond, order_ = 0, lastStore_ = 0, lastCommand_ = 0, lastToken_ = 0;
    u64 loss_ = 0, repeat_ = 0, slow_ = 0;
    std::size_t voters_ = 3;
    bool ownHeartbeats_ = true, healed_ = false, done_ = false, quiet_ = false;
    std::string wrong_;
    std::map<Term, Member> leaders_;
    std::map<Index, std::pair<Term, u64>> entries_; // what was applied: term, hash
    std::map<Index, u64> states_;
    Index acked_;
    std::map<Term, Index> ackedIn_;
    Counts counts_;
};

} // namespace skua::raft
