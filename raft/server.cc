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

Server::Group& Server::groupOf(GroupId id) {
    auto& slot = groups_[id];
    if (!slot) {
        slot = std::make_unique<Group>();
        slot->id = id;
        slot->machine = factory_(id);
        slot->rows = std::make_unique<store::Prefixed>(kv_, prefixOf(id));
        if (auto applied = AppliedRow::get(*slot->rows, {})) slot->applied = *applied;
        slot->term = slot->applied.term;
        slot->last = slot->applied.index;
        slot->lastWall = slot->applied.wall;
        slot->lastAge = slot->applied.age;
    }
    return *slot;
}

Server::Group* Server::find(GroupId id) {
    auto at = groups_.find(id);
    return at == groups_.end() ? nullptr : at->second.get();
}

// The times that an entry made now has: wall strictly grows, age has grown by what our own clock counted.
Time Server::timeOf(const Group& g, Moment now) const {
    const u64 passed = now.monotonic.value > g.lastAt.value ? now.monotonic.value - g.lastAt.value : 0;
    return {std::max(now.wall, Wall{g.lastWall.value + 1}), Age{g.lastAge.value + passed}};
}

void Server::reply(u64 token, Age age, Error error, std::string body, Effects& out) {
    if (token == 0) return;
    net::GroupReply reply;
    reply.age = age;
    reply.error = std::move(error);
    if (body.size() <= kMaxReplyBytes) reply.body.value = std::move(body);
    else reply.error = Error(Code::TooLarge, "the reply has " + std::to_string(body.size()) + " bytes; ask for less at once");
    out.replies.push_back({token, std::move(reply)});
}

void Server::append(Moment now, Group& g, Entry entry) {
    const Time time = timeOf(g, now);
    entry.group = g.id;
    entry.index = Index{g.last.value + 1};
    entry.term = g.term;
    entry.wall = time.wall;
    entry.age = time.age;
    g.last = entry.index;
    g.lastWall = time.wall;
    g.lastAge = time.age;
    g.lastAt = now.monotonic;
    const std::size_t bytes = entry.payload.value.size() + 128;
    inLog_++;
    inLogBytes_ += bytes;
    gathered_.push_back({0, std::move(entry), bytes});
}

void Server::flush(Effects& out, u64 most_writes) {
    if (gathered_.empty() || lastWrite_ - durableWrite_ >= most_writes) return;
    out.write = ++lastWrite_;
    // Bounded: the log refuses a write that is half a segment large. The rest goes when this is durable.
    std::size_t taken = 0, bytes = 0;
    for (; taken < gathered_.size() && (taken == 0 || bytes + gathered_[taken].bytes <= kMaxWriteBytes); taken++) {
        Logged& l = gathered_[taken];
        bytes += l.bytes;
        l.write = lastWrite_;
        out.log.push_back(wire::encode(l.entry));
        out.log_groups.push_back(l.entry.group);
        logged_.push_back(std::move(l));
    }
    gathered_.erase(gathered_.begin(), gathered_.begin() + static_cast<std::ptrdiff_t>(taken));
}

// --- start -----------------------------------------------------------------------------------------------

void Server::recover(const Entry& entry) {
    Group& g = groupOf(entry.group);
    if (!g.trouble.empty()) return;
    if (entry.term > g.term) g.term = entry.term;
    if (entry.index.value > g.last.value + 1) {
        g.trouble = "its log has a gap before index " + std::to_string(entry.index.value);
        return;
    }
    g.last = std::max(g.last, entry.index);
    g.lastWall = std::max(g.lastWall, entry.wall);
    g.lastAge = std::max(g.lastAge, entry.age);
    if (entry.index > g.applied.index) apply(g, entry, nullptr);
}

void Server::setTrouble(GroupId group, std::string why) { groupOf(group).trouble = std::move(why); }

bool Server::anyTrouble() const {
    return std::any_of(groups_.begin(), groups_.end(), [](const auto& g) { return !g.second->trouble.empty(); });
}

