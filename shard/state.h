// Shard: the state machine of one shard of the namespace. All its state is rows (schema.h); what is
// remembered beside them is the leader's, lost and found again when leading begins.
//
// A request is one of shard::Request; its tag tells reads (below 64) from logged ones. Operations stand in
// ops/, one file each. Deliver and Step are taken from servers only, Purge and Delivered from oneself.
#pragma once

#include <map>
#include <memory>
#include <set>
#include "core/net/keys.h"
#include "raft/state_machine.h"
#include "shard/disks.h"
#include "shard/expiry.h"
#include "shard/schema.h"

namespace skua::shard {

// The leader's knowledge of what it is sending to one shard.
struct Sending {
    u64 sent = 0;        // the last number given to call()
    std::set<u64> heard; // taken there, above `delivered`
    bool more = true;    // rows above `sent` may be there
    u64 delivered = 0;   // all up to here: proposed as Delivered
};
// What a leader remembers, and a new one finds again.
struct Leading {
    std::map<ShardId, Sending> sending;
    std::map<u64, OutboxKey> calls; // token -> what was sent
    Age purge_asked, looked;
    std::optional<expiry::Earliest> earliest; // none: something was applied since it was looked for
    bool purging = false;
};

class Shard final : public raft::StateMachine {
public:
    // Keys of the cluster: receipts are checked and read keys are made with them.
    // `disks`: see there; null: nothing is known of any.
    explicit Shard(const net::Keys& keys, std::shared_ptr<const Disks> disks = {}) : keys_(keys), disks_(std::move(disks)) {}

    Class classify(std::string_view body) const override;
    bool frees(std::string_view body) const override;
    bool background(std::string_view body) const override;
    Result<> admit(const store::Reader&, raft::Time, const raft::Command&) override;
    void apply(store::Transaction&, raft::Time, const raft::Command&, raft::Outcome&) override;
    std::optional<raft::Answer> query(const store::Reader&, raft::Time, const raft::Command&, bool last) override;

    void started(const store::Reader&, raft::Time, raft::Leader&) override;
    void stopped() override;
    void lead(const store::Reader&, raft::Time, raft::Leader&) override;
    void heard(const store::Reader&, raft::Time, u64 token, const Result<std::string>& reply, raft::Leader&) override;
    void format(store::Transaction&, raft::Time, std::string_view config) override;

private:
    const ShardConfig* config(const store::Reader&);
    void purgeWhatIsDue(const store::Reader&, raft::Time, raft::Leader&);
    void sendOutbox(const store::Reader&, raft::Leader&);

    net::Keys keys_;
    std::shared_ptr<const Disks> disks_;
    std::optional<ShardConfig> config_; // format()'s; never changes
    std::optional<Leading> leading_;
    u64 lastToken_ = 0; // never begins anew: an answer to an earlier leadership is none to this one
};

} // namespace skua::shard
