// World: a few shards without hosts, in made-up time, for tests of shard/. Every entry is applied by two
// replicas of each shard, whose rows must stay equal; outbox messages go from one to the other in settle().
//
//   World w(2);                                        two shards, root in shard 0
//   InodeId f = w.file(kRoot, "a", "bytes");           committed inline
//   auto r = w.ask(ShardId{0}, Unlink{kRoot, "a", {}, false});
//   w.advance(kHour);                                  time passes, leaders purge
#pragma once

#include <gtest/gtest.h>
#include <deque>
#include <memory>
#include "core/store/kv_memory.h"
#include "shard/state.h"

namespace skua::shard {

inline constexpr ClientId kAlice{100}, kBob{200};

class World {
public:
    explicit World(u16 shards = 1, u64 retention = kHour) : keys_(ClusterId{7}, MacKey{1, 2, 3}) {
        for (u16 n = 0; n < shards; n++) {
            ShardConfig config;
            config.cluster = ClusterId{7};
            config.shard = ShardId{n};
            config.shards = shards;
            config.policy.scheme = {{1 << 17, 1, 2}, {~u64{0}, 4, 2}};
            config.policy.cell = 256 << 10;
            config.policy.span = 16 << 20;
            config.policy.inline_most = 4097;
            config.policy.retention = retention + 1;
            shards_.push_back(std::make_unique<One>(keys_, ShardId{n}));
            One& one = *shards_.back();
            for (Replica* r : {&one.a, &one.b}) {
                store::Transaction t(static_cast<const store::Reader&>(r->kv));
                r->machine.format(t, now(), wire::encode(config));
                EXPECT_TRUE(r->kv.write(t.writes()));
            }
            one.a.machine.started(one.a.kv, now(), one);
        }
    }

    const net::Keys& keys() const { return keys_; }
    raft::Time now() const { return {Wall{kBase + time_}, Age{time_}}; }
    store::KvMemory& kv(ShardId s) { return shards_[s.value]->a.kv; }
    // Messages between shards stay where they are while this is true.
    bool cut = false;

    // One request, as a client's. A write whose answer waits for another shard is answered after settle().
    template <class Op>
    Result<typename Op::Reply> ask(ShardId shard, const Op& op, ClientId client = kAlice) {
        return decoded<typename Op::Reply>(send(shard, wire::encode(Request(op)), client, false));
    }
    template <class Op>
    Result<typename Op::Reply> server(ShardId shard, const Op& op) {
        return decoded<typename Op::Reply>(send(shard, wire::encode(Request(op)), ClientId{}, true));
    }
    template <class Action>
    Result<typename Action::Reply> step(u64 txn, u32 number, const Action& action, ShardId shard = {}, u64 watermark = 0) {
        const Step request{TxnId{txn}, number, TxnId{watermark}, action};
        return decoded<typename Action::Reply>(send(shard, wire::encode(Request(request)), ClientId{}, true));
    }
    // Of a write that was not answered at once.
    const raft::Answer* lateAnswer(RequestId request) const {
        auto at = late_.find(request);
        return at == late_.end() ? nullptr : &at->second;
    }
    RequestId lastRequest() const { return RequestId{requests_}; }

    // Leaders act and messages go to and fro until nothing more happens (takes some 100 ms).
    void settle() {
        for (int quiet = 0; quiet < 2;) {
            time_ += 60 * kMillisecond;
            quiet = round() ? 0 : quiet + 1;
        }
    }
    void advance(u64 ns) {
        time_ += ns;
        settle();
    }
    void changeLeader(ShardId s) {
        One& one = *shards_[s.value];
        one.a.machine.stopped();
        one.proposals.clear();
        one.calls.clear();
        one.a.machine.started(one.a.kv, now(), one);
    }