void Server::discover() {
    // Groups that have only flushed rows, and nothing in the log any more.
    std::set<GroupId> known;
    kv_.scan({}, {}, [&](std::string_view key, std::string_view) {
        GroupId id;
        if (key.size() >= 4 && wire::decodeKey(key.substr(0, 4), id)) known.insert(id);
        return false;
    });
    for (std::string from; !known.empty();) {           // hop from group to group
        const std::string after = wire::afterPrefix(prefixOf(*known.rbegin()));
        if (after == from || after.empty()) break;
        from = after;
        kv_.scan(from, {}, [&](std::string_view key, std::string_view) {
            GroupId id;
            if (key.size() >= 4 && wire::decodeKey(key.substr(0, 4), id)) known.insert(id);
            return false;
        });
    }
    for (GroupId id : known) (void)groupOf(id);
}

void Server::setTroubleOfAll(const std::string& why) {
    discover();
    for (auto& [_, g] : groups_) if (g->trouble.empty()) g->trouble = why;
}

void Server::begin(Moment now, Effects& out) {
    discover();
    for (auto& [_, g] : groups_) {
        if (!g->trouble.empty() || g->applied.index.value == 0) continue;
        g->term.value++;
        g->lastAt = now.monotonic;
        g->firstOfTerm = Index{g->last.value + 1};
        Entry entry;
        entry.kind = EntryKind::kEmpty;
        append(now, *g, std::move(entry));
    }
    flush(out);
}

// Who repeats and repeats has long hung up on the first ones.
void Server::wait(Group& g, std::pair<ClientId, RequestId> key, u64 token, Age age, Effects& out) {
    auto& tokens = g.byRequest[key].tokens;
    tokens.push_back(token);
    if (tokens.size() <= kMaxWaiting) return;
    reply(tokens.front(), age, Error(Code::Busy, "it was asked again since"), {}, out);
    tokens.erase(tokens.begin());
}

// --- requests -----------------------------------------------------------------------------------------------

