// How a transaction of each kind goes: what to do in a phase, and what its answer leads to. Pure functions
// of the transaction's row, one file per kind; cdc/state.cc does the rest (log, locks, retries, answers).
//
//   MakeDir      0 CreateDir ─ 1 AddEntry ─ 2 SetParent (only where a policy is not the default)
//   RemoveDir    0 LockEntry ─ 1 CloseDir* ─ 2 RemoveEntry
//   Rename       0 LockEntry from ─ 1 LockEntry to ─ 2 walk up ─ 3 CloseDir* replaced ─ 4 SetParent* ─ 5 SetEntry* to ─ 6
//   RemoveEntry Link         0 LockEntry ─ 1 AddLink ─ 2 SetEntry* Exchange     0, 1 LockEntry ─ 2, 3 walk up ─ 4, 5 SetParent* ─
//   6, 7 SetEntry* UndeleteDir  0 LockEntry ─ 1 LockPast ─ 2 OpenDir* ─ 3 SetEntry ─ 4 DropPast
//
// * from its first success on the transaction only goes forward. Before that, an error turns it back: the
// phases done are undone in falling order, and the error is the answer.
#pragma once

#include <optional>
#include <variant>
#include "cdc/schema.h"
#include "shard/messages.h"

namespace skua::cdc {

// A step for a shard.
struct Send {
    ShardId to;
    shard::StepAction action;
};
// Follow parents from `from` up to the root; meeting `avoid` is a loop. Under the move lock.
struct Walk {
    InodeId from, avoid;
};
struct Skip {};   // this phase has nothing to do here
struct Finish {}; // all phases are done
using Next = std::variant<Skip, Send, Walk, Finish>;

// The entries that it will touch.
struct EntryName {
    InodeId dir;
    std::string name;
};

template <class Op>
struct Script {
    static std::vector<EntryName> names(const Op& op);
    static Result<> check(const Op& op);              // of the request's shape
    static Next forward(const Txn& t, const Op& op);  // what phase t.phase does
    static Next backward(const Txn& t, const Op& op); // how the finished phase t.phase is undone
    // The answer of phase t.phase: takes from it what later phases need. An error here turns it back.
    static Result<> took(Txn& t, const Op& op, const std::string& reply);
    static bool pointOfNoReturn(const Txn& t, const Op& op); // the success of phase t.phase
    static std::string reply(const Txn& t, const Op& op);    // encoded Op::Reply
};

#define CDC_SCRIPT(Op)                                              \
    template <>                                                     \
    std::vector<EntryName> Script<Op>::names(const Op&);            \
    template <>                                                     \
    Result<> Script<Op>::check(const Op&);                          \
    template <>                                                     \
    Next Script<Op>::forward(const Txn&, const Op&);                \
    template <>                                                     \
    Next Script<Op>::backward(const Txn&, const Op&);               \
    template <>                                                     \
    Result<> Script<Op>::took(Txn&, const Op&, const std::string&); \
    template <>                                                     \
    bool Script<Op>::pointOfNoReturn(const Txn&, const Op&);        \
    template <>                                                     \
    std::string Script<Op>::reply(const Txn&, const Op&);
CDC_SCRIPT(MakeDir)
CDC_SCRIPT(RemoveDir)
CDC_SCRIPT(Rename)
CDC_SCRIPT(Link)
CDC_SCRIPT(Exchange)
CDC_SCRIPT(UndeleteDir)
#undef CDC_SCRIPT

// --- what several scripts share -----------------------------------------------------------------------

Send lockEntry(InodeId dir, const std::string& name, InodeId expected, bool absent);
Send unlockEntry(InodeId dir, const std::string& name);
Result<> checkDirectory(InodeId dir);
template <class Reply>
Result<Reply> replyOf(const std::string& bytes) {
    Reply reply;
    if (!wire::decode(bytes, reply)) return Error(Code::Corrupt, "a shard's reply to a step does not decode");
    return reply;
}

} // namespace skua::cdc
