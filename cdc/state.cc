#include "cdc/state.h"

#include "cdc/transaction.h"
#include "core/base/probe.h"

namespace skua::cdc {

namespace {

Meta metaOf(const store::Reader& r) { return Metas::get(r, {}).value_or(Meta{}); }

std::vector<EntryName> namesOf(const Request& request) {
    return std::visit(
        [](const auto& op) -> std::vector<EntryName> {
            using Op = std::remove_cvref_t<decltype(op)>;
            if constexpr (requires { Script<Op>::names(op); }) {
                if constexpr (!std::is_same_v<Op, Pending> && !std::is_same_v<Op, StepDone> && !std::is_same_v<Op, WalkDone>)
                    return Script<Op>::names(op);
            }
            return {};
        },
        request);
}

bool hasShard(const store::Reader& r, ShardId shard) { return shard.value < metaOf(r).config.shards; }

TxnId firstOf(const store::Reader& r, const EntryName& name) {
    TxnId first;
    Names::scan(r, NamePrefix{name.dir, name.name}, [&](const NameKey& key, const Nothing&) {
        first = key.txn;
        return false;
    });
    return first;
}

bool mayStart(const store::Reader& r, TxnId id, const std::vector<EntryName>& names) {
    for (const auto& name : names)
        if (firstOf(r, name) != id) return false;
    return true;
}

} // namespace

// A walk is worth nothing once somebody else may move directories: the lock never changes hands before its holder's end.
TxnId Coordinator::moveHolder(const store::Reader& r) const {
    TxnId holder = metaOf(r).mover;
    if (holder.value != 0) return holder;
    Moves::scan(
        r, Moves::All{},
        [&](const TxnKey& key, const Nothing&) {
            holder = key.txn;
            return false;
        },
        TxnKey{lowest_});
    return holder;
}

TxnId Coordinator::lowestUnfinished(const store::Reader& r) {
    TxnId lowest{metaOf(r).last_txn.value + 1};
    Txns::scan(
        r, Txns::All{},
        [&](const TxnKey& key, const Txn&) {
            lowest = key.txn;
            return false;
        },
        TxnKey{lowest_});
    return lowest_ = lowest;
}

raft::StateMachine::Class Coordinator::classify(std::string_view body) const {
    Request request;
    if (!wire::decode(body, request)) return Class::kQuery;
    return std::holds_alternative<Pending>(request) ? Class::kQuery : Class::kCommand;
}

bool Coordinator::frees(std::string_view body) const { return !body.empty() && static_cast<u8>(body[0]) == RemoveDir::kTag; }

Result<> Coordinator::admit(const store::Reader&, raft::Time, const raft::Command& c) {
    Request request;
    if (!wire::decode(c.body, request)) return Error(Code::Invalid, "the request does not decode");
    if (!c.own && !beginsTransaction(request)) return Error(Code::NotPermitted, "only a coordinator's leader says this");
    if (!c.own && (c.client.value == 0 || c.request.value == 0))
        return Error(Code::Invalid, "a transaction is answered later, to a client's request id");
    if (!c.own && (flights_.size() >= kMaxRunning || waiting_ >= kMaxRunning))
        return Error(Code::Busy, "too many transactions are in flight");
    return checkRequest(request);
}

void Coordinator::apply(store::Transaction& t, raft::Time now, const raft::Command& c, raft::Outcome& out) {
    Request request;
    if (!wire::decode(c.body, request)) {
        out.answer = raft::Answer{Code::Invalid, {}};
        return;
    }
    Meta meta = metaOf(t);
    if (beginsTransaction(request)) {
        if (auto ok = checkRequest(request); !ok) {
            out.answer = raft::Answer{ok.error(), {}};
            return;
        }
        if (meta.config.shards == 0) {
            out.answer = raft::Answer{Error(Code::Unavailable, "the coordinator is not formatted yet"), {}};
            return;
        }
        const TxnId id{++meta.last_txn.value};
        Txn row;
        row.client = c.client;
        row.request = c.request;
        row.body.value = c.body;
        if (std::holds_alternative<MakeDir>(request)) {
            // Directories go round all shards, so that none fills up with them.
            const u64 counter = ++meta.last_directory;
            row.dir = InodeId::make(InodeType::kDirectory, counter, ShardId{static_cast<u16>(counter % meta.config.shards)});
        }
        const auto names = namesOf(request);
        for (const auto& name : names) Names::put(t, {name.dir, name.name, id}, {});
        row.started = mayStart(t, id, names);
        Txns::put(t, {id}, row);
        Metas::put(t, {}, meta);
        if (!row.started) {
            PROBE("a transaction waits for another's name");
            waiting_++;
        }
        touch(id);
        return; // no answer yet: pending
    }
    if (!c.own) {
        out.answer = raft::Answer{Code::NotPermitted, {}};
        return;
    }
    // The leader heard something of a transaction's current step, or it is late news of an earlier one.
    TxnId id;
    u32 step = 0;
    Error error;
    std::string reply;
    if (auto* done = std::get_if<StepDone>(&request)) {
        id = done->txn;
        step = done->step;
        error = done->error;
        reply = done->reply.value;
    } else if (auto* walk = std::get_if<WalkDone>(&request)) {
        id = walk->txn;
        step = walk->step;
        error = walk->loop ? Error(Code::Invalid, "a directory cannot be moved below itself") : walk->error;
    }
    out.answer = raft::Answer{};
    auto row = Txns::get(t, {id});
    if (!row || row->step != step || !row->started) return;
    touch(id);
    took(*row, error, reply, now);
    const Due next = due(*row);
    if (next.what == Due::What::kWalk && !row->wants_move) {
        row->wants_move = true;
        if (moveHolder(t).value == 0) {
            meta.mover = id;
            Metas::put(t, {}, meta);
        }
        Moves::put(t, {id}, {});
    }
    if (next.what != Due::What::kAnswer) {
        Txns::put(t, {id}, *row);
        return;
    }
    out.late.push_back({row->client, row->request, answerOf(*row)});
    auto original = requestOf(*row);
    const auto names = original ? namesOf(*original) : std::vector<EntryName>{};
    Txns::erase(t, {id});
    for (const auto& name : names) Names::erase(t, {name.dir, name.name, id});
    if (row->wants_move) {
        const bool held = moveHolder(t) == id;
        Moves::erase(t, {id});
        if (held) { // the lowest of those that want it is next
            meta.mover = {};
            Metas::put(t, {}, meta);
            meta.mover = moveHolder(t);
            Metas::put(t, {}, meta);
            touch(meta.mover);
        }
    }
    for (const auto& name : names) { // who waited for these names
        const TxnId waiting = firstOf(t, name);
        if (waiting.value == 0) continue;
        auto other = Txns::get(t, {waiting});
        if (!other || other->started) continue;
        auto others = requestOf(*other);
        if (!others || !mayStart(t, waiting, namesOf(*others))) continue;
        PROBE("a transaction may start, now that another has ended");
        other->started = true;
        if (waiting_ > 0) waiting_--;
        Txns::put(t, {waiting}, *other);
        touch(waiting);
    }
}

std::optional<raft::Answer> Coordinator::query(const store::Reader& r, raft::Time, const raft::Command& c, bool) {
    Request request;
    if (!wire::decode(c.body, request) || !std::holds_alternative<Pending>(request)) return raft::Answer{Code::Invalid, {}};
    Pending::Reply reply;
    reply.watermark = lowestUnfinished(r);
    Txns::scan(r, Txns::All{}, [&](const TxnKey& key, const Txn& row) {
        (row.started ? reply.running : reply.waiting)++;
        if (row.retries > 3 && reply.stuck.size() < 100)
            reply.stuck.push_back("txn=" + std::to_string(key.txn.value) + " phase=" + std::to_string(row.phase) +
                                  " retries=" + std::to_string(row.retries));
        return true;
    });
    return raft::Answer{{}, wire::encode(reply)};
}

void Coordinator::started(const store::Reader&, raft::Time, raft::Leader&) { stopped(); }

void Coordinator::stopped() {
    flights_.clear();
    calls_.clear();
    all_ = true;
}

u64 Coordinator::track(TxnId id, u32 step) {
    calls_[++lastToken_] = {id, step};
    return lastToken_;
}

void Coordinator::drive(const store::Reader& r, raft::Time now, TxnId id, raft::Leader& leader) {
    auto row = Txns::get(r, {id});
    if (!row) {
        flights_.erase(id);
        return;
    }
    if (!row->started) return;
    if (auto f = flights_.find(id); f != flights_.end() && f->second.step == row->step) return; // under way
    if (now.age < row->not_before) {
        touch(id); // look again at the next tick
        return;
    }
    const Due next = due(*row);
    if (next.what == Due::What::kAnswer) return;
    if (next.what == Due::What::kWalk) {
        if (moveHolder(r) != id) { // touched again when the lock is free
            PROBE("a directory move waits for the move lock");
            return;
        }
        Flight flight{row->step, next.walk.from, next.walk.avoid, 0, true};
        flights_[id] = flight;
        shard::GetParent ask;
        ask.dir = flight.at;
        if (flight.at == flight.avoid) { // into itself
            WalkDone done;
            done.txn = id;
            done.step = row->step;
            done.loop = true;
            leader.propose(wire::encode(Request{done}));
            return;
        }
        if (!hasShard(r, ask.dir.shard())) {
            WalkDone done;
            done.txn = id;
            done.step = row->step;
            done.error = Error(Code::NotFound, "an id names a shard that is not there");
            leader.propose(wire::encode(Request{done}));
            return;
        }
        leader.call(groupOf(ask.dir.shard()), wire::encode(shard::Request{ask}), track(id, row->step));
        return;
    }
    flights_[id] = Flight{row->step, {}, {}, 0, false};
    if (!hasShard(r, next.send.to)) { // nobody would ever answer: an id of the request is made up
        StepDone done;
        done.txn = id;
        done.step = row->step;
        done.error = Error(Code::NotFound, "an id names a shard that is not there");
        leader.propose(wire::encode(Request{done}));
        return;
    }
    shard::Step step;
    step.txn = id;
    step.step = row->step;
    step.watermark = lowestUnfinished(r);
    step.action = next.send.action;
    leader.call(groupOf(next.send.to), wire::encode(shard::Request{step}), track(id, row->step));
}

void Coordinator::lead(const store::Reader& r, raft::Time now, raft::Leader& leader) {
    if (all_) {
        all_ = false;
        waiting_ = 0;
        Txns::scan(r, Txns::All{}, [&](const TxnKey& key, const Txn& row) {
            if (!row.started) waiting_++;
            PROBE("a new coordinator finds a transaction in flight");
            touched_.insert(key.txn);
            return true;
        });
    }
    const std::set<TxnId> now_due = std::move(touched_);
    touched_.clear();
    for (TxnId id : now_due) drive(r, now, id, leader);
}

void Coordinator::heard(const store::Reader& r, raft::Time, u64 token, const Result<std::string>& reply, raft::Leader& leader) {
    auto call = calls_.find(token);
    if (call == calls_.end()) return;
    const auto [id, step] = call->second;
    calls_.erase(call);
    auto flight = flights_.find(id);
    if (flight == flights_.end() || flight->second.step != step) return;
    if (!flight->second.walking) {
        StepDone done;
        done.txn = id;
        done.step = step;
        if (reply && reply->size() > kMaxStepReply) done.reply.value = {}; // nothing of ours: does not decode
        else if (reply) done.reply.value = *reply;
        else done.error = reply.error();
        leader.propose(wire::encode(Request{done}));
        return;
    }
    WalkDone done;
    done.txn = id;
    done.step = step;
    if (!reply) {
        done.error = reply.error();
    } else {
        shard::GetParent::Reply parent;
        Flight& f = flight->second;
        if (!wire::decode(*reply, parent)) done.error = Error(Code::Corrupt, "a shard's reply does not decode");
        else if (f.at != kRoot) {
            f.at = parent.parent;
            if (f.at == f.avoid) {
                PROBE("a walk up finds the directory that moves");
                done.loop = true;
            } else if (!f.at.wellFormed() || !f.at.isDirectory())
                done.error = Error(Code::NotFound, "a directory on the way up is gone");
            else if (++f.depth > kMaxDepth) done.error = Error(Code::Invalid, "the directories are nested too deeply");
            else if (f.at != kRoot && !hasShard(r, f.at.shard()))
                done.error = Error(Code::NotFound, "a directory on the way up is nowhere");
            else if (f.at != kRoot) {
                shard::GetParent ask;
                ask.dir = f.at;
                leader.call(groupOf(ask.dir.shard()), wire::encode(shard::Request{ask}), track(id, step));
                return;
            }
        }
    }
    leader.propose(wire::encode(Request{done}));
}

void Coordinator::format(store::Transaction& t, raft::Time, std::string_view config) {
    Meta meta;
    if (!wire::decode(config, meta.config)) return; // shards 0: every request is answered Unavailable
    Metas::put(t, {}, meta);
}

std::vector<std::string> problems(const store::Reader& r) {
    std::vector<std::string> found;
    Names::scan(r, Names::All{}, [&](const NameKey& key, const Nothing&) {
        if (!Txns::has(r, {key.txn}))
            found.push_back("name \"" + key.name + "\" is kept by txn " + std::to_string(key.txn.value) + ", which has ended");
        return true;
    });
    if (const TxnId mover = metaOf(r).mover; mover.value != 0 && !Moves::has(r, {mover}))
        found.push_back("the move lock is held by txn " + std::to_string(mover.value) + ", which does not want it");
    Moves::scan(r, Moves::All{}, [&](const TxnKey& key, const Nothing&) {
        if (!Txns::has(r, key))
            found.push_back("the move lock is kept by txn " + std::to_string(key.txn.value) + ", which has ended");
        return true;
    });
    return found;
}

} // namespace skua::cdc
