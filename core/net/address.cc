#include "core/net/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <cstring>

namespace skua::net {

namespace {

struct HostPort {
    std::string host, port;
};

Result<HostPort> split(const Address& address) {
    const std::string& t = address.text;
    const auto colon = t.rfind(':');
    const Error bad(Code::Invalid, "address '" + t + "': expected HOST:PORT, like 127.0.0.1:4711 or [::1]:4711");
    if (colon == t.npos || colon == 0 || t.size() > 256) return bad;
    HostPort out{t.substr(0, colon), t.substr(colon + 1)};
    if (out.host.front() == '[' && out.host.back() == ']') out.host = out.host.substr(1, out.host.size() - 2);
    else if (out.host.find(':') != t.npos) return bad;
    if (out.port.empty() || out.port.size() > 5 || out.port.find_first_not_of("0123456789") != t.npos ||
        std::stoul(out.port) > 65'535)
        return bad;
    return out;
}

Result<SocketAddress> lookUp(const Address& address, int flags) {
    TRY(const HostPort hp, split(address));
    addrinfo hints{}, *found = nullptr;
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = flags | AI_NUMERICSERV;
    const int r = getaddrinfo(hp.host.c_str(), hp.port.c_str(), &hints, &found);
    if (r == EAI_NONAME && flags) return Error(Code::NotSupported, address.text + " is a name");
    if (r != 0) return Error(Code::Unavailable, "address " + address.text + ": " + gai_strerror(r));
    SocketAddress out;
    std::memcpy(&out.storage, found->ai_addr, found->ai_addrlen);
    out.size = found->ai_addrlen;
    freeaddrinfo(found);
    return out;
}

} // namespace

Result<SocketAddress> parseAddress(const Address& address) { return lookUp(address, AI_NUMERICHOST); }
Result<SocketAddress> resolveAddress(const Address& address) { return lookUp(address, 0); }

Result<> checkRegistry(const std::vector<std::string>& flag, const Config& config) {
    const auto all = flag.empty() ? splitList(config.get("registry")) : flag;
    for (const std::string& one : all)
        if (auto fine = parseAddress({one}); fine.code() == Code::Invalid)
            return Error(Code::Invalid, (flag.empty() ? config.source("registry") : "--registry") + ": " + fine.error().detail);
    return Ok{};
}

bool SocketAddress::loopback() const {
    if (family() == AF_INET) return ntohl(reinterpret_cast<const sockaddr_in*>(&storage)->sin_addr.s_addr) >> 24 == 127;
    if (family() == AF_INET6) return IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_addr);
    return false;
}

Address SocketAddress::text() const {
    char host[INET6_ADDRSTRLEN] = "";
    if (family() == AF_INET) {
        const auto* a = reinterpret_cast<const sockaddr_in*>(&storage);
        inet_ntop(AF_INET, &a->sin_addr, host, sizeof host);
        return {std::string(host) + ":" + std::to_string(ntohs(a->sin_port))};
    }
    if (family() == AF_INET6) {
        const auto* a = reinterpret_cast<const sockaddr_in6*>(&storage);
        inet_ntop(AF_INET6, &a->sin6_addr, host, sizeof host);
        return {"[" + std::string(host) + "]:" + std::to_string(ntohs(a->sin6_port))};
    }
    return {};
}

} // namespace skua::net
