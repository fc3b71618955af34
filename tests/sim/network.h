// Network: messages between simulated processes. They are lost, repeated, held up and overtaken as World's
// faults say; links can be cut in one direction; a process that is not there refuses connections, and one
// that dies takes what it was asked with it.
//
// A process joins with an address and an Endpoint, and asks through a SimTransport of its own. Once that is
// closed (its process is dead) every call ends at once with Denied and nothing leaves or arrives.
#pragma once

#include <map>
#include <memory>
#include <set>
#include "core/async/sync.h"
#include "core/net/transport.h"
#include "tests/sim/world.h"

namespace skua::sim {

using Answer = std::function<void(Result<net::Message>)>;

class Endpoint {
public:
    virtual ~Endpoint() = default;
    virtual void receive(u32 from, bool from_server, net::Message message, Answer answer) = 0; // from: the node
};

class SimTransport;

class Network {
public:
    explicit Network(World& world) : world_(world) {}

    void join(const std::string& address, u32 node, Endpoint& endpoint) { there_[address] = There{node, &endpoint}; }
    // The process is gone: who waits for it hears of a broken connection, or nothing.
    void leave(const std::string& address);
    // Nothing gets from one node to the other until then.
    void cut(u32 from, u32 to, u64 until) { cut_[{from, to}] = until; }
    void heal() { cut_.clear(); }
    // The process there does not look at what arrives until then: calls and answers.
    void stop(u32 node, u64 until) { stopped_[node] = until; }

private:
    friend class SimTransport;
    struct Call {
        bool finished = false;
        bool refused = false;          // told for certain that nothing was done
        u32 arrived = 0, refusals = 0; // copies of the request
        std::optional<Result<net::Message>> result;
        Event done;
    };
    struct Letter {
        u32 from = 0;
        bool server = false;
        std::string to;
        net::Message message;
        std::shared_ptr<Call> call;
        bool again = false;
    };
    struct There {
        u32 node = 0;
        Endpoint* endpoint = nullptr;
    };
    struct Asked { // of a process that may die
        std::string address;
        std::shared_ptr<Call> call;
        u32 asker = 0;
    };
    // `call` null: nobody waits for an answer.
    void send(u32 from, bool server, const net::Address& to, const net::Message& message, const std::shared_ptr<Call>& call,
              u64 late_ns = 0);
    void deliver(Letter letter);
    void answered(u32 node, u32 asker, u64 number, Result<net::Message> result);
    void finish(u32 asker, const std::shared_ptr<Call>& call, std::shared_ptr<Result<net::Message>> result);
    void finishSoon(u32 asker, std::shared_ptr<Call> call, Result<net::Message> result);
    bool isCut(u32 from, u32 to);
    u64 delay();

    World& world_;
    std::map<std::string, There> there_;
    std::map<std::pair<u32, u32>, u64> cut_;
    std::map<u32, u64> stopped_;
    std::map<u64, Asked> asked_;
    u64 numbers_ = 0;
};

class SimTransport final : public net::Transport {
public:
    // `server`: it has proven to be one of the cluster's.
    SimTransport(Network& network, Clock& clock, u32 node, bool server)
        : network_(network), clock_(clock), node_(node), server_(server) {}
    Task<Result<net::Message>> call(net::Address to, net::Message request, u64 limit_ns) override;
    // One way: it may be lost, and nobody hears of it.
    void post(const net::Address& to, const net::Message& message, u64 late_ns = 0);
    void close();
    bool closed() const { return closed_; }

private:
    Network& network_;
    Clock& clock_;
    const u32 node_;
    const bool server_;
    bool closed_ = false;
    std::map<u64, std::shared_ptr<Network::Call>> calls_;
    u64 lastCall_ = 0;
};

} // namespace skua::sim
