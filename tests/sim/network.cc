#include "tests/sim/network.h"

#include "core/net/group.h"

namespace skua::sim {

namespace {

net::Message copyOf(const net::Message& m) {
    net::Message copy;
    copy.kind = m.kind;
    copy.body = m.body;
    copy.payload = m.payload;
    return copy;
}

} // namespace

// Mostly some tens of microseconds; with faults sometimes so long that others overtake.
u64 Network::delay() {
    if (!world_.chance(world_.faults.delay)) return world_.random.between(30 * kMicrosecond, world_.faults.latency);
    world_.count("fault message delayed");
    const u64 most[] = {kSecond, kSecond, kSecond, 5 * kSecond, 5 * kSecond, kMinute, kMinute, 9 * kMinute};
    return world_.random.between(kMillisecond, most[world_.random.oneIn(8) ? world_.random.below(8) : world_.random.below(5)]);
}

bool Network::isCut(u32 from, u32 to) {
    auto at = cut_.find({from, to});
    return at != cut_.end() && at->second > world_.now();
}

void Network::finish(u32 asker, const std::shared_ptr<Call>& call, std::shared_ptr<Result<net::Message>> result) {
    if (call->finished) return;
    if (auto stopped = stopped_.find(asker); stopped != stopped_.end() && stopped->second > world_.now()) {
        world_.at(stopped->second, [this, asker, call, result] { finish(asker, call, result); });
        return;
    }
    call->finished = true;
    call->result.emplace(std::move(*result));
    call->done.set();
}

void Network::finishSoon(u32 asker, std::shared_ptr<Call> call, Result<net::Message> result) {
    auto kept = std::make_shared<Result<net::Message>>(std::move(result));
    world_.after(delay(), [this, asker, call, kept] { finish(asker, call, kept); });
}

void Network::send(u32 from, bool server, const net::Address& to, const net::Message& message, const std::shared_ptr<Call>& call,
                   u64 late_ns) {
    if (world_.chance(world_.faults.lose)) {
        world_.count("fault message lost");
        world_.tell("net from={} to={} lost", from, to.text);
        return;
    }
    auto letter = std::make_shared<Letter>(Letter{from, server, to.text, copyOf(message), call, false});
    world_.after(delay() + late_ns, [this, letter] { deliver(std::move(*letter)); });
}

// A repeat stands for what the caller does when it has heard nothing: what was refused for certain does not
// come again by itself (TCP repeats nothing).
void Network::deliver(Letter letter) {
    auto there = there_.find(letter.to);
    auto call = letter.call;
    if (letter.again && call && call->refused) return;
    if (there == there_.end()) {
        if (letter.again) return;
        world_.count("fault connection refused");
        if (!call) return;
        call->refused = true;
        finishSoon(letter.from, call, Error(Code::Unavailable, "connection refused"));
        return;
    }
    if (isCut(letter.from, there->second.node)) {
        world_.count("fault message cut off");
        return;
    }
    if (auto stopped = stopped_.find(there->second.node); stopped != stopped_.end() && stopped->second > world_.now()) {
        auto later = std::make_shared<Letter>(std::move(letter));
        world_.at(stopped->second, [this, later] { deliver(std::move(*later)); });
        return;
    }
    if (letter.again) {
        world_.count("fault message repeated");
    } else if (world_.chance(world_.faults.repeat)) {
        const u64 later =
            world_.random.oneIn(8) ? world_.random.between(kSecond, 9 * kMinute) : world_.random.between(1, 20 * kMillisecond);
        auto again = std::make_shared<Letter>(Letter{letter.from, letter.server, letter.to, copyOf(letter.message), call, true});
        world_.after(later, [this, again] { deliver(std::move(*again)); });
    }
    if (!call) return there->second.endpoint->receive(letter.from, letter.server, std::move(letter.message), [](const auto&) {});
    call->arrived++;
    const u64 number = ++numbers_;
    const u32 node = there->second.node;
    const u32 from = letter.from;
    asked_.emplace(number, Asked{letter.to, call, from});
    there->second.endpoint->receive(
        from, letter.server, std::move(letter.message),
        [this, node, from, number](Result<net::Message> r) { answered(node, from, number, std::move(r)); });
}

void Network::answered(u32 node, u32 asker, u64 number, Result<net::Message> result) {
    auto at = asked_.find(number);
    if (at == asked_.end()) return;
    const std::shared_ptr<Call> call = at->second.call;
    asked_.erase(at);
    if (result && result->kind == net::Kind::kGroup) {
        net::GroupReply reply;
        if (wire::decode(result->body, reply) && (reply.error.code == Code::Busy || reply.error.code == Code::Unavailable)) {
            // Who repeats because it has heard nothing does not take the repeat's refusal for one of what it sent first.
            if (++call->refusals < call->arrived) return;
            call->refused = true;
        }
    }
    if (world_.chance(world_.faults.lose)) {
        world_.count("fault answer lost");
        return;
    }
    if (isCut(node, asker)) {
        world_.count("fault message cut off");
        return;
    }
    finishSoon(asker, call, std::move(result));
}

void Network::leave(const std::string& address) {
    there_.erase(address);
    for (auto at = asked_.begin(); at != asked_.end();) {
        if (at->second.address != address) {
            ++at;
            continue;
        }
        if (!world_.random.oneIn(4))
            finishSoon(at->second.asker, at->second.call, Error(Code::OutcomeUnknown, "the connection broke"));
        at = asked_.erase(at);
    }
}

Task<Result<net::Message>> SimTransport::call(net::Address to, net::Message request, u64 limit_ns) {
    if (closed_) co_return Error(Code::Denied, "this process is dead");
    auto call = std::make_shared<Network::Call>();
    const u64 number = ++lastCall_;
    calls_[number] = call;
    network_.send(node_, server_, to, request, call);
    auto waiting = call->done.wait(clock_, limit_ns);
    (void)co_await waiting;
    calls_.erase(number);
    call->finished = true;
    if (closed_) co_return Error(Code::Denied, "this process is dead");
    if (!call->result) co_return Error(Code::OutcomeUnknown, "no answer in time");
    co_return std::move(*call->result);
}

void SimTransport::post(const net::Address& to, const net::Message& message, u64 late_ns) {
    if (!closed_ && !to.text.empty()) network_.send(node_, server_, to, message, nullptr, late_ns);
}

void SimTransport::close() {
    closed_ = true;
    for (auto& [_, call] : calls_) {
        call->finished = true;
        call->done.set();
    }
}

} // namespace skua::sim
