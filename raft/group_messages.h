// What the members of one group say to each other (group.h), and the rows that a group keeps in the log.
//
// A message names the store that it is for and the one it is from: one for a store that is no more is dropped.
// Only proven servers of the cluster may send these; still, whatever the bytes are, they stop nobody.
#pragma once

#include <algorithm>
#include <variant>
#include <vector>
#include "raft/messages.h"

namespace skua::raft {

inline constexpr std::size_t kMaxVoters = 7, kMaxLearners = 7;

struct MemberLess {
    bool operator()(const Member& a, const Member& b) const {
        return std::pair(a.server, a.store) < std::pair(b.server, b.store);
    }
};

// --- between members ----------------------------------------------------------------------------------------

// Will you (or: would you, `pre`) vote for me in the message's term? `transfer`: the leader of the term before
// wants it so, and has given up its lease.
struct AskVote {
    static constexpr u8 kTag = 1;
    bool pre = false, transfer = false;
    Index last;
    Term last_term;
    FIELDS(pre, transfer, last, last_term)
};
// Of a granted pre-vote the message's term is the one asked for, else the voter's own.
struct Vote {
    static constexpr u8 kTag = 2;
    bool pre = false, granted = false;
    FIELDS(pre, granted)
};
struct Append {
    static constexpr u8 kTag = 3;
    Index previous; // entries follow this one
    Term previous_term;
    Index committed;
    Monotonic sent;             // by the leader's clock; comes back with the answer
    std::vector<Bytes> entries; // encoded Entry each
    FIELDS(previous, previous_term, committed, sent, entries)
};
struct Appended {
    static constexpr u8 kTag = 4;
    bool agrees = false;     // the log has `previous` as the leader said, and the entries after it
    bool needs_rows = false; // the log is fine, the rows are not: send a snapshot
    Index up_to;             // agrees: the logs are equal up to here. Else: the `previous` that was refused
    Index durable;           // agrees: equal up to here, and on disk
    Index hint;              // refused: the logs part at or before this one
    Term hint_term;
    Index committed; // as the follower knows it
    Monotonic sent;  // of the Append
    FIELDS(agrees, needs_rows, up_to, durable, hint, hint_term, committed, sent)
};
// From a leader that has given up its lease: stand for the next term, now.
struct StandNow {
    static constexpr u8 kTag = 5;
    FIELDS()
};
// A follower wants to read: up to which entry must it have applied?
struct AskIndex {
    static constexpr u8 kTag = 6;
    u64 token = 0;
    FIELDS(token)
};
struct TellIndex {
    static constexpr u8 kTag = 7;
    u64 token = 0;
    bool leads = false;
    Index index;
    FIELDS(token, leads, index)
};
struct GroupMessage {
    GroupId group;
    Member from, to;
    Term term;
    std::variant<AskVote, Vote, Append, Appended, StandNow, AskIndex, TellIndex> body;
    FIELDS(group, from, to, term, body)
};

// --- on disk --------------------------------------------------------------------------------------------------

// Never forgotten: the term, and who got the vote in it (server 0, store 0: nobody yet).
struct VoteRow {
    Term term;
    Member vote;
    FIELDS(term, vote)
};
// Where a log begins: behind this entry. Also what a snapshot of the rows is of.
struct LogBase {
    Index index;
    Term term;
    Wall wall;
    Age age;
    Index config; // of the entry that made `members` so; 0 in a log without any
    Members members;
    FIELDS(index, term, wall, age, config, members)
};
// An entry that an older segment had, written again (log_cut.h): one of first … last, the log's last one then. They count once
// all are there: who crashes among them has the old ones still.
struct Carried {
    Index first, last;
    Bytes entry; // encoded Entry
    FIELDS(first, last, entry)
};

} // namespace skua::raft
