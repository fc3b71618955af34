// What hosts say to each other about groups: making them, and their state. (Messages between members of
// one group come with replication.) net::Kind::kHost; only proven servers may send these.
#pragma once

#include <algorithm>
#include <variant>
#include <vector>
#include "core/base/message.h"
#include "core/base/result.h"
#include "core/net/group.h"
#include "core/net/transport.h"
#include "core/wire/codec.h"

namespace skua::raft {

struct Member {
    ServerId server;
    u64 store = 0; // drawn when the store was made
    FIELDS(server, store)
};

// Who is in a group. A server that comes back with an empty or suspect store is a new member: its store id is.
struct Members {
    std::vector<Member> voters, learners;
    // In the entry of a recovery only (Recover): the stores of the others, which may never come back with what they have.
    std::vector<u64> shut_out = {};
    FIELDS(voters, learners, shut_out)

    bool votes(const Member& m) const { return std::find(voters.begin(), voters.end(), m) != voters.end(); }
    bool learns(const Member& m) const { return std::find(learners.begin(), learners.end(), m) != learners.end(); }
    bool has(const Member& m) const { return votes(m) || learns(m); }
};
// 1 to 7 voters, at most 7 learners, nobody twice.
bool wellFormed(const Members& members);

// Makes a group from nothing, once: idempotent if equal, else Exists.
struct Format {
    MESSAGE(1, Format)
    ClusterId cluster;
    GroupId group;
    std::vector<Member> members;
    Bytes config; // the machine's (StateMachine::format)
    Wall made;    // the first entry's, the same for every member; 0: of a group with one
    FIELDS(cluster, group, members, config, made)
    using Reply = Done;
};

struct GroupStatus {
    GroupId group;
    bool leading = false;
    Term term;
    Index last, committed, applied, flushed;
    Age age;
    std::string trouble; // why it is down; empty: it is not
    Term last_term;      // of the entry `last`
    FIELDS(group, leading, term, last, committed, applied, flushed, age, trouble, last_term)
};
// Since the process started (raft/admission.h).
struct RequestCounts {
    u64 admitted = 0;
    u64 refused = 0; // Busy, before they were looked at
    u64 joined = 0;  // reads that were answered with another one's answer
    u64 waiting = 0; // now
    FIELDS(admitted, refused, joined, waiting)
};
struct HostStatus {
    MESSAGE(2, HostStatus)
    FIELDS()
    struct Reply {
        std::vector<GroupStatus> groups;
        u64 log_bytes = 0, rows_flushed = 0;
        Member self;      // server 0: it is in no group yet
        std::string name; // "shard-0"
        bool low = false; // its disk has little room
        RequestCounts requests;
        FIELDS(groups, log_bytes, rows_flushed, self, name, low, requests)
    };
};

// To who leads the group: one step from the members `was` (else Conflict) to `becomes`: a learner in or out, a learner
// that has caught up (else Busy) into a voter, or a voter out. Done: it is in the leader's log; the heartbeats say when
// it is committed.
struct ChangeGroup {
    MESSAGE(3, ChangeGroup)
    GroupId group;
    Members was, becomes;
    FIELDS(group, was, becomes)
    using Reply = Done;
};
// To who leads the group: another voter shall lead; store 0: the one that has most. Done: it was told so.
struct MoveLeader {
    MESSAGE(4, MoveLeader)
    GroupId group;
    Member to;
    FIELDS(group, to)
    using Reply = Done;
};

// To a member of a group that has lost its majority for good, by a human's word (`skua admin recover-group`): it goes on
// alone, with all that its log has. Refused while a leader is heard. Done: it is in its log; the status says when it leads.
struct RecoverGroup {
    MESSAGE(5, RecoverGroup)
    GroupId group;
    bool check = false; // only: would it be refused?
    FIELDS(group, check)
    using Reply = Done;
};

using HostRequest = std::variant<Format, HostStatus, ChangeGroup, MoveLeader, RecoverGroup>;

} // namespace skua::raft
