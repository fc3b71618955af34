// PureCluster: shards and the coordinator as values, without hosts, logs or sockets. Requests are applied
// at once; what leaders send each other is delivered in an order drawn from a seed, sometimes twice, and any
// machine may be restarted (made anew on its rows) between two steps. For tests of what the machines do;
// what hosts do to them is the simulator's affair.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>
#include "core/base/random.h"
#include "core/net/group_caller.h"
#include "core/store/kv_memory.h"
#include "raft/state_machine.h"

namespace skua::test {

class PureCluster {
public:
    using Factory = std::function<std::unique_ptr<raft::StateMachine>(GroupId)>;

    PureCluster(u64 seed, Factory factory) : random_(seed), factory_(std::move(factory)) {}

    void add(GroupId group, const std::string& config) {
        Node& n = nodes_[group];
        n.kv = std::make_unique<store::KvMemory>();
        n.machine = factory_(group);
        store::Transaction t(*n.kv);
        n.machine->format(t, now(), config);
        CHECK(n.kv->write(t.writes()));
        LeaderOf leader(*this, group);
        n.machine->started(*n.kv, now(), leader);
    }
    void restart(GroupId group) {
        Node& n = nodes_.at(group);
        n.machine = factory_(group);
        LeaderOf leader(*this, group);
        n.machine->started(*n.kv, now(), leader);
        std::erase_if(calls_, [&](const Call& c) { return c.from == group; });
    }
    store::Reader& rows(GroupId group) { return *nodes_.at(group).kv; }

    template <class R>
    Result<typename R::Reply> ask(GroupId group, ClientId client, const R& request) {
        raft::Answer answer = askBytes(group, client, net::encodeRequest(request), false, false);
        if (answer.error.code != Code::Ok) return answer.error;
        typename R::Reply reply{};
        CHECK(wire::decode(answer.body, reply));
        return reply;
    }
    // With what the request started carried through to the end.
    raft::Answer askBytes(GroupId group, ClientId client, std::string body, bool server, bool own) {
        raft::Command c{client, RequestId{client.value ? ++requests_ : 0}, server, own, body};
        auto answer = handle(group, c);
        if (!answer) {
            settle();
            auto late = late_.find({client.value, c.request.value});
            CHECK(late != late_.end());
            answer = late->second;
            late_.erase(late);
        }
        settle();
        return *answer;
    }
    // Runs leaders until nothing more happens (age moves on where they wait for it).
    void settle() {
        for (int idle = 0; idle < 40;) {
            for (auto& [group, n] : nodes_) {
                LeaderOf leader(*this, group);
                n.machine->lead(*n.kv, now(), leader);
            }
            if (proposals_.empty() && calls_.empty()) {
                idle++;
                advance(20 * kMillisecond);
                continue;
            }
            idle = 0;
            const auto proposals = std::move(proposals_);
            proposals_.clear();
            for (const auto& [group, body] : proposals) (void)handle(group, raft::Command{{}, {}, true, true, body});
            if (!calls_.empty()) deliverOne();
            if (restarts_ && random_.oneIn(50)) {
                auto at = nodes_.begin();
                std::advance(at, static_cast<long>(random_.below(nodes_.size())));
                restart(at->first);
            }
        }
    }
    void advance(u64 ns) {
        age_ += ns;
        wall_ += ns;
    }
    raft::Time now() { return {Wall{wall_++}, Age{age_}}; }
    void allowRestarts(bool yes) { restarts_ = yes; }
    Random& random() { return random_; }

private:
    struct Node {
        std::unique_ptr<store::KvMemory> kv;
        std::unique_ptr<raft::StateMachine> machine;
    };
    struct Call {
        GroupId from, to;
        std::string body;
        u64 token = 0;
    };
    struct LeaderOf final : raft::Leader {
        LeaderOf(PureCluster& c, GroupId g) : cluster(c), group(g) {}
        void propose(std::string body) override { cluster.proposals_.push_back({group, std::move(body)}); }
        void call(GroupId to, std::string body, u64 token) override {
            cluster.calls_.push_back({group, to, std::move(body), token});
        }
        void tellHost(std::string, std::string, u64) override {}
        Random& random() override { return cluster.random_; }
        PureCluster& cluster;
        GroupId group;
    };

    std::optional<raft::Answer> handle(GroupId group, const raft::Command& c) {
        Node& n = nodes_.at(group);
        switch (n.machine->classify(c.body)) {
            case raft::StateMachine::Class::kQuery: return n.machine->query(*n.kv, now(), c, true);
            case raft::StateMachine::Class::kVolatile: {
                LeaderOf leader(*this, group);
                return n.machine->tell(*n.kv, now(), c, leader);
            }
            case raft::StateMachine::Class::kCommand: break;
        }
        if (auto ok = n.machine->admit(*n.kv, now(), c); !ok) return raft::Answer{ok.error(), {}};
        store::Transaction t(*n.kv);
        raft::Outcome out;
        n.machine->apply(t, now(), c, out);
        CHECK(!t.failed());
        if (!out.answer || out.answer->error.code == Code::Ok || out.keep) CHECK(n.kv->write(t.writes()));
        for (auto& late : out.late) late_[{late.client.value, late.request.value}] = late.answer;
        return out.answer;
    }
    void deliverOne() {
        const size_t which = random_.below(calls_.size());
        const Call call = calls_[which];
        if (!random_.oneIn(8)) calls_.erase(calls_.begin() + static_cast<long>(which)); // else it comes again
        auto answer = handle(call.to, raft::Command{{}, {}, true, false, call.body});
        CHECK(answer);
        if (random_.oneIn(16)) { // the answer was lost: the leader repeats
            calls_.push_back(call);
            return;
        }
        Node& n = nodes_.at(call.from);
        LeaderOf leader(*this, call.from);
        n.machine->heard(*n.kv, now(), call.token,
                         answer->error.code == Code::Ok ? Result<std::string>(answer->body) : Result<std::string>(answer->error),
                         leader);
    }

    Random random_;
    Factory factory_;
    std::map<GroupId, Node> nodes_;
    std::vector<std::pair<GroupId, std::string>> proposals_;
    std::vector<Call> calls_;
    std::map<std::pair<u64, u64>, raft::Answer> late_;
    u64 age_ = kHour, wall_ = 1'700'000'000 * kSecond, requests_ = 0;
    bool restarts_ = false;
};

} // namespace skua::test
