// Server: from a request to the log. What happens to entries that are durable is in server_apply.cc.
#include "raft/server.h"

#include <algorithm>
#include "core/base/probe.h"
#include "raft/server_leader.h"

namespace skua::raft {

std::string prefixOf(GroupId group) {
    std::string prefix;
    wire::putKey(prefix, group);
    return prefix;
}

Server::Replica* Server::replicaOf(GroupId id) {
    if (auto at = groups_.find(id); at != groups_.end()) return at->second.get();
    if (groups_.size() >= kMaxGroups) return nullptr;
    auto machine = factory_(id);
    if (!machine) return nullptr;
    auto& slot = groups_[id];
    slot = std::make_unique<Replica>(id);
    slot->machine = std::move(machine);
    slot->rows = std::make_unique<store::Prefixed>(kv_, prefixOf(id));
    if (auto applied = AppliedRow::get(*slot->rows, {})) slot->applied = *applied;
    if (kv_.failed()) { // how far they are is not known: nothing may be applied to them
        kv_.forgive();
        slot->trouble = "its applied row cannot be read; look at the disk";
    }
    slot->shutOut.insert(slot->applied.shut_out.begin(), slot->applied.shut_out.end());
    return slot.get();
}

Server::Replica* Server::find(GroupId id) {
    auto at = groups_.find(id);
    return at == groups_.end() ? nullptr : at->second.get();
}

const Group* Server::group(GroupId id) const {
    auto at = groups_.find(id);
    return at == groups_.end() ? nullptr : at->second->group.get();
}

Time Server::timeOf(const Replica& g, Moment now) const {
    Time time = g.group ? g.group->timeNow(now) : Time{now.wall, g.applied.age};
    // An earlier leader's clock may have been ahead: the group's time stands still until ours has come there.
    time.sure = clocksAgree_ && time.wall.value <= now.wall.value + kMinute;
    return time;
}

// Which of the members we are: the one with our store. (Groups of one were made without store ids once.)
Member Server::selfIn(const Members& members) const {
    for (const auto* list : {&members.voters, &members.learners})
        for (const Member& m : *list)
            if (m.store == options_.store) return m;
    if (members.voters.size() == 1 && members.voters[0].store == 0) return members.voters[0];
    return {self_.server, options_.store};
}

void Server::openGroup(Moment now, Replica& g, const Member& self, GroupLog log, const LogBase& rows, bool needs_rows) {
    if (self_.store == 0) self_ = {self.server, options_.store};
    GroupOptions o;
    o.group = g.id;
    o.self = self;
    o.seed = random_.next();
    o.heartbeat_ns = options_.heartbeat_ns;
    o.election_ns = options_.election_ns;
    o.keep_bytes = options_.keep_bytes;
    o.own_heartbeats = false;
    g.group = std::make_unique<Group>(o, g.past.vote(), std::move(log), rows, needs_rows, now);
    noteKept(g);
    g.past = GroupPast(g.id);
    g.unapplied.clear();
    g.mayLead = true;
}

void Server::reply(u64 token, Age age, Error error, std::string body, Effects& out) {
    if (token == 0) return;
    admission_.answered(token);
    answeredBytes_ += body.size();
    net::GroupReply reply;
    reply.age = age;
    reply.error = std::move(error);
    if (body.size() <= kMaxReplyBytes) reply.body.value = std::move(body);
    else reply.error = Error(Code::TooLarge, "the reply has " + std::to_string(body.size()) + " bytes; ask for less at once");
    out.replies.push_back({token, std::move(reply)});
}

void Server::reply(const Parked& asked, Age age, const Error& error, std::string body, Effects& out) {
    std::size_t given = body.size(); // each gets a copy of its own
    for (u64 token : asked.also) {
        given += body.size();
        if (given <= kMaxJoinedBytes) reply(token, age, error, body, out);
        else busy(token, age, "many ask for this, and it is large", out);
    }
    reply(asked.token, age, error, std::move(body), out);
}

// Nothing was done: the same request, under its id, may come again.
void Server::busy(u64 token, Age age, std::string_view why, Effects& out) {
    reply(token, age, Error(Code::Busy, why), wire::encode(admission_.retryAfter()), out);
}

// Its outcome is decided elsewhere now.
void Server::lose(Waiting& waiting, Effects& out) {
    for (u64 token : waiting.tokens) admission_.answered(token);
    out.lost.insert(out.lost.end(), waiting.tokens.begin(), waiting.tokens.end());
}

Error Server::append(Moment now, Replica& g, Entry entry, Effects& out) {
    const std::size_t bytes = entry.payload.value.size() + 128;
    Error refused = step(now, g, Propose{std::move(entry)}, out);
    if (refused.code != Code::Ok) return refused;
    if (!g.group) return {Code::OutcomeUnknown, g.trouble}; // it went down over older entries
    g.proposed.push_back({g.group->log().last(), bytes, looking_});
    for (InLog* one : {&inLog_, inLogOf(looking_)})
        if (one) one->count++, one->bytes += bytes;
    return {};
}

// Who repeats and repeats has long hung up on the first ones.
void Server::wait(Replica& g, std::pair<ClientId, RequestId> key, u64 token, Age age, Effects& out) {
    auto& tokens = g.byRequest[key].tokens;
    tokens.push_back(token);
    if (tokens.size() <= kMaxWaiting) return;
    reply(tokens.front(), age, Error(Code::Busy, "it was asked again since"), {}, out);
    tokens.erase(tokens.begin());
}

// --- requests -----------------------------------------------------------------------------------------------

void Server::arrive(u64 token, const From& from, std::string_view body, Effects& out) {
    static constexpr const char* kTooMuch = "more is asked at once than can be answered soon";
    if (admission_.refuse(from, false, body.size())) return busy(token, {}, kTooMuch, out);
    net::GroupRequest request;
    if (!wire::decode(body, request)) return reply(token, {}, Error(Code::Invalid, "the group request does not decode"), {}, out);
    Replica* g = find(request.group);
    if (!g) return reply(token, {}, Error(Code::Unavailable, "the group is not here, or not formatted yet"), {}, out);
    const auto kind = request.body.value.empty() ? StateMachine::Class::kVolatile : g->machine->classify(request.body.value);
    const bool background = g->machine->background(request.body.value);
    if (background && admission_.refuse(from, true, body.size())) return busy(token, {}, kTooMuch, out);
    Admission::Lane lane = Admission::Lane::kReads;
    if (background) lane = Admission::Lane::kBackground;
    else if (from.server) lane = Admission::Lane::kSteps;
    else if (kind == StateMachine::Class::kCommand) lane = Admission::Lane::kWrites;
    admission_.take(token, from, lane, kind == StateMachine::Class::kQuery, std::move(request), body.size());
}

void Server::gone(u64 connection, Effects& out) { admission_.gone(connection, out.lost); }

void Server::lookAtArrived(Moment now, Effects& out) {
    if (admission_.empty()) return;
    admission_.beginTurn();
    const std::size_t before = answeredBytes_;
    while (auto asked = admission_.next(answeredBytes_ - before, hold())) {
        looking_ = asked->lane;
        request(now, asked->token, asked->from_server, std::move(asked->request), out, std::move(asked->also));
    }
    looking_ = Admission::Lane::kSteps;
}

Server::InLog* Server::inLogOf(Admission::Lane lane) {
    if (lane == Admission::Lane::kWrites) return &clientsInLog_;
    return lane == Admission::Lane::kBackground ? &backgroundInLog_ : nullptr;
}

void Server::request(Moment now, u64 token, bool from_server, net::GroupRequest&& request, Effects& out, std::vector<u64> also) {
    Replica* found = find(request.group);
    auto refuse = [&](const Error& why) {
        for (u64 one : also) reply(one, {}, why, {}, out);
        reply(token, {}, why, {}, out);
    };
    if (!found || (!found->group && found->trouble.empty()) || (found->group && found->group->members().voters.empty()))
        return refuse(Error(Code::Unavailable, "the group is not here, or not formatted yet"));
    Replica& g = *found;
    if (!g.trouble.empty()) return refuse(Error(Code::Unavailable, "the group is down: " + g.trouble));
    if (!g.group->leads() && g.group->members().voters.size() > 1) return refuse(Error::notLeader(g.group->leader().server));
    if (!g.leading) {
        PROBE("a group is asked before its first entry of a term is applied");
        return refuse(Error(Code::Unavailable, "the group is starting"));
    }
    // Ages are told to clients; one that is told must not be forgotten for long by a crash.
    (void)step(now, g, Touch{}, out);
    if (!g.leading) return refuse(Error(Code::Unavailable, kUnreadable));
    const Time time = timeOf(g, now);
    if (request.body.value.empty()) return reply(token, time.age, {}, {}, out);

    Command command{request.client, request.request, from_server, false, request.body.value};
    switch (g.machine->classify(request.body.value)) {
        case StateMachine::Class::kQuery: {
            Parked p{token, std::move(also), command, std::move(request.body.value), Monotonic{now.monotonic.value + kParkNs}};
            return query(now, g, std::move(p), false, out);
        }
        case StateMachine::Class::kVolatile: {
            LeaderOf leader(*this, now, g, out);
            Answer answer = g.machine->tell(*g.rows, time, command, leader);
            if (readFailed(now, g, out)) return refuse(Error(Code::Unavailable, kUnreadable));
            return reply(token, time.age, std::move(answer.error), std::move(answer.body), out);
        }
        case StateMachine::Class::kCommand: break;
    }
    const bool remembered = request.client.value != 0 && request.request.value != 0;
    const std::pair key{request.client, request.request};
    if (request.client.value != 0 && !remembered)
        return reply(token, time.age, Error(Code::Invalid, "a change needs a request id"), {}, out);
    if (request.client.value == 0 && !from_server)
        return reply(token, time.age, Error(Code::NotPermitted, "only servers ask without a client id"), {}, out);
    if (remembered) {
        // In the log, or pending: wait too.
        if (g.byRequest.contains(key)) {
            PROBE("a repeat finds its request under way");
            return wait(g, key, token, time.age, out);
        }
        const auto row = Clients::get(*g.rows, {request.client});
        if (auto stored = answerOf(*g.rows, row, {request.client, request.request})) {
            if (!stored->pending) {
                PROBE("a repeat finds its remembered answer");
                return reply(token, time.age, stored->error, stored->body.value, out);
            }
            PROBE("a repeat finds its request pending, in rows only");
            return wait(g, key, token, time.age, out);
        }
        if (readFailed(now, g, out)) return refuse(Error(Code::Unavailable, kUnreadable));
        if (row && request.request < row->lowest) {
            PROBE("a repeat comes after its client has heard the answer");
            return reply(token, time.age, Error(Code::Expired, "its answer was forgotten"), {}, out);
        }
        if (time.age.value > request.base.value + kRepeatFor) {
            PROBE("a request comes five minutes after it was first sent");
            return reply(token, time.age, Error(Code::Expired, "it was first sent too long ago"), {}, out);
        }
    }
    if (readFailed(now, g, out)) return refuse(Error(Code::Unavailable, kUnreadable));
    if (inLog_.count >= kMaxInLog || inLog_.bytes >= kMaxInLogBytes)
        return busy(token, time.age, "the log has too much to do", out);
    if (!from_server && fewHaveRoom(g) && !g.machine->frees(request.body.value)) {
        const char* why = "the disks of the metadata servers are almost full; delete something, or make room there";
        return reply(token, time.age, Error(Code::NoSpace, why), {}, out);
    }
    auto admitted = g.machine->admit(*g.rows, time, command);
    if (readFailed(now, g, out)) return refuse(Error(Code::Unavailable, kUnreadable));
    if (!admitted) return reply(token, time.age, admitted.error(), {}, out);
    Entry entry;
    entry.kind = EntryKind::kCommand;
    entry.client = request.client;
    entry.request = request.request;
    entry.lowest = request.lowest;
    entry.base = request.base;
    entry.server = from_server;
    entry.payload = std::move(request.body);
    if (Error refused = append(now, g, std::move(entry), out); refused.code == Code::OutcomeUnknown) {
        Waiting asker{{token}};
        return lose(asker, out); // who repeats it hears what became of it
    } else if (refused.code != Code::Ok) return reply(token, time.age, std::move(refused), {}, out);
    if (remembered) wait(g, key, token, time.age, out);
    else g.byIndex[g.group->log().last()].tokens.push_back(token);
}

// Evaluated first, the lease checked after; without one a majority says whether we still lead.
void Server::query(Moment now, Replica& g, Parked p, bool confirmed, Effects& out) {
    p.command.body = p.body;
    const Time time = timeOf(g, now);
    auto answer = g.machine->query(*g.rows, time, p.command, parked_ >= kMaxParked);
    // Not an answer: asked again, here or of another member.
    if (readFailed(now, g, out)) return reply(p, {}, Error(Code::Unavailable, kUnreadable), {}, out);
    const u64 token = p.token;
    if (!answer) {
        parked_ += p.askers();
        g.parked.push_back(std::move(p));
        return;
    }
    if (confirmed || g.group->mayRead(clockNow(now))) return reply(p, time.age, answer->error, std::move(answer->body), out);
    if (parked_ >= kMaxParked) return reply(p, time.age, Code::Busy, {}, out);
    parked_ += p.askers();
    g.confirming.emplace(token, std::move(p));
    // By the clock of now, not of the turn's begin: the lease may have ended while the rows were read.
    (void)step({clockNow(now), now.wall}, g, ReadIndex{token}, out);
}

void Server::hostRequest(Moment now, u64 token, std::string_view body, Effects& out) {
    HostRequest request;
    if (!wire::decode(body, request)) {
        out.host_replies.push_back({token, Error(Code::Invalid, "the host request does not decode")});
        return;
    }
    if (std::holds_alternative<HostStatus>(request)) {
        HostStatus::Reply status;
        status.groups = this->status(now);
        status.self = {self_.server, options_.store};
        status.name = options_.name;
        status.low = low_;
        const Admission::Counters& counters = admission_.counters();
        status.requests = {counters.admitted, counters.refused, counters.joined, admission_.queued()};
        out.host_replies.push_back({token, wire::encode(status)});
        return;
    }
    if (auto* format = std::get_if<Format>(&request)) return makeGroup(now, token, std::move(*format), out);
    Error refused;
    if (auto* change = std::get_if<ChangeGroup>(&request)) refused = changeGroup(now, *change, out);
    else if (auto* move = std::get_if<MoveLeader>(&request)) refused = moveLeader(now, *move, out);
    else if (auto* recover = std::get_if<RecoverGroup>(&request)) refused = recoverGroup(now, *recover, out);
    if (refused.code == Code::Ok) out.host_replies.push_back({token, std::string()});
    else out.host_replies.push_back({token, std::move(refused)});
}

Error Server::changeGroup(Moment now, const ChangeGroup& change, Effects& out) {
    Replica* g = find(change.group);
    if (!g || !g->group) return {Code::Unavailable, "the group is not here"};
    if (!g->leading) return Error::notLeader(g->group->leader().server);
    if (g->group->members() != change.was) return {Code::Conflict, "its members are others by now"};
    return step(now, *g, ChangeMembers{change.becomes}, out);
}

Error Server::moveLeader(Moment now, const MoveLeader& move, Effects& out) {
    Replica* g = find(move.group);
    if (!g || !g->group) return {Code::Unavailable, "the group is not here"};
    if (!g->leading) return Error::notLeader(g->group->leader().server);
    if (knownLow(move.to.server)) return {Code::NoSpace, "that server's disk is almost full: it shall lead nothing"};
    return step(now, *g, Transfer{move.to}, out);
}

Error Server::recoverGroup(Moment now, const RecoverGroup& recover, Effects& out) {
    Replica* g = find(recover.group);
    if (!g || (!g->group && g->trouble.empty())) return {Code::Unavailable, "the group is not here"};
    if (!g->trouble.empty()) return {Code::Unavailable, "its copy is down: " + g->trouble};
    const Members others = g->group->members();
    Error refused = step(now, *g, Recover{recover.check}, out);
    if (refused.code != Code::Ok || recover.check) return refused;
    for (const auto* list : {&others.voters, &others.learners})
        for (const Member& m : *list)
            if (m != g->group->self()) g->shutOut.insert(m.store); // at once, not only when it is applied
    return {};
}

std::vector<GroupMembers> Server::ledMembers() const {
    std::vector<GroupMembers> all;
    for (const auto& [id, g] : groups_)
        if (g->leading) all.push_back({id, {g->applied.members, g->applied.learners}, g->applied.configuration});
    return all;
}

void Server::makeGroup(Moment now, u64 token, Format format, Effects& out) {
    auto say = [&](Error e) { out.host_replies.push_back({token, std::move(e)}); };
    Replica* g = replicaOf(format.group);
    if (!g) return say({Code::Invalid, "no group of this host"});
    if (!g->trouble.empty()) return say({Code::Unavailable, g->trouble});
    if (g->applied.index.value != 0) { // once; again only if it is the very same
        if (g->applied.cluster != format.cluster || g->applied.config != format.config)
            return say({Code::Exists, "the group is there already, formatted otherwise"});
        PROBE("a group is formatted again, the same");
        return out.host_replies.push_back({token, std::string()});
    }
    if (g->group && !g->group->empty()) { // in the log, not applied yet: the asker comes again
        if (format.members.size() > 1 && g->group->members().voters != format.members)
            return say({Code::Exists, "the group is there already, with other members"});
        if (g->group->members().voters.size() > 1 && g->group->durable().value > 0)
            return out.host_replies.push_back({token, std::string()});
        return say({Code::Busy, "the group is being formatted"});
    }
    if (format.members.empty()) format.members = {{ServerId{}, options_.store}};
    if (format.members.size() == 1 && format.members[0].store == 0) format.members[0].store = options_.store;
    if (!g->group) openGroup(now, *g, selfIn({format.members, {}}), {}, {});
    Entry entry;
    entry.server = true;
    entry.wall = format.made.value != 0 ? format.made : now.wall;
    entry.payload.value = wire::encode(format);
    g->formats.push_back(token);
    if (Error refused = step(now, *g, MakeGroup{std::move(entry)}, out); refused.code != Code::Ok) {
        std::erase(g->formats, token);
        say(std::move(refused));
    }
}

void Server::heard(Moment now, GroupId group, u64 token, const Result<std::string>& answer, Effects& out) {
    Replica* g = find(group);
    if (!g || !g->leading) return;
    LeaderOf leader(*this, now, *g, out);
    g->machine->heard(*g->rows, timeOf(*g, now), token, answer, leader);
    (void)readFailed(now, *g, out);
    touch(*g);
}

void Server::tick(Moment now, Effects& out) {
    for (auto& [_, g] : groups_) {
        if (g->group && g->group->wakeAt() <= now.monotonic) (void)step(now, *g, Tick{}, out);
        if (!g->leading) continue;
        // A group in which nothing happens has little to look at.
        const bool quiet = now.monotonic.value > g->appliedAt.value + kQuietNs;
        if (!quiet || now.monotonic.value >= g->ledAt.value + kQuietTickNs) lead(now, *g, out);
        // Rows have not changed since they were asked last: only those go whose time is up, the oldest first.
        if (!g->parked.empty() && now.monotonic >= g->parked.front().until) retryParked(now, *g, out);
    }
    roomTick(now, out);
    beat(now);
    compareClocks(now);
    snapshotsTick(now, out);
}

u64 Server::nextTickNs(Monotonic now) const { return quiet(now) ? std::max(kTickNs, beatNs(now)) : kTickNs; }

std::vector<GroupStatus> Server::status(Moment now) const {
    std::vector<GroupStatus> all;
    for (const auto& [id, g] : groups_) {
        GroupStatus s;
        s.group = id;
        s.leading = g->leading;
        s.applied = s.committed = g->applied.index;
        if (g->group) {
            s.term = g->group->term();
            s.last = g->group->log().last();
            s.committed = g->group->committed();
        }
        s.age = timeOf(*g, now).age;
        s.last_term = g->group ? g->group->log().lastTerm() : g->applied.term;
        s.trouble = g->trouble;
        all.push_back(std::move(s));
    }
    return all;
}

std::size_t Server::ledGroups() const {
    return static_cast<std::size_t>(
        std::count_if(groups_.begin(), groups_.end(), [](const auto& g) { return g.second->leading; }));
}

bool Server::leads(GroupId group) const {
    auto at = groups_.find(group);
    return at != groups_.end() && at->second->leading;
}

} // namespace skua::raft
