#include "core/net/server.h"

#include <unistd.h>
#include <cerrno>
#include <cstring>
#include "core/base/log.h"
#include "core/net/address.h"
#include "core/wire/codec.h"

namespace skua::net {

// --- replies ----------------------------------------------------------------------------------------

Reply& Reply::operator=(Reply&& o) noexcept {
    if (this != &o) {
        if (connection_) fail(Error(Code::OutcomeUnknown, "the server dropped the request"));
        connection_ = std::move(o.connection_);
        call_ = o.call_;
        bytes_ = o.bytes_;
    }
    return *this;
}

Reply::~Reply() {
    if (connection_) fail(Error(Code::OutcomeUnknown, "the server dropped the request"));
}

void Reply::send(Message&& message) {
    if (!connection_) return;
    if (message.body.size() > kMaxBody || message.payload.size() > kMaxPayload)
        return fail(
            Error(Code::TooLarge, "the reply has " + std::to_string(message.body.size() + message.payload.size()) + " bytes"));
    const auto connection = std::move(connection_);
    connection->send(message.kind, kFlagReply, call_, std::move(message.body), std::move(message.payload));
    connection->answered(bytes_);
}

void Reply::fail(const Error& error) {
    if (!connection_) return;
    const auto connection = std::move(connection_);
    connection->send(Kind::kError, kFlagReply, call_, wire::encode(error), Buffer());
    connection->answered(bytes_);
}

// --- the server -------------------------------------------------------------------------------------

Server::Server(Ring& ring, Credentials credentials, Handler& handler, ServerOptions options)
    : ring_(ring), credentials_(std::move(credentials)), handler_(handler), options_(std::move(options)) {
    CHECK(credentials_.role == Role::kServer && credentials_.keys);
}

Server::~Server() { CHECK(listening_.empty() && connections_.empty()); }

Result<> Server::listen(const std::vector<std::string>& addresses) {
    for (const auto& text : addresses) {
        TRY(SocketAddress at, resolveAddress(Address{text}));
        const int fd = ::socket(at.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0) return kernelError(-errno, "socket for " + text);
        const int one = 1;
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        if (::bind(fd, at.get(), at.size) != 0 || ::listen(fd, 1024) != 0) {
            const int e = errno;
            ::close(fd);
            if (e == EADDRINUSE)
                return Error(Code::Exists, "address " + text + " is taken by another process; use port 0 or another one");
            return kernelError(-e, "cannot listen on " + text);
        }
        at.size = sizeof at.storage;
        CHECK(::getsockname(fd, at.get(), &at.size) == 0);
        addresses_.push_back(at.text());
        listening_.push_back(fd);
        tasks_.spawn(acceptLoop(fd));
    }
    return Ok{};
}

Task<> Server::acceptLoop(int fd) {
    static log::OncePerSecond often;
    while (!stopping_) {
        SocketAddress from;
        from.size = sizeof from.storage;
        Operation op = ring_.accept(fd, from.get(), &from.size);
        (void)co_await op;
        const int accepted = op.result();
        if (accepted < 0) {
            if (stopping_) break;
            if (accepted == -ECONNABORTED || accepted == -EINTR) continue;
            if (often.allow())
                log::warn("accept failed address={} error={}{}", address().text, std::strerror(-accepted), often.skipped());
            Sleep nap(ring_, 100 * kMillisecond); // out of files or memory: it may pass
            co_await nap;
            continue;
        }
        if (stopping_ || unproven_ >= kMaxUnproven || connections_.size() >= kMaxConnections) {
            if (!stopping_ && often.allow())
                log::warn("connection refused peer={} unproven={} connections={}{}", from.text().text, unproven_,
                          connections_.size(), often.skipped());
            ::close(accepted);
            continue;
        }
        tuneSocket(accepted, from.loopback());
        tasks_.spawn(serve(accepted, from.text()));
    }
    ::close(fd);
    std::erase(listening_, fd);
    co_return Ok{};
}

Task<> Server::serve(int fd, Address from) {
    static log::OncePerSecond often;
    static u64 connections = 0;
    unproven_++;
    shaking_.insert(fd);
    auto peer = co_await serveHandshake(ring_, fd, credentials_, options_.admit, from, options_.handshake_ns);
    shaking_.erase(fd);
    unproven_--;
    if (!peer || stopping_) {
        if (!peer && !stopping_ && often.allow())
            log::warn("handshake failed peer={} reason={}{}", from.text, peer.error().message(), often.skipped());
        ::close(fd);
        co_return Ok{};
    }
    peer->connection = ++connections;
    Connection::Listener& listener = *this;
    const auto connection = std::make_shared<Connection>(ring_, fd, *peer, listener);
    connections_[peer->connection] = connection;
    const Error why = co_await connection->run();
    if (why.code != Code::Unavailable && often.allow())
        log::warn("connection closed peer={} address={} reason={}{}", peer->name, from.text, why.message(), often.skipped());
    connections_.erase(peer->connection);
    handler_.closed(*peer);
    co_return Ok{};
}

Result<> Server::received(Connection& connection, const FrameHeader& header, Message&& message) {
    if (header.reply()) return Error(Code::Corrupt, "a reply where only requests belong");
    if (header.call == kNoCall) { // flow is counted by answers: only what may be dropped goes without
        if (message.kind != Kind::kRaft) return Error(Code::Corrupt, "a request that wants no answer");
        handler_.request(connection.peer(), Reply(), std::move(message));
        return Ok{};
    }
    const std::size_t bytes = kFrameHeader + message.body.size() + message.payload.size();
    connection.asked(bytes);
    handler_.request(connection.peer(), Reply(connection.shared_from_this(), header.call, bytes), std::move(message));
    return Ok{};
}

void Server::recheckClients() {
    if (!options_.admit) return;
    for (const auto& [id, connection] : connections_) {
        const Peer& peer = connection->peer();
        if (peer.role == Role::kClient && !options_.admit(peer.name, peer.key_version))
            connection->close(Error(Code::Denied, "the key was revoked"));
    }
}

Task<> Server::stop() {
    stopping_ = true;
    for (const int fd : listening_) ring_.cancelNow(fd);
    for (const int fd : shaking_) ::shutdown(fd, SHUT_RDWR);
    for (const auto& [id, connection] : connections_) connection->close(Error(Code::Unavailable, "the server stops"));
    (void)co_await tasks_.all();
    co_return Ok{};
}

} // namespace skua::net