    // --- things to have ---
    struct Ids {
        ReservationId reservation;
        u64 counter = 0;
        ShardId shard;
        InodeId file() { return InodeId::make(InodeType::kFile, counter++, shard); }
        InodeId special() { return InodeId::make(InodeType::kSpecial, counter++, shard); }
        ContentId content() { return ContentId::make(counter++, shard); }
    };
    Ids reserve(ShardId shard, u32 count = 16, ClientId client = kAlice) {
        auto r = ask(shard, ReserveIds{count}, client);
        EXPECT_TRUE(r);
        return {r->reservation, r->first, shard};
    }
    CommitFile commitOf(InodeId dir, const std::string& name, const std::string& bytes, CommitMode mode = CommitMode::kCreate,
                        ClientId client = kAlice) {
        Ids ids = reserve(dir.shard(), 2, client);
        CommitFile c;
        c.dir = dir;
        c.name = name;
        c.reservation = ids.reservation;
        c.inode = ids.file();
        c.commit_mode = mode;
        c.content.content = ids.content();
        c.content.size = bytes.size();
        c.content.inline_bytes = Bytes{bytes};
        return c;
    }
    InodeId file(InodeId dir, const std::string& name, const std::string& bytes = "bytes",
                 CommitMode mode = CommitMode::kCreate) {
        const CommitFile c = commitOf(dir, name, bytes, mode);
        auto r = ask(dir.shard(), c);
        EXPECT_TRUE(r) << r.error().message();
        return c.inode;
    }
    // A directory in any shard, as the coordinator makes it.
    InodeId directory(InodeId parent, const std::string& name, ShardId shard = {}) {
        const InodeId dir = InodeId::make(InodeType::kDirectory, ++directories_, shard);
        const u64 txn = nextTxn();
        auto made = step(txn, 0, CreateDir{dir, parent, 0755, 1, 2}, shard);
        EXPECT_TRUE(made) << made.error().message();
        auto added = step(txn, 1, AddEntry{parent, name, dir}, parent.shard());
        EXPECT_TRUE(added) << added.error().message();
        return dir;
    }
    // And removes it.
    void removeDirectory(InodeId parent, const std::string& name, InodeId dir) {
        const u64 txn = nextTxn();
        EXPECT_TRUE(step(txn, 0, LockEntry{parent, name, dir, false}, parent.shard()));
        EXPECT_TRUE(step(txn, 1, CloseDir{dir}, dir.shard()));
        EXPECT_TRUE(step(txn, 2, RemoveEntry{parent, name, true, {}}, parent.shard()));
        settle();
    }
    u64 nextTxn() { return ++txns_; }
    std::optional<Attributes> attributes(InodeId id) {
        auto r = ask(id.shard(), GetAttr{{id}});
        EXPECT_TRUE(r);
        return r->attributes.at(0);
    }
    InodeId named(InodeId dir, const std::string& name) {
        auto r = ask(dir.shard(), Lookup{dir, name});
        return r ? r->inode : InodeId{};
    }

private:
    struct Replica {
        explicit Replica(const net::Keys& keys) : machine(keys) {}
        store::KvMemory kv;
        Shard machine;
    };
    struct One final : raft::Leader {
        One(const net::Keys& keys, ShardId s) : id(s), a(keys), b(keys) {}
        void propose(std::string body) override { proposals.push_back(std::move(body)); }
        void call(GroupId to, std::string body, u64 token) override { calls.push_back({to, std::move(body), token}); }
        void tellHost(std::string, std::string, u64) override {}
        Random& random() override { return rng; }
        struct Call {
            GroupId to;
            std::string body;
            u64 token;
        };
        ShardId id;
        Replica a, b;
        std::deque<std::string> proposals;
        std::deque<Call> calls;
        Random rng{1};
    };

    template <class Reply>
    Result<Reply> decoded(const raft::Answer& answer) {
        if (answer.error.code != Code::Ok) return answer.error;
        Reply reply{};
        EXPECT_TRUE(wire::decode(answer.body, reply));
        return reply;
    }
    raft::Answer send(ShardId shard, const std::string& body, ClientId client, bool server) {
        One& one = *shards_[shard.value];
        raft::Command command{client, RequestId{server ? 0 : ++requests_}, server, false, body};
        if (one.a.machine.classify(body) == raft::StateMachine::Class::kQuery) {
            auto answer = one.a.machine.query(one.a.kv, now(), command, true);
            EXPECT_TRUE(answer);
            return *answer;
        }
        if (auto admitted = one.a.machine.admit(one.a.kv, now(), command); !admitted) return {admitted.error(), {}};
        if (auto answer = apply(one, command)) return *answer;
        if (cut) return {Error(Code::Busy, "waits"), {}};
        settle();
        const raft::Answer* late = lateAnswer(command.request);
        EXPECT_TRUE(late) << "never answered";
        return late ? *late : raft::Answer{Code::Io, {}};
    }
    std::optional<raft::Answer> apply(One& one, const raft::Command& command) {
        time_ += kMicrosecond;
        raft::Outcome outcome[2];
        int n = 0;
        for (Replica* r : {&one.a, &one.b}) {
            raft::Outcome& out = outcome[n++];
            store::Transaction t(static_cast<const store::Reader&>(r->kv));
            r->machine.apply(t, now(), command, out);
            if (out.keep || !out.answer || out.answer->error.code == Code::Ok) EXPECT_TRUE(r->kv.write(t.writes()));
            EXPECT_FALSE(r->kv.failed());
        }
        EXPECT_EQ(one.a.kv.rows(), one.b.kv.rows()) << "replicas drift";
        EXPECT_EQ(outcome[0].answer.has_value(), outcome[1].answer.has_value());
        if (outcome[0].answer) EXPECT_EQ(outcome[0].answer->body, outcome[1].answer->body);
        for (auto& l : outcome[0].late) late_.insert_or_assign(l.request, std::move(l.answer));
        return outcome[0].answer;
    }
    bool round() {
        bool any = false;
        for (auto& one : shards_) {
            one->a.machine.lead(one->a.kv, now(), *one);
            while (!one->proposals.empty()) {
                const std::string body = std::move(one->proposals.front());
                one->proposals.pop_front();
                apply(*one, {ClientId{}, RequestId{}, true, true, body});
                any = true;
            }
            while (!cut && !one->calls.empty()) {
                const One::Call call = std::move(one->calls.front());
                one->calls.pop_front();
                One& to = *shards_.at(numberOf(call.to));
                auto answer = apply(to, {ClientId{}, RequestId{}, true, false, call.body});
                any = true;
                if (answer->error.code == Code::Ok) one->a.machine.heard(one->a.kv, now(), call.token, answer->body, *one);
                else one->a.machine.heard(one->a.kv, now(), call.token, answer->error, *one);
            }
        }
        return any;
    }

    static constexpr u64 kBase = 1'700'000'000ull * kSecond;
    net::Keys keys_;
    std::vector<std::unique_ptr<One>> shards_;
    std::map<RequestId, raft::Answer> late_;
    u64 time_ = kSecond, requests_ = 0, txns_ = 0, directories_ = 0;
};

} // namespace skua::shard
