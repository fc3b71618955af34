#include "shard/state.h"
#include <sys/stat.h>
#include <algorithm>
#include "core/base/probe.h"
#include "shard/expiry.h"
#include "shard/inodes.h"
#include "shard/ops/apply.h"
#include "shard/outbox.h"

namespace skua::shard {

namespace {

constexpr u8 kFirstLogged = 64;
constexpr u64 kLookEvery = 50 * kMillisecond, kPurgeLost = 5 * kSecond;
constexpr u32 kPurgeRows = 256;     // in one entry
constexpr std::size_t kWindow = 64; // messages on their way to one shard

const Error kNotFormatted(Code::Unavailable, "this shard is not formatted yet");
const Error kUndecodable(Code::Invalid, "the request does not decode");

template <class Op>
constexpr bool kServersOnly = std::is_same_v<Op, Deliver> || std::is_same_v<Op, Step>;
template <class Op>
constexpr bool kOwn = std::is_same_v<Op, Purge> || std::is_same_v<Op, Delivered>;

template <class Op>
Result<> checkSender(bool server, bool own) {
    if (kServersOnly<Op> && !server) return Error(Code::Denied, "only servers may send this");
    if (kOwn<Op> && !own) return Error(Code::Denied, "only the shard's leader proposes this");
    return Ok{};
}

template <class Op>
raft::Answer run(Context& ctx, const Op& op) {
    if (auto allowed = checkSender<Op>(ctx.server, ctx.own); !allowed) return {allowed.error(), {}};
    if constexpr (Op::kTag < kFirstLogged) return {Error(Code::Invalid, "a read is not logged"), {}};
    else if constexpr (std::is_same_v<Op, Step>) {
        auto reply = applyStep(ctx, op);
        if (!reply) return {reply.error(), {}};
        return {{}, std::move(*reply)};
    } else {
        return raft::answerOf(shard::apply<Op>(ctx, op));
    }
}

} // namespace

const ShardConfig* Shard::config(const store::Reader& rows) {
    if (!config_) config_ = Config::get(rows, {});
    return config_ ? &*config_ : nullptr;
}

raft::StateMachine::Class Shard::classify(std::string_view body) const {
    const bool logged = !body.empty() && static_cast<u8>(body[0]) >= kFirstLogged;
    return logged ? Class::kCommand : Class::kQuery;
}

bool Shard::frees(std::string_view body) const {
    const auto is = [&](auto... tags) { return !body.empty() && ((static_cast<u8>(body[0]) == tags) || ...); };
    return is(Unlink::kTag, PurgeNow::kTag, RemoveXattr::kTag, SetPolicy::kTag, KeepReservation::kTag, Hold::kTag);
}

bool Shard::background(std::string_view body) const {
    const auto is = [&](auto... tags) { return !body.empty() && ((static_cast<u8>(body[0]) == tags) || ...); };
    return is(Fate::kTag, ServiceContents::kTag, TakeGarbage::kTag, Check::kTag, ReplaceBlock::kTag, ReportBad::kTag,
              DoneGarbage::kTag, RetireService::kTag);
}

Result<> Shard::admit(const store::Reader& rows, raft::Time now, const raft::Command& command) {
    Request request;
    if (!wire::decode(command.body, request)) return kUndecodable;
    const ShardConfig* c = config(rows);
    if (!c) return kNotFormatted;
    const Reading reading{rows, now, command.client, command.server, *c, keys_, disks_.get()};
    return std::visit(
        [&]<class Op>(const Op& op) -> Result<> {
            TRY_OK(checkSender<Op>(command.server, command.own));
            return shard::admit<Op>(reading, op);
        },
        request);
}

std::optional<raft::Answer> Shard::query(const store::Reader& rows, raft::Time now, const raft::Command& command, bool) {
    Request request;
    if (!wire::decode(command.body, request)) return raft::Answer{kUndecodable, {}};
    const ShardConfig* c = config(rows);
    if (!c) return raft::Answer{kNotFormatted, {}};
    const Reading reading{rows, now, command.client, command.server, *c, keys_};
    return std::visit(
        [&]<class Op>(const Op& op) -> raft::Answer {
            if constexpr (Op::kTag < kFirstLogged) return raft::answerOf(read<Op>(reading, op));
            else return {Error(Code::Invalid, "a write is not a read"), {}};
        },
        request);
}

void Shard::apply(store::Transaction& rows, raft::Time now, const raft::Command& command, raft::Outcome& outcome) {
    Request request;
    if (!wire::decode(command.body, request)) {
        outcome.answer = raft::Answer{kUndecodable, {}};
        return;
    }
    const ShardConfig* c = config(rows);
    if (!c) {
        outcome.answer = raft::Answer{kNotFormatted, {}};
        return;
    }
    Context ctx{rows, now, command.client, command.request, command.server, command.own, *c, keys_, outcome.late, {}, {}};
    raft::Answer answer = std::visit([&](const auto& op) { return run(ctx, op); }, request);
    const bool done = answer.error.code == Code::Ok;
    // A step's refusal is remembered by its row (ops/step.cc undid the rest).
    outcome.keep = std::holds_alternative<Step>(request);
    if (!done && !outcome.keep) outcome.late.clear();
    if (done && ctx.waits_for && command.request != RequestId{} && command.client != ClientId{}) {
        outbox::answerWhenTaken(ctx, *ctx.waits_for, std::move(answer.body));
    } else {
        outcome.answer = std::move(answer);
    }
    if (leading_) {
        for (ShardId to : ctx.sent) leading_->sending[to].more = true;
        leading_->earliest.reset();
        if (std::holds_alternative<Purge>(request)) leading_->purging = false, leading_->looked = Age{};
    }
}

void Shard::format(store::Transaction& rows, raft::Time now, std::string_view bytes) {
    ShardConfig c;
    if (!wire::decode(bytes, c)) return; // stays unformatted, and says so to everybody
    Config::put(rows, {}, c);
    if (c.shard != kRoot.shard()) return;
    std::vector<raft::LateAnswer> late;
    Context ctx{rows, now, {}, {}, true, true, c, keys_, late, {}, {}};
    Inode root;
    root.mode = S_IFDIR | 0755;
    root.nlink = 2;
    root.atime = root.mtime = root.ctime = root.birth = now.wall;
    root.directory.emplace();
    root.directory->parent = kRoot;
    root.directory->own = root.directory->resolved = c.policy;
    inodes::store(ctx, kRoot, root);
}

// --- what only a leader does ---------------------------------------------------------------------------------

void Shard::started(const store::Reader& rows, raft::Time, raft::Leader&) {
    leading_.emplace();
    std::vector<std::pair<ShardId, u64>> heads;
    OutboxHeads::scan(rows, OnlyKey{}, [&](const ShardKey& key, const OutboxHead& head) {
        heads.emplace_back(key.shard, head.last);
        return true;
    });
    for (const auto& [to, last] : heads) {
        PROBE("a new leader looks at what it owes another shard");
        Sending& s = leading_->sending[to];
        s.sent = s.delivered = last;
        Outbox::scan(rows, ShardKey{to}, [&](const OutboxKey& key, const OutboxRow&) {
            s.sent = s.delivered = key.number - 1;
            return false;
        });
    }
}

void Shard::stopped() { leading_.reset(); }

void Shard::lead(const store::Reader& rows, raft::Time now, raft::Leader& leader) {
    if (!leading_) return;
    if (now.sure) purgeWhatIsDue(rows, now, leader);
    sendOutbox(rows, leader);
}

void Shard::purgeWhatIsDue(const store::Reader& rows, raft::Time now, raft::Leader& leader) {
    Leading& l = *leading_;
    if (l.purging && now.age.value < l.purge_asked.value + kPurgeLost) return;
    if (!l.purging && l.looked != Age{} && now.age.value < l.looked.value + kLookEvery) return;
    l.purging = false;
    l.looked = now.age;
    if (!l.earliest) {
        const expiry::Earliest first = expiry::earliest(rows);
        if (rows.failed()) return;
        l.earliest = first;
    }
    if (!l.earliest->due(now)) return;
    l.purging = true;
    l.purge_asked = now.age;
    leader.propose(wire::encode(Request(Purge{kPurgeRows})));
}

void Shard::sendOutbox(const store::Reader& rows, raft::Leader& leader) {
    const ShardConfig* c = config(rows);
    if (!c) return;
    for (auto& [to, s] : leading_->sending) {
        if (!s.more || s.sent - s.delivered >= kWindow) continue;
        std::vector<std::pair<OutboxKey, OutboxMessage>> next;
        const std::size_t room = kWindow - (s.sent - s.delivered);
        s.more = false;
        Outbox::scan(
            rows, ShardKey{to},
            [&](const OutboxKey& key, const OutboxRow& row) {
                if (next.size() == room) s.more = true;
                else next.emplace_back(key, row.message);
                return !s.more;
            },
            OutboxKey{to, s.sent + 1});
        for (const auto& [key, message] : next) {
            s.sent = key.number;
            const u64 token = ++lastToken_;
            leading_->calls.emplace(token, key);
            leader.call(groupOf(to), wire::encode(Request(Deliver{c->shard, key.number, message})), token);
        }
    }
}

void Shard::heard(const store::Reader&, raft::Time, u64 token, const Result<std::string>& reply, raft::Leader& leader) {
    if (!leading_) return;
    auto call = leading_->calls.find(token);
    if (call == leading_->calls.end()) return;
    const OutboxKey key = call->second;
    leading_->calls.erase(call);
    Sending& s = leading_->sending[key.to];
    if (!reply) { // unexpected: everything from here on again, at the next look
        s.sent = std::max(s.delivered, std::min(s.sent, key.number - 1));
        s.more = true;
        return;
    }
    if (key.number <= s.delivered) return;
    s.heard.insert(key.number);
    const u64 before = s.delivered;
    while (!s.heard.empty() && *s.heard.begin() == s.delivered + 1) {
        s.delivered++;
        s.heard.erase(s.heard.begin());
    }
    if (s.delivered != before) leader.propose(wire::encode(Request(Delivered{key.to, s.delivered})));
}

} // namespace skua::shard
