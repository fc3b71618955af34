// What goes into a group and what comes out of it (group.h): what is written, sent, applied, and what came of it.
#pragma once

#include <memory>
#include <string>
#include <variant>
#include <vector>
#include "core/base/errors.h"
#include "raft/entry.h"
#include "raft/group_messages.h"

namespace skua::raft {

// --- input ----------------------------------------------------------------------------------------------------

struct Tick {};
struct EndTurn {};
struct Received {
    GroupMessage message;
};
// This write and every earlier one.
struct Durable {
    u64 write = 0;
};
// What was handed out is in the rows up to here; flushed or not.
struct RowsApplied {
    Index index;
};
// Of applied entries, no more in memory than this: what is dropped goes to followers by a snapshot. What a snapshot under
// way is followed by is dropped only if `all`.
struct Keep {
    std::size_t bytes = 0;
    bool all = false;
};
// Group, index, term and times are filled in.
struct Propose {
    Entry entry;
};
// Somebody asks: the group's age shall not be long out of its log.
struct Touch {};
struct ChangeMembers {
    Members members;
};
// Store 0: to whoever has most.
struct Transfer {
    Member to;
};
// False: another shall lead; this disk is full, say.
struct MayLead {
    bool may = true;
};
// Answered in GroupEffects::reads.
struct ReadIndex {
    u64 token = 0;
};
// From nothing, once; `entry` is of kind kFormat, the same for every member.
struct MakeGroup {
    Entry entry;
};

// Liveness that the owner keeps. This peer followed us in `term` when it heard what we sent at `sent`:
struct Renewed {
    Member peer;
    Term term;
    Monotonic sent;
};
// The leader that we follow in this term is alive.
struct LeaderHeard {
    Term term;
};
// This peer does not follow us, as far as the owner knows.
struct Speak {
    Member peer;
};

// Snapshots. On the side that gets one: offered, then (if GroupEffects::install) installed.
struct SnapshotOffered {
    Member from;
    Term term;
    LogBase base;
};
struct SnapshotInstalled {
    LogBase base;
};
// On the side that sent it, well or not: the follower will say.
struct SnapshotEnded {
    Member to;
};
// A read error: nothing is applied or answered until a snapshot is fetched; or until, nobody having offered one, what is there is
// tried again: it is untouched, and has been applied up to `index`.
struct RowsLost {};
struct RowsTriedAgain {
    Index index;
};
// A human's word that the majority is gone for good: this voter is the group from here on. What the others have that it
// has not is lost, and none of them may ever come back with what it has.
struct Recover {
    bool check = false; // only: would it be refused?
};

using Input = std::variant<Tick, EndTurn, Received, Durable, RowsApplied, Propose, Touch, ChangeMembers, Transfer, MayLead,
                           ReadIndex, MakeGroup, Renewed, LeaderHeard, Speak, SnapshotOffered, SnapshotInstalled, SnapshotEnded,
                           RowsLost, RowsTriedAgain, Recover, Keep>;

// --- effects --------------------------------------------------------------------------------------------------

enum class GroupRecordKind : u8 { kEntry, kVote, kBase };
struct GroupRecord {
    GroupRecordKind kind{};
    std::shared_ptr<const std::string> payload; // encoded Entry, VoteRow or LogBase
};
struct GroupEffects {
    struct Send {
        GroupMessage message;
        u64 after = 0;
    };
    struct Read {
        u64 token = 0;
        bool ok = false; // false: ask again, elsewhere
        Index index;     // read when this is applied
    };
    std::vector<GroupRecord> records; // of writes up to `write`
    u64 write = 0;                    // 0: nothing to write
    std::vector<Send> sends;
    std::vector<Entry> committed; // durable here, in order
    std::vector<Read> reads;
    std::vector<Member> snapshots; // stream the rows, as they are applied now or later, to these
    bool install = false;          // the offered snapshot is wanted
    bool changed = false;          // role, term or leader
    Error refused;                 // of Propose, ChangeMembers, Transfer, MakeGroup, Recover
};

} // namespace skua::raft
