#include "tests/sim/network.h"

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
    if (world_.chance(world_.faults.delay)) {
        world_.count("fault message delayed");
        return world_.random.oneIn(20) ? world_.random.between(kSecond, world_.random.oneIn(8) ? 9 * kMinute : 2 * kMinute)
                                       : world_.random.between(kMillisecond, 800 * kMillisecond);
    }
    return world_.random.between(30 * kMicrosecond, 300 * kMicrosecond);
}

bool Network::isCut(u32 from, u32 to) {
    auto at = cut_.find({from, to});
    return at != cut_.end() && at->second > world_.now();
}

void Network::finish(u32 asker, const std::weak_ptr<Call>& weak, std::shared_ptr<Result<net::Message>> result) {
    auto call = weak.lock();
    if (!call || call->finished) return;
    if (auto stopped = stopped_.find(asker); stopped != stopped_.end() && stopped->second > world_.now()) {
        world_.at(stopped->second, [this, asker, weak, result] { finish(asker, weak, result); });
        return;
    }
    call->finished = true;
    call->result.emplace(std::move(*result));
    call->done.set();
}

void Network::finishSoon(u32 asker, std::weak_ptr<Call> call, Result<net::Message> result) {
    auto kept = std::make_shared<Result<net::Message>>(std::move(result));
    world_.after(delay(), [this, asker, call, kept] { finish(asker, call, kept); });
}

void Network::send(u32 from, bool server, const net::Address& to, const net::Message& message,
                   const std::shared_ptr<Call>& call) {
    if (world_.chance(world_.faults.lose)) {
        world_.count("fault message lost");
        world_.tell("net from={} to={} lost", from, to.text);
        return;
    }
    const std::weak_ptr<Call> weak = call;
    auto one = [this, from, server, to](net::Message m, std::weak_ptr<Call> who, bool again) {
        world_.after(delay(), [this, from, server, to, m = std::move(m), who, again]() mutable {
            deliver(from, server, to.text, std::move(m), who, again);
        });
    };
    one(copyOf(message), weak, false);
    if (world_.chance(world_.faults.repeat)) {
        world_.count("fault message repeated");
        const u64 later =
            world_.random.oneIn(8) ? world_.random.between(kSecond, 9 * kMinute) : world_.random.between(1, 20 * kMillisecond);
        auto again = std::make_shared<net::Message>(copyOf(message));
        world_.after(later, [one, again, weak] { one(copyOf(*again), weak, true); });
    }
}

void Network::deliver(u32 from, bool server, const std::string& to, net::Message message, std::weak_ptr<Call> call, bool again) {
    auto there = there_.find(to);
    if (there == there_.end()) {
        if (again) return;
        world_.count("fault connection refused");
        finishSoon(from, call, Error(Code::Unavailable, "connection refused"));
        return;
    }
    if (isCut(from, there->second.node)) {
        world_.count("fault message cut off");
        return;
    }
    const u64 number = ++numbers_;
    const u32 node = there->second.node;
    asked_.emplace(number, Asked{to, call, from});
    there->second.endpoint->receive(server, std::move(message), [this, node, from, number](Result<net::Message> r) {
        answered(node, from, number, std::move(r));
    });
}

void Network::answered(u32 node, u32 asker, u64 number, Result<net::Message> result) {
    auto at = asked_.find(number);
    if (at == asked_.end()) return;
    const std::weak_ptr<Call> call = at->second.call;
    asked_.erase(at);
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

void SimTransport::close() {
    closed_ = true;
    for (auto& [_, call] : calls_) {
        call->finished = true;
        call->done.set();
    }
}

} // namespace skua::sim
