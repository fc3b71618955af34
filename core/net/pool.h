// Pool: the Transport of production. Connections by address, opened when first needed, shared by all calls.
//
//   Pool pool(ring, credentials);
//   CO_TRY(Message reply, co_await pool.call(address, std::move(request), 10 * kSecond));
//
// Errors besides those that the other side answered:
//   Unavailable      no connection, or it ended before the request left; nothing happened
//   OutcomeUnknown   it left, and no answer came in time or before the connection ended
//   Busy             1,024 calls or 64 MiB are already on their way there; not sent
//   Denied           our key was refused      NotSupported  protocols differ      (neither is worth repeating)
// post() sends what nobody answers, if a connection is open and not far behind; it may be lost in any case.
// A failed address is left alone for 10 ms, doubling to 1 s; calls within that get its error at once.
// Idle connections (2 minutes) are closed. Late replies are dropped. `co_await stop()` before it dies.
#pragma once

#include <map>
#include <memory>
#include <string>
#include "core/async/offload.h"
#include "core/async/sync.h"
#include "core/net/connection.h"
#include "core/net/transport.h"

namespace skua::net {

struct PoolOptions {
    u32 connections_per_address = 1; // calls take turns
    u64 connect_ns = 3 * kSecond;
    u64 idle_ns = 2 * kMinute; // 0: for ever
    u32 protocol = 0;          // 0: ours; tests pretend another
};

class Pool final : public Transport {
public:
    Pool(Ring& ring, Credentials credentials, PoolOptions options = {});
    ~Pool();
    Task<Result<Message>> call(Address to, Message request, u64 limit_ns) override;
    // False: no connection is open (call() opens one), or over 4 MiB wait there; nothing was sent.
    bool post(const Address& to, Message&& message);
    // Ends the connections to an address that has not answered a call of `asked`: the next call opens another. Those that
    // were opened since stay.
    void drop(const Address& to, Monotonic asked);
    // Closes every connection; calls under way end. No call may begin afterwards.
    Task<> stop();

    struct Stats {
        u64 calls = 0, connects = 0, timeouts = 0, late = 0;
    };
    const Stats& stats() const { return stats_; }

private:
    class Channel;
    Task<> sweep();
    std::shared_ptr<Channel> channelFor(const Address& to);

    Ring& ring_;
    Credentials credentials_;
    PoolOptions options_;
    std::map<std::string, std::vector<std::shared_ptr<Channel>>> channels_;
    u64 turns_ = 0;
    bool stopping_ = false;
    std::unique_ptr<Offload> resolver_;
    Event stopped_;
    bool sweeping_ = false;
    Stats stats_;
    TaskGroup tasks_;
};

} // namespace skua::net
