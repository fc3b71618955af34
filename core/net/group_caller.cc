#include "core/net/group_caller.h"

#include <algorithm>

namespace skua::net {

GroupCaller::GroupCaller(Clock& clock, Transport& transport, GroupDirectory& directory, ClientId client, Random random,
                         CallerLimits limits)
    : clock_(clock), transport_(transport), directory_(directory), client_(client), random_(random), limits_(limits) {}

Task<> GroupCaller::backOff(u32 attempt, u64 least_ns) {
    u64 most = limits_.backoff_min_ns << std::min(attempt, 16u);
    most = std::min(most, limits_.backoff_max_ns);
    // Jittered, so that a hiccup does not become a storm; and those who were told one time do not come back at one time.
    u64 wait = most / 2 + random_.below(most / 2 + 1);
    if (wait < least_ns) wait = least_ns + random_.below(least_ns / 2 + 1);
    Sleep nap(clock_, wait);
    co_await nap;
    co_return Ok{};
}

// One try at whoever leads. Errors: Unavailable, OutcomeUnknown (of the transport), NotLeader.
Task<Result<GroupReply>> GroupCaller::once(GroupId group, GroupRequest request, Sent& sent) {
    std::vector<Address> members = directory_.membersOf(group);
    if (auto known = leader_.find(group.value); known != leader_.end()) {
        std::erase(members, known->second);
        members.insert(members.begin(), known->second);
    }
    if (auto hung = hung_.find(group.value); hung != hung_.end())
        if (auto at = std::find(members.begin(), members.end(), hung->second); at != members.end())
            std::rotate(at, at + 1, members.end());
    if (members.empty()) {
        directory_.suspect(group);
        co_return Error(Code::Unavailable, "no server is known for this group yet");
    }
    Error last(Code::Unavailable, "no member of the group answered");
    for (std::size_t i = 0; i < members.size(); i++) {
        const Address to = members[i];
        Message message;
        message.kind = Kind::kGroup;
        message.body = wire::encode(request);
        const u64 limit =
            sent.waits || members.size() == 1 ? limits_.attempt_ns : std::min(limits_.attempt_ns, limits_.member_ns);
        auto answer = co_await transport_.call(to, std::move(message), limit);
        if (!answer) {
            last = answer.error();
            // Nothing of it was handed over or looked at: of a leader that has much to do, which stays the leader.
            if (last.code == Code::Busy) co_return last;
            if (last.code != Code::Unavailable) sent.maybe_received = true;
            leader_.erase(group.value);
            hung_[group.value] = to;
            continue;
        }
        GroupReply reply;
        if (!wire::decode(answer->body, reply)) {
            sent.maybe_received = true;
            last = Error(Code::Corrupt, "a group reply that does not decode, from " + to.text);
            continue;
        }
        if (reply.error.code == Code::NotLeader) {
            leader_.erase(group.value);
            if (const Address hint = directory_.addressOf(reply.error.leader);
                !hint.text.empty() && hint != to && hint != hung_[group.value] && i + 1 < members.size())
                members.insert(members.begin() + static_cast<std::ptrdiff_t>(i) + 1, hint);
            last = reply.error;
            if (members.size() > 16) break;
            continue;
        }
        if (reply.error.code == Code::Unavailable) { // it does not have the group, or not yet: perhaps another one has
            leader_.erase(group.value);
            last = reply.error;
            continue;
        }
        leader_[group.value] = to;
        hung_.erase(group.value);
        if (reply.age.value != 0) heard_[group.value] = Heard{reply.age, clock_.now()};
        co_return reply;
    }
    directory_.suspect(group);
    co_return last;
}

// An age heard less than a minute ago: a request's `base` must not be older (it is refused 5 minutes past).
Task<Result<Age>> GroupCaller::freshAge(GroupId group, Monotonic deadline) {
    for (u32 attempt = 0;; attempt++) {
        if (auto h = heard_.find(group.value); h != heard_.end() && clock_.now().value - h->second.at.value < kMinute)
            co_return h->second.age;
        GroupRequest ask;
        ask.group = group;
        Sent sent;
        auto reply = co_await once(group, ask, sent);
        if (reply && reply->error.code == Code::Ok) co_return reply->age;
        if (past(deadline)) {
            // The request itself has not been sent.
            co_return Error(Code::Unavailable, reply ? reply->error.detail : reply.error().detail);
        }
        co_await backOff(attempt);
    }
}

Task<Result<std::string>> GroupCaller::attempts(GroupId group, const std::string& body, RequestId id, Monotonic deadline,
                                                Sent& sent) {
    GroupRequest request;
    request.group = group;
    request.body.value = body;
    if (id.value != 0) {
        CO_TRY(request.base, co_await freshAge(group, deadline));
        request.client = client_;
        request.request = id;
    }
    for (u32 attempt = 0;; attempt++) {
        if (attempt > 0) repeats_++;
        request.lowest = RequestId{unanswered_.empty() ? id.value : *unanswered_.begin()};
        auto reply = co_await once(group, request, sent);
        Error why(Code::Unavailable);
        u64 least_ns = 0;
        if (reply) {
            if (reply->error.code == Code::Ok) co_return std::move(reply->body.value);
            // Busy means "not looked at"; anything else is the answer.
            if (reply->error.code != Code::Busy && reply->error.code != Code::Unavailable) co_return reply->error;
            why = reply->error;
            RetryAfter after;
            if (why.code == Code::Busy && wire::decode(reply->body.value, after))
                least_ns = std::min<u64>(after.ms, kMaxRetryAfterMs) * kMillisecond;
        } else {
            why = reply.error();
            const bool passing = why.code == Code::Unavailable || why.code == Code::OutcomeUnknown ||
                                 why.code == Code::NotLeader || why.code == Code::Busy || why.code == Code::Io ||
                                 why.code == Code::Corrupt;
            if (!passing) co_return why;
        }
        if (past(deadline)) {
            if (id.value != 0 && sent.maybe_received) co_return Error(Code::OutcomeUnknown, why.detail);
            co_return Error(Code::Unavailable, why.detail);
        }
        co_await backOff(attempt, least_ns);
    }
}

Task<Result<std::string>> GroupCaller::run(GroupId group, std::string body, bool remembered, bool waits) {
    // The envelope has a limit, and to encode more is a broken promise.
    if (body.size() > wire::kMaxBytes) co_return Error(Code::TooLarge, "a request of " + std::to_string(body.size()) + " bytes");
    const Monotonic deadline{limits_.total_ns == 0 ? 0 : clock_.now().value + limits_.total_ns};
    u32 expired = 0;
    for (u32 attempt = 0;; attempt++) {
        RequestId id;
        if (remembered) {
            id = RequestId{++lastRequest_};
            unanswered_.insert(id.value);
        }
        Sent sent;
        sent.waits = waits;
        auto reply = co_await attempts(group, body, id, deadline, sent);
        unanswered_.erase(id.value);
        if (reply) co_return reply;
        const Code code = reply.error().code;
        if (code == Code::Expired && remembered) {
            // Sent once and refused: certainly not done, so anew. Sent more often: who knows.
            if (sent.maybe_received) co_return Error(Code::OutcomeUnknown, reply.error().detail);
            // Refused again with an age just heard: it is something else that expired, such as a reservation.
            if (++expired > 2) co_return reply;
            heard_.erase(group.value);
        } else if (code != Code::Locked || !remembered) {
            // Without an id the machine itself remembers, a refusal too (a coordinator's step): it is the answer.
            co_return reply;
        }
        if (past(deadline)) co_return reply;
        co_await backOff(attempt);
    }
}

} // namespace skua::net
