// Entry: one record of a group's log, and the rows that the host keeps beside a machine's.
#pragma once

#include "core/net/group.h"
#include "core/store/table.h"
#include "raft/messages.h"
#include "raft/state_machine.h"

namespace skua::raft {

enum class EntryKind : u8 {
    kEmpty = 0,   // begins a term; keeps the age going
    kCommand = 1, // a request: apply()
    kFormat = 2,  // the group's first: Format
    kMembers = 3, // who is in the group from here on: Members (group_messages.h)
};

struct Entry {
    GroupId group;
    Index index;
    Term term;
    Wall wall; // strictly increasing within the group
    Age age;
    EntryKind kind{};
    ClientId client;
    RequestId request, lowest;
    Age base;
    bool server = false, own = false;
    Bytes payload;
    FIELDS(group, index, term, wall, age, kind, client, request, lowest, base, server, own, payload)
};

// --- rows of the host, under a letter that no machine uses ------------------------------------------------

struct OnlyKey {
    FIELDS()
};
// Written in the batch of each entry's effect.
struct Applied {
    Index index;
    Term term;
    Wall wall;
    Age age;
    ClusterId cluster;
    std::vector<Member> members;
    Bytes config; // Format's, to tell a repeat from another one
    std::vector<Member> learners;
    Index configuration;       // of the entry that made the members so
    std::vector<u64> shut_out; // stores of a past that the group has left (skua admin recover-group)
    FIELDS(index, term, wall, age, cluster, members, config, learners, configuration, shut_out)
};
using AppliedRow = store::Table<'\x01', OnlyKey, Applied>;
// There while rows of a snapshot are written over what was there: they are nobody's. Never sent.
struct Installing {
    u64 number = 0;
    FIELDS(number)
};
using InstallingRow = store::Table<'\x05', OnlyKey, Installing>;

struct AnswerKey {
    ClientId client;
    RequestId request;
    FIELDS(client, request)
};
struct ClientKey {
    ClientId client;
    FIELDS(client)
};
struct StoredAnswer {
    bool pending = false; // a transaction runs for it
    Error error;
    Bytes body;
    Age until; // it may be forgotten then; not while it is pending
    FIELDS(pending, error, body, until)
};
using Answers = store::Table<'\x02', AnswerKey, StoredAnswer>;
struct ClientRow {
    RequestId lowest;  // unanswered: below it answers are forgotten and requests refused
    Age until;         // the row may go then
    RequestId swept;   // answers below it are gone, but for pending ones
    RequestId highest; // of all that have an answer, or had one; 0: not known
    // A new request's: no need to look for it among millions of rows.
    bool knows(RequestId r) const { return highest.value == 0 || r <= highest; }
    FIELDS(lowest, until, swept, highest)
};
using Clients = store::Table<'\x03', ClientKey, ClientRow>;
// When a client's answers are looked at: each row of Clients has one of these.
struct ForgetKey {
    Age at;
    ClientId client;
    FIELDS(at, client)
};
struct Nothing {
    FIELDS()
};
using Forgets = store::Table<'\x04', ForgetKey, Nothing>;

inline constexpr u64 kRepeatFor = 5 * kMinute; // a request's base may be this old
inline constexpr u64 kRemember = 10 * kMinute; // an answer is kept this long

} // namespace skua::raft
