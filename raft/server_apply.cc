// Server: what is durable is applied in order, each entry one batch: effect, remembered answer, applied
// index. The only writer of rows.
#include <algorithm>
#include "core/base/probe.h"
#include "raft/server.h"
#include "raft/server_leader.h"

namespace skua::raft {

bool Server::write(Replica& g, const store::Transaction& t) {
    store::Batch batch;
    const std::string prefix = prefixOf(g.id);
    for (const auto& [key, value] : t.writes()) batch.emplace(prefix + key, value);
    return kv_.write(batch);
}

// Answers live ten minutes of age. A client's are looked at when the oldest may be due; a bounded number goes with each entry.
void Server::forgetOld(Replica& g, store::Transaction& t, Age now) {
    if (now < g.forgetFrom) return;
    std::vector<ForgetKey> due;
    // From where the last look ended: below are only the tombstones of what was forgotten.
    Age next{now.value + kRemember};
    Forgets::scan(
        t, Forgets::All{},
        [&](const ForgetKey& key, const Nothing&) {
            next = key.at;
            if (key.at > now) return false;
            due.push_back(key);
            return due.size() < kForgetClients;
        },
        ForgetKey{g.forgetFrom, {}});
    for (const ForgetKey& key : due) {
        Forgets::erase(t, key);
        const Age again = forgetAnswers(t, key.client, now);
        if (again == Age{}) continue;
        Forgets::put(t, {again, key.client}, {});
        next = std::min(next, again);
    }
    g.forgetFrom = next;
}

// Of one client; when it is to be looked at again, 0: never, nothing of it is left.
Age Server::forgetAnswers(store::Transaction& t, ClientId client, Age now) {
    const auto row = Clients::get(t, {client});
    if (!row) return {};
    std::vector<AnswerKey> old;
    std::size_t seen = 0;
    bool pending = false, more = false;
    Age again = row->until;
    Answers::scan(
        t, ClientKey{client},
        [&](const AnswerKey& key, const StoredAnswer& stored) {
            more = ++seen > kForgetAnswers || (!stored.pending && stored.until > now);
            if (more) again = seen > kForgetAnswers ? now : stored.until;
            else if (stored.pending) pending = true;
            else old.push_back(key);
            return !more;
        },
        AnswerKey{client, row->swept}); // lower ones are gone
    for (const AnswerKey& key : old) {
        PROBE("an answer is forgotten: ten minutes of age are over");
        Answers::erase(t, key);
    }
    if (more && again <= now && old.empty()) again = Age{now.value + kMinute}; // all of these are pending
    if (more) return again;
    if (pending) return Age{now.value + kRemember};
    if (row->until > now) return row->until;
    Clients::erase(t, {client});
    return {};
}

// Stores an answer (none: pending) beside its effect, and drops what the client said it will not ask again.
void Server::remember(store::Transaction& t, const Entry& entry, const Answer* answer) {
    auto known = Clients::get(t, {entry.client});
    ClientRow row = known.value_or(ClientRow{});
    row.lowest = std::max(row.lowest, std::min(entry.lowest, entry.request));
    if (row.swept < row.lowest) {
        std::vector<AnswerKey> below;
        RequestId swept = row.lowest;
        Answers::scan(
            t, ClientKey{entry.client},
            [&](const AnswerKey& key, const StoredAnswer& stored) {
                if (key.request >= row.lowest) return false;
                if (below.size() == kForgetAnswers) { // the next entry goes on there
                    swept = key.request;
                    return false;
                }
                if (!stored.pending) below.push_back(key);
                return true;
            },
            AnswerKey{entry.client, row.swept}); // lower ones went before: there are only tombstones
        if (!below.empty()) PROBE("answers are dropped that their client has heard");
        for (const AnswerKey& key : below) Answers::erase(t, key);
        row.swept = swept;
    }
    row.until = Age{entry.age.value + kRemember};
    if (!known || row.highest.value != 0) row.highest = std::max(row.highest, entry.request);
    Clients::put(t, {entry.client}, row);
    if (!known) Forgets::put(t, {row.until, entry.client}, {});
    if (answer && entry.request < row.swept) return Answers::erase(t, {entry.client, entry.request}); // nobody asks for it again
    StoredAnswer stored;
    stored.pending = answer == nullptr;
    if (answer) {
        stored.error = answer->error;
        stored.body.value = answer->body;
        stored.until = row.until;
    }
    Answers::put(t, {entry.client, entry.request}, stored);
}

std::optional<StoredAnswer> Server::answerOf(const store::Reader& rows, const std::optional<ClientRow>& client,
                                             const AnswerKey& key) {
    if (client && !client->knows(key.request)) return std::nullopt;
    return Answers::get(rows, key);
}

void Server::applyCommand(Replica& g, store::Transaction& t, const Entry& entry, Outcome& outcome, bool& keep) {
    const bool remembered = entry.client.value != 0 && entry.request.value != 0;
    if (remembered) { // checked before it was logged, and again here: the log may hold it twice
        const auto row = Clients::get(t, {entry.client});
        if (auto stored = answerOf(t, row, {entry.client, entry.request})) {
            if (!stored->pending) outcome.answer = Answer{stored->error, stored->body.value};
            keep = false;
            return;
        }
        if ((row && entry.request < row->lowest) || entry.age.value > entry.base.value + kRepeatFor) {
            outcome.answer = Answer{Error(Code::Expired, "it came too late"), {}};
            keep = false;
            return;
        }
    }
    const Command command{entry.client, entry.request, entry.server, entry.own, entry.payload.value};
    g.machine->apply(t, {entry.wall, entry.age}, command, outcome);
    auto bounded = [](Answer& a) { // what cannot be sent is not stored either
        if (a.body.size() > kMaxReplyBytes) a = Answer{Error(Code::TooLarge, "done, but the reply is too large to send"), {}};
    };
    for (LateAnswer& late : outcome.late) bounded(late.answer);
    keep = !outcome.answer || outcome.answer->error.code == Code::Ok || outcome.keep;
    if (!keep) t.clear();
    if (outcome.answer) bounded(*outcome.answer);
    if (!remembered && !outcome.answer)
        outcome.answer = Answer{Error(Code::OutcomeUnknown, "its answer comes later, and only to a client id"), {}};
    if (remembered) remember(t, entry, outcome.answer ? &*outcome.answer : nullptr);
}

void Server::answer(Waiting& waiting, const Answer& answer, Age age, Effects& out) {
    for (u64 token : waiting.tokens) reply(token, age, answer.error, answer.body, out);
    waiting.tokens.clear();
}

// The group does nothing any more in this process; everybody who waits is told.
void Server::stopGroup(Replica& g, std::string why, Effects* out) {
    g.trouble = std::move(why);
    const Answer unknown{Error(Code::OutcomeUnknown, g.trouble), {}};
    if (out) {
        // The entries are committed, or may be: only who leads next can say what became of them.
        for (auto& [_, w] : g.byRequest) lose(w, *out);
        for (auto& [_, w] : g.byIndex) lose(w, *out);
        for (u64 token : std::exchange(g.formats, {})) out->host_replies.push_back({token, unknown.error});
        for (Parked& p : g.parked) reply(p, {}, Error(Code::Unavailable, g.trouble), {}, *out);
        for (auto& [_, p] : g.confirming) reply(p, {}, Error(Code::Unavailable, g.trouble), {}, *out);
    }
    stopLeading(g, nullptr);
    if (g.group) keepPast(g);
    g.group.reset();
    noteKept(g);
    g.held.clear();
    g.unapplied.clear();
}

// A refused write is no effect: the group stops here and says so, and so do all others.
void Server::rowsRefused(Replica& g, Effects& out) {
    stopGroup(g, "its rows cannot be written; look at the disk", &out);
    out.rows_refused = true;
}

// In order; what the rows do not take for want of room stays, and so does all behind it.
void Server::applyDue(Moment now, Replica& g, Effects& out) {
    while (!g.unapplied.empty() && !kv_.full()) {
        if (!apply(g, g.unapplied.front(), out)) break;
        g.unapplied.pop_front();
    }
    if (readFailed(now, g, out) && g.group && !g.group->needsRows()) // alone
        stopGroup(g, "its rows cannot be read, and it has no other member; look at the disk", &out);
}

bool Server::apply(Replica& g, const Entry& entry, Effects& out) {
    const Age forget_from = g.forgetFrom;
    store::Transaction t(*g.rows);
    Outcome outcome;
    bool keep = false;
    Applied applied = g.applied;
    applied.index = entry.index;
    applied.term = entry.term;
    applied.wall = entry.wall;
    applied.age = entry.age;
    Result<std::string> formatted = std::string();
    switch (entry.kind) {
        case EntryKind::kEmpty: break;
        case EntryKind::kMembers: {
            Members members;
            if (!wire::decode(entry.payload.value, members)) break; // checked when it came into the log
            applied.members = std::move(members.voters);
            applied.learners = std::move(members.learners);
            applied.configuration = entry.index;
            for (const u64 store : members.shut_out)
                if (g.shutOut.insert(store).second || !std::count(applied.shut_out.begin(), applied.shut_out.end(), store))
                    applied.shut_out.push_back(store);
            break;
        }
        case EntryKind::kCommand: applyCommand(g, t, entry, outcome, keep); break;
        case EntryKind::kFormat: {
            Format format;
            if (!wire::decode(entry.payload.value, format)) {
                formatted = Error(Code::Invalid, "the format does not decode");
                break;
            }
            applied.cluster = format.cluster;
            applied.members = format.members;
            applied.configuration = entry.index;
            applied.config = format.config;
            g.machine->format(t, {entry.wall, entry.age}, format.config.value);
            break;
        }
    }
    for (const LateAnswer& late : outcome.late) {
        Entry original;
        original.client = late.client;
        original.request = late.request;
        original.age = entry.age;
        if (late.client.value == 0 || late.request.value == 0) continue;
        remember(t, original, &late.answer);
    }
    forgetOld(g, t, entry.age);
    AppliedRow::put(t, {}, applied);
    if (kv_.failed()) return false; // never an answer: applyDue() sees to it
    if (!write(g, t)) {
        g.forgetFrom = forget_from;
        if (!kv_.refusedForRoom()) rowsRefused(g, out);
        return false;
    }
    g.applied = std::move(applied);
    touch(g);
    forget(g, entry.index);
    if (entry.kind == EntryKind::kFormat)
        for (u64 token : std::exchange(g.formats, {})) out.host_replies.push_back({token, formatted});
    if (outcome.answer) {
        if (auto at = g.byIndex.find(entry.index); at != g.byIndex.end()) {
            answer(at->second, *outcome.answer, entry.age, out);
            g.byIndex.erase(at);
        }
        if (auto at = g.byRequest.find({entry.client, entry.request}); entry.client.value != 0 && at != g.byRequest.end()) {
            answer(at->second, *outcome.answer, entry.age, out);
            g.byRequest.erase(at);
        }
    }
    for (const LateAnswer& late : outcome.late)
        if (auto at = g.byRequest.find({late.client, late.request}); at != g.byRequest.end()) {
            answer(at->second, late.answer, entry.age, out);
            g.byRequest.erase(at);
        }
    return true;
}

void Server::leadTouched(Moment now, Effects& out) {
    for (Replica* g : std::exchange(touched_, {})) {
        g->touched = false;
        if (!g->leading) continue;
        g->appliedAt = now.monotonic;
        lead(now, *g, out);
        retryParked(now, *g, out);
    }
}

void Server::lead(Moment now, Replica& g, Effects& out) {
    g.ledAt = now.monotonic;
    LeaderOf leader(*this, now, g, out);
    g.machine->lead(*g.rows, timeOf(g, now), leader);
    (void)readFailed(now, g, out);
}

void Server::retryParked(Moment now, Replica& g, Effects& out) {
    if (g.parked.empty()) return;
    std::vector<Parked> all = std::move(g.parked);
    g.parked.clear();
    for (Parked& p : all) {
        p.command.body = p.body; // the string has moved
        const bool last = now.monotonic >= p.until;
        auto answer = g.machine->query(*g.rows, timeOf(g, now), p.command, last);
        if (readFailed(now, g, out) || !g.leading) {
            parked_ -= p.askers();
            reply(p, {}, Error(Code::Unavailable, kUnreadable), {}, out);
            continue;
        }
        if (!answer && !last) {
            g.parked.push_back(std::move(p));
            continue;
        }
        parked_ -= p.askers();
        if (!answer || !g.group->mayRead(clockNow(now))) answer = Answer{Code::Busy, {}};
        reply(p, timeOf(g, now).age, answer->error, std::move(answer->body), out);
    }
}

} // namespace skua::raft
