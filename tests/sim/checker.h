// Checker: are the answers that clients of one part of the tree (an arena) heard those of some order? It keeps
// every way things may stand (Config) and, at each answer, lets operations that are under way take effect in
// every order that explains it (just-in-time linearization). No way left: the run has failed.
//
// An operation whose outcome nobody heard may still happen, until kNoLonger after it was given up; one that
// was refused as Unavailable has certainly not happened.
#pragma once

#include <map>
#include <set>
#include <vector>
#include "tests/sim/model.h"
#include "tests/sim/world.h"

namespace skua::sim {

class Checker {
public:
    // `root` is there, and empty.
    Checker(World& world, std::string name, InodeId root);

    u32 invoke(Op op);
    void respond(u32 id, const Heard& heard);
    void nothingHappened(u32 id);
    void uncertain(u32 id);
    // What was given up long ago and has not begun by now never will.
    void forget();
    // Nothing is under way any more: what is uncertain has happened by now, or never.
    void settle();
    // An observation that must hold in what is left of all ways.
    void observe(Op op, const Heard& heard);

    std::size_t ways() const { return configs_.size(); }
    std::size_t pending() const { return ops_.size(); }
    u32 load() const;           // what it costs to tell apart in which order they happened
    bool onlyUncertain() const; // nobody waits for any of them
    u64 answers() const { return answers_; }
    u32 linksOf(InodeId inode) const; // after settle(): how many names it has

    static constexpr u64 kNoLonger = 20 * kMinute;

private:
    struct Known {
        Op op;
        u64 given_up = 0; // 0: its client waits
    };
    void expand(std::vector<Config> from, const std::set<u32>& which, const std::function<bool(Config&)>& take,
                std::vector<Config>& into);
    bool begun(const Progress& p) const;
    void prune();
    Circumstances now() const;
    [[noreturn]] void fail(const std::string& why, const std::vector<Config>& before);

    World& world_;
    const std::string name_;
    std::vector<Config> configs_;
    std::map<u32, Known> ops_;
    std::vector<std::pair<u32, u64>> untils_;
    std::vector<std::string> history_;
    u32 lastOp_ = 1; // 1 is the root's
    u64 answers_ = 0;
};

} // namespace skua::sim
