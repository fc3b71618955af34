// Server: listens, lets in who has a key, and hands requests to a Handler.
//
//   Server server(ring, credentials, handler);
//   TRY_OK(server.listen({"127.0.0.1:0"}));   server.address() is what to tell others
//   ...  co_await server.stop();              before it is destroyed
//
// A Reply may be kept and answered at any time on the ring's thread, whatever became of its connection
// or of the Server; one that is dropped unanswered answers OutcomeUnknown. A connection that has 1,024
// requests unanswered, 64 MiB in them, or 64 MiB of replies unsent, is not read from until it has fewer.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>
#include "core/async/sync.h"
#include "core/net/connection.h"

namespace skua::net {

inline constexpr std::size_t kMaxUnproven = 256; // connections before the end of their handshake
inline constexpr std::size_t kMaxConnections = 65'536;

class Reply {
public:
    Reply() = default; // of nobody: answers go nowhere
    Reply(std::shared_ptr<Connection> connection, u64 call, std::size_t bytes)
        : connection_(std::move(connection)), call_(call), bytes_(bytes) {}
    Reply(Reply&& o) noexcept : connection_(std::move(o.connection_)), call_(o.call_), bytes_(o.bytes_) {}
    Reply& operator=(Reply&& o) noexcept;
    ~Reply();
    // Once; the Reply is empty afterwards.
    void send(Message&& message);
    void fail(const Error& error);
    explicit operator bool() const { return connection_ != nullptr; }

private:
    std::shared_ptr<Connection> connection_;
    u64 call_ = 0;
    std::size_t bytes_ = 0; // of the request
};

class Handler {
public:
    virtual void request(const Peer& peer, Reply reply, Message&& message) = 0;
    virtual void closed(const Peer& peer) { (void)peer; }

protected:
    ~Handler() = default;
};

struct ServerOptions {
    Admit admit{}; // empty: every client with a key, whatever its version
    u64 handshake_ns = kHandshakeLimit;
};

class Server final : Connection::Listener {
public:
    Server(Ring& ring, Credentials credentials, Handler& handler, ServerOptions options = {});
    ~Server(); // after stop()
    Server(const Server&) = delete;

    // Binds and begins to accept. Exists: the address is taken.
    Result<> listen(const std::vector<std::string>& addresses);
    // The first one, with the port that was picked.
    Address address() const { return addresses_.empty() ? Address{} : addresses_[0]; }
    const std::vector<Address>& addresses() const { return addresses_; }

    // Stops accepting, closes every connection, waits until nothing is under way.
    Task<> stop();
    // Ends the connections of clients whose key is no longer good, by asking `admit` again.
    void recheckClients();
    std::size_t connections() const { return connections_.size(); }
    std::size_t unproven() const { return unproven_; }

private:
    Task<> acceptLoop(int fd);
    Task<> serve(int fd, Address from);
    Result<> received(Connection& connection, const FrameHeader& header, Message&& message) override;

    Ring& ring_;
    Credentials credentials_;
    Handler& handler_;
    ServerOptions options_;
    std::vector<int> listening_;
    std::vector<Address> addresses_;
    std::map<u64, std::shared_ptr<Connection>> connections_;
    std::set<int> shaking_; // fds in their handshake
    std::size_t unproven_ = 0;
    bool stopping_ = false;
    TaskGroup tasks_;
};

} // namespace skua::net
