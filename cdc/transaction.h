// How a transaction's row moves on, purely: begin, the answer of its step, its end. Used by state.cc.
#pragma once

#include "cdc/ops/script.h"
#include "cdc/schema.h"
#include "raft/state_machine.h"

namespace skua::cdc {

// The request in a row; never of another kind than those that begin a transaction.
Result<Request> requestOf(const Txn& t);
bool beginsTransaction(const Request& request);
Result<> checkRequest(const Request& request);

// What the row's current phase is to do now. Skips phases that have nothing to do by moving `t` on.
struct Due {
    enum class What : u8 { kStep, kWalk, kAnswer } what{};
    Send send; // kStep
    Walk walk; // kWalk
};
Due due(Txn& t);

// The current step was answered. Moves `t` on: next phase, backwards, or the same again later.
void took(Txn& t, const Error& error, const std::string& reply, raft::Time now);

// The client's answer of a transaction that is due kAnswer.
raft::Answer answerOf(const Txn& t);

} // namespace skua::cdc
