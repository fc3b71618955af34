#include "core/net/pool.h"

#include <algorithm>
#include "core/net/channel.h"

namespace skua::net {

namespace {
constexpr u64 kSweepEvery = 15 * kSecond;
}

Pool::Pool(Ring& ring, Credentials credentials, PoolOptions options)
    : ring_(ring), credentials_(std::move(credentials)), options_(options) {
    options_.connections_per_address = std::max(options_.connections_per_address, 1u);
}

Pool::~Pool() { CHECK(tasks_.running() == 0); }

std::shared_ptr<Pool::Channel> Pool::channelFor(const Address& to) {
    auto& all = channels_[to.text];
    if (all.empty()) {
        for (u32 i = 0; i < options_.connections_per_address; i++) all.push_back(std::make_shared<Channel>(*this, to));
        if (!sweeping_ && options_.idle_ns) {
            sweeping_ = true;
            tasks_.spawn(sweep());
        }
    }
    return all[all.size() == 1 ? 0 : turns_++ % all.size()];
}

Task<Result<Message>> Pool::call(Address to, Message request, u64 limit_ns) {
    stats_.calls++;
    if (stopping_) co_return Error(Code::Unavailable, to.text + ": this process is stopping");
    if (request.body.size() > kMaxBody || request.payload.size() > kMaxPayload)
        co_return Error(Code::TooLarge,
                        "a request of " + std::to_string(request.body.size() + request.payload.size()) + " bytes");
    const auto channel = channelFor(to);
    if (!channel->open()) {
        const u64 began = ring_.now().value;
        CO_TRY_OK(co_await channel->ready(limit_ns));
        if (limit_ns) {
            const u64 spent = ring_.now().value - began;
            limit_ns = spent < limit_ns ? limit_ns - spent : 1;
        }
    }
    Channel::Waiting answer(*channel, std::move(request), limit_ns);
    co_return co_await answer;
}

bool Pool::post(const Address& to, Message&& message) {
    if (stopping_ || message.body.size() > kMaxBody || message.payload.size() > kMaxPayload) return false;
    return channelFor(to)->post(std::move(message));
}

void Pool::drop(const Address& to, Monotonic asked) {
    auto at = channels_.find(to.text);
    if (at == channels_.end()) return;
    for (const auto& c : at->second)
        if (c->opened() <= asked) c->close(Error(Code::Unavailable, to.text + ": does not answer"));
}

// Closes what nobody has used for long.
Task<> Pool::sweep() {
    while (!stopping_) {
        Event::Waiter stopped = stopped_.wait(ring_, std::min(kSweepEvery, options_.idle_ns));
        (void)co_await stopped;
        const u64 now = ring_.now().value;
        for (auto it = channels_.begin(); it != channels_.end();) {
            bool unused = true;
            for (const auto& c : it->second) {
                if (!c->idle() || c->used().value + options_.idle_ns > now || c.use_count() > (c->connected() ? 2 : 1))
                    unused = false;
                else if (c->connected()) c->close(Error(Code::Unavailable, "idle"));
            }
            it = unused ? channels_.erase(it) : std::next(it);
        }
    }
    co_return Ok{};
}

Task<> Pool::stop() {
    stopping_ = true;
    stopped_.set();
    for (const auto& [to, all] : channels_)
        for (const auto& c : all) c->close(Error(Code::Unavailable, "this process is stopping"));
    (void)co_await tasks_.all();
    channels_.clear();
    resolver_.reset();
    co_return Ok{};
}

} // namespace skua::net
