// Promises: what a replica may say and claim, looked at in the moment it does, not when harm has come of it.
//
//   votes     a store votes for one in a term, in all its lives; the vote is on its disk before anybody hears of it
//   acks      the very entry that a follower acknowledges is on its disk
//   commits   a leader counts only entries of its own term
//   progress  what is committed or applied here stays so, while the process lives
//   leaders   who leads a term has all that leaders of earlier terms had committed by then
//   leases    who might read by its lease is the last who could have committed anything
//
// Disk is what a machine's log would give back after a crash.
#pragma once

#include "raft/peer_messages.h"
#include "raft/server.h"
#include "tests/sim/world.h"

namespace skua::sim {

class Disk {
public:
    void wrote(const raft::RecordToWrite& record);
    // Rows on the disk are of this entry: a log that has not got it begins behind it from now on.
    void rows(GroupId group, Index index, Term term);
    // Nothing is known of entries below the first.
    const std::map<u64, Term>& terms(GroupId group) { return groups_[group].terms; }
    Index rowsOf(GroupId group) { return groups_[group].rows; }
    const raft::VoteRow& vote(GroupId group) { return groups_[group].vote; }

private:
    struct OfGroup {
        raft::VoteRow vote;
        std::map<u64, Term> terms; // by index
        Index rows;                // durable up to there, whatever the log says
    };
    std::map<GroupId, OfGroup> groups_;
};

class Promises {
public:
    // Of one life of a process.
    struct Seen {
        struct Led {
            Term term;
            Index committed;
            bool needed_rows = false;
        };
        std::map<GroupId, Led> led;
        std::map<GroupId, std::pair<Index, Index>> had; // committed, applied
    };

    // It leaves the process now.
    void sent(World& world, const raft::GroupMessage& m, const raft::Server& server, Disk& disk);
    // After a turn.
    void look(World& world, const raft::Server& server, u64 store, Monotonic now, Seen& seen);

private:
    using OfTerm = std::pair<u32, u64>; // group, term
    void voted(World& world, const raft::GroupMessage& m, u64 store, u64 vote, Disk& disk);
    void leads(World& world, const raft::Group& group, u32 id);

    std::map<std::tuple<u32, u64, u64>, u64> votes_;     // group, term, store -> the store it voted for
    std::map<OfTerm, u64> leaders_;                      // -> store
    std::map<OfTerm, std::pair<Index, Term>> committed_; // by the leader of that term -> the last, and that entry's term
    std::map<u32, u64> ready_;                           // group -> the last term in which something was committed
};

} // namespace skua::sim
