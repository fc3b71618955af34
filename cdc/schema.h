// What the coordinator keeps: only the transactions in flight, and what they wait for.
#pragma once

#include "cdc/messages.h"
#include "core/store/table.h"

namespace skua::cdc {

// Where a transaction is. Phases are each kind's own (cdc/ops/<kind>.cc); `step` numbers what was sent, so
// that forward, backward and repeated steps all differ.
struct Txn {
    ClientId client;
    RequestId request;
    Bytes body;              // the Request
    bool started = false;    // nobody earlier names one of its entries
    bool wants_move = false; // it asked for the move lock
    u8 phase = 0;
    bool back = false;  // it is being undone
    bool fixed = false; // past the point of no return: only forward
    u32 step = 0;
    u32 retries = 0;           // of the current phase
    Age not_before;            // of the next try
    InodeId there_a, there_b;  // what the two locked names named
    Policy policy_a, policy_b; // resolved, of the two directories
    InodeId dir;               // a directory that is being made
    Attributes made;
    Error failure; // why it is undone
    FIELDS(client, request, body, started, wants_move, phase, back, fixed, step, retries, not_before, there_a, there_b, policy_a,
           policy_b, dir, made, failure)
};
struct TxnKey {
    TxnId txn;
    FIELDS(txn)
};
using Txns = store::Table<'t', TxnKey, Txn>;

// Every entry that an unfinished transaction names; the lowest transaction of an entry may run.
struct NameKey {
    InodeId dir;
    std::string name;
    TxnId txn;
    FIELDS(dir, name, txn)
};
struct NamePrefix {
    InodeId dir;
    std::string name;
    FIELDS(dir, name)
};
struct Nothing {
    FIELDS()
};
using Names = store::Table<'n', NameKey, Nothing>;

// Who wants the move lock. Who has it is in Meta: it keeps it to its end, also when a lower one comes to want it later.
using Moves = store::Table<'v', TxnKey, Nothing>;

struct Meta {
    CoordinatorConfig config;
    TxnId last_txn;
    u64 last_directory = 0; // counter of directory ids; 0 is the root's
    TxnId mover;            // has the move lock; 0: the lowest that wants it, if any
    FIELDS(config, last_txn, last_directory, mover)
};
struct MetaKey {
    FIELDS()
};
using Metas = store::Table<'m', MetaKey, Meta>;

} // namespace skua::cdc