void Server::request(Moment now, u64 token, bool from_server, net::GroupRequest&& request, Effects& out) {
    Group* found = find(request.group);
    if (!found || found->applied.index.value == 0) {
        const std::string why = found && !found->trouble.empty() ? found->trouble : "the group is not here, or not formatted yet";
        return reply(token, {}, Error(Code::Unavailable, why), {}, out);
    }
    Group& g = *found;
    if (!g.trouble.empty()) return reply(token, {}, Error(Code::Unavailable, "the group is down: " + g.trouble), {}, out);
    if (!g.leading) {
        PROBE("a group is asked before its first entry of a term is applied");
        return reply(token, {}, Error(Code::Unavailable, "the group is starting"), {}, out);
    }
    const Time time = timeOf(g, now);
    // Ages are told to clients; one that is told must not be forgotten for long by a crash.
    if (time.age.value - g.lastAge.value > kIdleAgeNs && g.last == g.applied.index) {
        PROBE("an idle group logs its age before it tells it");
        Entry empty;
        empty.kind = EntryKind::kEmpty;
        append(now, g, std::move(empty));
    }
    if (request.body.value.empty()) return reply(token, time.age, {}, {}, out);

    Command command{request.client, request.request, from_server, false, request.body.value};
    switch (g.machine->classify(request.body.value)) {
        case StateMachine::Class::kQuery: {
            auto answer = g.machine->query(*g.rows, time, command, parked_ >= kMaxParked);
            if (kv_.failed()) return reply(token, {}, Error(Code::Io, "a read of the rows failed"), {}, out);
            if (answer) return reply(token, time.age, std::move(answer->error), std::move(answer->body), out);
            Parked p{token, command, std::move(request.body.value), Monotonic{now.monotonic.value + kParkNs}};
            g.parked.push_back(std::move(p));
            parked_++;
            return;
        }
        case StateMachine::Class::kVolatile: {
            LeaderOf leader(*this, now, g, out);
            Answer answer = g.machine->tell(*g.rows, time, command, leader);
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
        if (auto stored = Answers::get(*g.rows, {request.client, request.request})) {
            if (!stored->pending) {
                PROBE("a repeat finds its remembered answer");
                return reply(token, time.age, stored->error, stored->body.value, out);
            }
            PROBE("a repeat finds its request pending, in rows only");
            return wait(g, key, token, time.age, out);
        }
        if (auto row = Clients::get(*g.rows, {request.client}); row && request.request < row->lowest) {
            PROBE("a repeat comes after its client has heard the answer");
            return reply(token, time.age, Error(Code::Expired, "its answer was forgotten"), {}, out);
        }
        if (time.age.value > request.base.value + kRepeatFor) {
            PROBE("a request comes five minutes after it was first sent");
            return reply(token, time.age, Error(Code::Expired, "it was first sent too long ago"), {}, out);
        }
    }
    if (inLog_ >= kMaxInLog || inLogBytes_ >= kMaxInLogBytes)
        return reply(token, time.age, Error(Code::Busy, "the log has too much to do"), {}, out);
    if (auto ok = g.machine->admit(*g.rows, time, command); !ok) return reply(token, time.age, ok.error(), {}, out);
    Entry entry;
    entry.kind = EntryKind::kCommand;
    entry.client = request.client;
    entry.request = request.request;
    entry.lowest = request.lowest;
    entry.base = request.base;
    entry.server = from_server;
    entry.payload = std::move(request.body);
    append(now, g, std::move(entry));
    if (remembered) wait(g, key, token, time.age, out);
    else g.byIndex[g.last].tokens.push_back(token);
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
        out.host_replies.push_back({token, wire::encode(status)});
        return;
    }
    const auto& format = std::get<Format>(request);
    Group& g = groupOf(format.group);
    if (!g.trouble.empty()) {
        out.host_replies.push_back({token, Error(Code::Unavailable, g.trouble)});
        return;
    }
    if (g.applied.index.value != 0) {           // once; again only if it is the very same
        const bool same = g.applied.cluster == format.cluster && g.applied.config == format.config;
        if (same) PROBE("a group is formatted again, the same");
        if (same) out.host_replies.push_back({token, std::string()});
        else out.host_replies.push_back({token, Error(Code::Exists, "the group is there already, formatted otherwise")});
        return;
    }
    if (g.last.value != 0) {                    // in the log, not durable yet: the asker comes again
        out.host_replies.push_back({token, Error(Code::Busy, "the group is being formatted")});
        return;
    }
    g.term = Term{1};
    g.lastAt = now.monotonic;
    g.firstOfTerm = Index{1};
    Entry entry;
    entry.kind = EntryKind::kFormat;
    entry.server = true;
    entry.payload.value = wire::encode(format);
    append(now, g, std::move(entry));
    g.byIndex[g.last].tokens.push_back(token);
}

void Server::heard(Moment now, GroupId group, u64 token, const Result<std::string>& answer, Effects& out) {
    Group* g = find(group);
    if (!g || !g->leading) return;
    LeaderOf leader(*this, now, *g, out);
    g->machine->heard(*g->rows, timeOf(*g, now), token, answer, leader);
    g->touched = true;
}

void Server::tick(Moment now, Effects& out) {
    for (auto& [_, g] : groups_) {
        if (!g->leading) continue;
        lead(now, *g, out);
        // Rows have not changed since they were asked last: only those go whose time is up, the oldest first.
        if (!g->parked.empty() && now.monotonic >= g->parked.front().until) retryParked(now, *g, out);
    }
}

std::vector<GroupStatus> Server::status(Moment now) const {
    std::vector<GroupStatus> all;
    for (const auto& [id, g] : groups_) {
        GroupStatus s;
        s.group = id;
        s.leading = g->leading;
        s.term = g->term;
        s.last = g->last;
        s.committed = s.applied = g->applied.index;
        s.age = timeOf(*g, now).age;
        s.trouble = g->trouble;
        all.push_back(std::move(s));
    }
    return all;
}

std::map<GroupId, Index> Server::appliedIndexes() const {
    std::map<GroupId, Index> all;
    for (const auto& [id, g] : groups_) all[id] = g->applied.index;
    return all;
}

bool Server::leads(GroupId group) const {
    auto at = groups_.find(group);
    return at != groups_.end() && at->second->leading;
}

}  // namespace skua::raft
