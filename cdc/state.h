// The coordinator: what touches two directories, as durable steps (design: metadata.md).
//
// A transaction is a row from its Begin (the client's own request, logged) to its end; its answers come as
// logged StepDone entries, and a step is sent only when the entry that decides it is applied. So a new
// leader goes on from the rows alone: it sends each transaction's current step again, and the shard
// answers what it answered before. Only a shard's answer decides, never time.
//
//   request ─apply─► Txn row ─(earlier ones of its entries ended)─► phase 0, 1, 2 … ─► answer, row gone
//                                    an error before the point of no return: … 2, 1, 0 backwards ─► error
//                                    an error after it: the same phase again, later, with a new step number
//
// Threads: the host's one. Rows: cdc/schema.h. Scripts of the kinds: cdc/ops/.
#pragma once

#include <map>
#include <set>
#include "cdc/messages.h"
#include "cdc/ops/script.h"
#include "cdc/schema.h"
#include "raft/state_machine.h"

namespace skua::cdc {

// One after the other of a transaction; the leader waits this long (age) before it asks again after an
// unexpected answer past the point of no return.
inline constexpr u64 kRetryNs = 100 * kMillisecond, kRetryMostNs = 10 * kSecond;
inline constexpr u32 kMaxRunning = 10'000; // more are answered Busy before they are logged
inline constexpr std::size_t kMaxStepReply = 64u << 10;
inline constexpr u32 kMaxDepth = 4096; // of a walk: paths have at most 4,096 bytes

class Coordinator final : public raft::StateMachine {
public:
    Class classify(std::string_view body) const override;
    bool frees(std::string_view body) const override;
    Result<> admit(const store::Reader& r, raft::Time now, const raft::Command& c) override;
    void apply(store::Transaction& t, raft::Time now, const raft::Command& c, raft::Outcome& out) override;
    std::optional<raft::Answer> query(const store::Reader& r, raft::Time now, const raft::Command& c, bool last) override;
    void started(const store::Reader& r, raft::Time now, raft::Leader& leader) override;
    void stopped() override;
    void lead(const store::Reader& r, raft::Time now, raft::Leader& leader) override;
    void heard(const store::Reader& r, raft::Time now, u64 token, const Result<std::string>& reply,
               raft::Leader& leader) override;
    void format(store::Transaction& t, raft::Time now, std::string_view config) override;

private:
    // What the leader has under way for a transaction; forgotten with the leadership.
    struct Flight {
        u32 step = 0;
        InodeId at, avoid; // of a walk
        u32 depth = 0;
        bool walking = false;
    };
    struct Call {
        TxnId txn;
        u32 step = 0;
    };
    void drive(const store::Reader& r, raft::Time now, TxnId id, raft::Leader& leader);
    u64 track(TxnId id, u32 step);
    TxnId lowestUnfinished(const store::Reader& r);
    TxnId moveHolder(const store::Reader& r) const;

    // Who follows looks at nothing: all_ is set for when it leads.
    void touch(TxnId id) {
        if (!all_) touched_.insert(id);
    }
    std::set<TxnId> touched_; // to look at in the next lead(); all rows after a change of leader
    std::map<TxnId, Flight> flights_;
    std::map<u64, Call> calls_; // by token
    u64 lastToken_ = 0;
    TxnId lowest_;    // no row is below: scans begin here and not among the tombstones
    u32 waiting_ = 0; // rows that have not started; counted anew with all_
    bool all_ = true; // touched_ is not complete: look at every row
};

// What is always true of the rows; problems in words (tests, fsck).
std::vector<std::string> problems(const store::Reader& r);

} // namespace skua::cdc
