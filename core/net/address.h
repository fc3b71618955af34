// Addresses as text ("127.0.0.1:4711", "[::1]:4711", "host.example:4711") and as the kernel has them.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include "core/base/config.h"
#include "core/net/transport.h"

namespace skua::net {

struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t size = 0;
    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
    sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
    int family() const { return storage.ss_family; }
    bool loopback() const;
    Address text() const;
};

// Numbers only; NotSupported: a well-formed name, which resolve() may know. Invalid: neither.
Result<SocketAddress> parseAddress(const Address& address);
// Asks the resolver too: blocks, so on an offload thread.
Result<SocketAddress> resolveAddress(const Address& address);

// The registry's addresses as given by a flag, or else by the configuration, can be addresses; else Invalid: which one, and
// who named it. None at all are fine here.
Result<> checkRegistry(const std::vector<std::string>& flag, const Config& config);

} // namespace skua::net
