#include "core/net/handshake.h"

#include <algorithm>
#include <cstring>
#include "core/base/config.h"
#include "core/base/random.h"
#include "core/base/version.h"

namespace skua::net {

namespace {

constexpr u32 kMagic = 0x41554B53; // "SKUA"

enum class Verdict : u8 { kFine = 0, kOtherProtocol = 1, kOtherCluster = 2, kKeyRefused = 3 };

// Magic, protocol and status stay where they are in every protocol to come.
struct Hello {
    u32 magic = kMagic;
    u32 protocol = kProtocol;
    u64 cluster = 0;
    u8 role = 0;
    u8 status = 0; // of a server's: why it goes no further
    u16 zero = 0;
    u32 key_version = 0; // of a client's key
    u64 zeros = 0;
    char name[32] = {};
    u8 nonce[32] = {};
    u8 proof[32] = {}; // of a server's; zero in a client's
};
static_assert(sizeof(Hello) == 128);

struct Short { // the client's proof, and the server's verdict
    u32 magic = kMagic;
    u8 status = 0;
    u8 zeros[27] = {};
    u8 proof[32] = {};
};
static_assert(sizeof(Short) == 64);

std::array<u8, 32> proofOf(const MacKey& key, std::string_view label, const Hello& client, Hello server) {
    std::memset(server.proof, 0, sizeof server.proof);
    std::string all(label);
    all.append(reinterpret_cast<const char*>(&client), sizeof client);
    all.append(reinterpret_cast<const char*>(&server), sizeof server);
    return Hmac(key).full(all);
}
constexpr std::string_view kServerLabel = "skua: the server knows the key\n", kClientLabel = "skua: the client knows the key\n";

Hello helloOf(const Credentials& mine) {
    Hello h;
    h.cluster = mine.cluster.value;
    h.role = static_cast<u8>(mine.role);
    h.key_version = mine.version;
    std::memcpy(h.name, mine.name.data(), std::min(mine.name.size(), kMaxPeerName));
    randomFromKernel(h.nonce, sizeof h.nonce);
    return h;
}

std::string nameOf(const Hello& h) { return std::string(h.name, strnlen(h.name, sizeof h.name)); }

// Whatever it says ends up in messages and logs.
bool printable(const std::string& name) {
    for (char c : name)
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return false;
    return !name.empty() && name.size() <= kMaxPeerName;
}

u64 rest(Ring& ring, Monotonic deadline) {
    const u64 t = ring.now().value;
    return t < deadline.value ? deadline.value - t : 1;
}

// All of `size` bytes, or why not.
Task<Result<>> receive(Ring& ring, int fd, void* into, std::size_t size, Monotonic deadline) {
    std::size_t got = 0;
    while (got < size) {
        Operation op = ring.recv(fd, static_cast<u8*>(into) + got, size - got, MSG_WAITALL, rest(ring, deadline));
        (void)co_await op;
        if (op.result() == 0) co_return Error(Code::Unavailable, "the connection was closed");
        if (op.result() < 0) co_return kernelError(op.result());
        got += static_cast<std::size_t>(op.result());
    }
    co_return Ok{};
}

Task<Result<>> transmit(Ring& ring, int fd, const void* from, std::size_t size, Monotonic deadline) {
    std::size_t sent = 0;
    while (sent < size) {
        Operation op = ring.send(fd, static_cast<const u8*>(from) + sent, size - sent, MSG_WAITALL, rest(ring, deadline));
        (void)co_await op;
        if (op.result() <= 0) co_return kernelError(op.result() < 0 ? op.result() : -EPIPE);
        sent += static_cast<std::size_t>(op.result());
    }
    co_return Ok{};
}

// Says the last words and waits until they were read: closing over unread bytes would reset the connection
// and take our words with it.
Task<Result<>> farewell(Ring& ring, int fd, const void* from, std::size_t size, Monotonic deadline) {
    CO_TRY_OK(co_await transmit(ring, fd, from, size, deadline));
    ::shutdown(fd, SHUT_WR);
    char rest_of_it[256];
    for (int i = 0; i < 4; i++) {
        Operation op = ring.recv(fd, rest_of_it, sizeof rest_of_it, 0, std::min(rest(ring, deadline), kSecond));
        (void)co_await op;
        if (op.result() <= 0) break;
    }
    co_return Ok{};
}

Error refused(const Address& where, u8 status, u32 theirs, u32 ours, const Credentials& mine) {
    switch (static_cast<Verdict>(status)) {
        case Verdict::kOtherProtocol:
            return Error(Code::NotSupported, where.text + ": speaks protocol " + std::to_string(theirs) +
                                                 ", this program speaks " + std::to_string(ours) +
                                                 "; use the same release on both sides");
        case Verdict::kOtherCluster:
            return Error(Code::Unavailable,
                         where.text + ": " + std::string(kOfAnotherCluster) + " than " + toHex(mine.cluster.value));
        case Verdict::kKeyRefused:
            return Error(Code::Denied, where.text + ": key refused: that of '" + mine.name + "' version " +
                                           std::to_string(mine.version) + " is wrong or revoked");
        default: return Error(Code::Unavailable, where.text + ": refused us with status " + std::to_string(status));
    }
}

} // namespace

Task<Result<Peer>> openHandshake(Ring& ring, int fd, const Credentials& mine, Address where, u32 protocol) {
    const Monotonic deadline{ring.now().value + kHandshakeLimit};
    Hello ours = helloOf(mine), theirs;
    ours.protocol = protocol;
    CO_TRY_OK(co_await transmit(ring, fd, &ours, sizeof ours, deadline));
    const auto heard = co_await receive(ring, fd, &theirs, sizeof theirs, deadline);
    if (!heard) co_return Error(heard.code(), where.text + ": " + heard.error().detail + " before the server said who it is");
    if (theirs.magic != kMagic) co_return Error(Code::Unavailable, where.text + ": this is not a SkuaFS server");
    if (theirs.status == 0 && theirs.protocol != protocol) theirs.status = static_cast<u8>(Verdict::kOtherProtocol);
    if (theirs.status != 0) co_return refused(where, theirs.status, theirs.protocol, protocol, mine);
    if (theirs.cluster != mine.cluster.value || theirs.role != static_cast<u8>(Role::kServer))
        co_return refused(where, static_cast<u8>(Verdict::kOtherCluster), 0, 0, mine);
    if (!equalConstantTime(theirs.proof, proofOf(mine.key, kServerLabel, ours, theirs)))
        co_return refused(where, static_cast<u8>(Verdict::kKeyRefused), 0, 0, mine);

    Short proof;
    const auto value = proofOf(mine.key, kClientLabel, ours, theirs);
    std::memcpy(proof.proof, value.data(), value.size());
    CO_TRY_OK(co_await transmit(ring, fd, &proof, sizeof proof, deadline));
    Short verdict;
    const auto judged = co_await receive(ring, fd, &verdict, sizeof verdict, deadline);
    if (!judged)
        co_return Error(Code::Unavailable,
                        where.text + ": closed before it welcomed us; perhaps the key was refused, perhaps it is stopping");
    if (verdict.magic != kMagic || verdict.status != 0) co_return refused(where, verdict.status, 0, 0, mine);

    Peer peer;
    peer.role = Role::kServer;
    peer.name = nameOf(theirs);
    peer.address = where;
    co_return peer;
}

Task<Result<Peer>> serveHandshake(Ring& ring, int fd, const Credentials& mine, const Admit& admit, Address from, u64 limit_ns) {
    const Monotonic deadline{ring.now().value + limit_ns};
    Hello ours = helloOf(mine), theirs;
    // Eight bytes first: who speaks another protocol is told so, whatever the rest of his hello looks like.
    CO_TRY_OK(co_await receive(ring, fd, &theirs, 8, deadline));
    if (theirs.magic != kMagic) co_return Error(Code::Corrupt, "not a hello of ours");
    if (theirs.protocol != kProtocol) {
        ours.status = static_cast<u8>(Verdict::kOtherProtocol);
        CO_TRY_OK(co_await farewell(ring, fd, &ours, sizeof ours, deadline));
        co_return Error(Code::NotSupported,
                        "speaks protocol " + std::to_string(theirs.protocol) + ", we speak " + std::to_string(kProtocol));
    }
    CO_TRY_OK(co_await receive(ring, fd, reinterpret_cast<u8*>(&theirs) + 8, sizeof theirs - 8, deadline));
    if (theirs.cluster != mine.cluster.value) {
        ours.status = static_cast<u8>(Verdict::kOtherCluster);
        CO_TRY_OK(co_await farewell(ring, fd, &ours, sizeof ours, deadline));
        co_return Error(Code::Denied, "asked for cluster " + toHex(theirs.cluster));
    }
    const std::string name = nameOf(theirs);
    const bool client = theirs.role == static_cast<u8>(Role::kClient);
    if ((!client && theirs.role != static_cast<u8>(Role::kServer)) || !printable(name) || !mine.keys)
        co_return Error(Code::Corrupt, "a hello that makes no sense");

    const MacKey key = client ? mine.keys->clientKey(name, theirs.key_version) : mine.keys->serverKey();
    const auto shown = proofOf(key, kServerLabel, theirs, ours);
    std::memcpy(ours.proof, shown.data(), shown.size());
    CO_TRY_OK(co_await transmit(ring, fd, &ours, sizeof ours, deadline));
    Short proof, verdict;
    CO_TRY_OK(co_await receive(ring, fd, &proof, sizeof proof, deadline));
    const bool proven = proof.magic == kMagic && equalConstantTime(proof.proof, proofOf(key, kClientLabel, theirs, ours));
    // Whether a name is known here is told only to who has proven to be it.
    const bool welcome = proven && (!client || !admit || admit(name, theirs.key_version));
    if (!welcome) {
        verdict.status = static_cast<u8>(Verdict::kKeyRefused);
        CO_TRY_OK(co_await farewell(ring, fd, &verdict, sizeof verdict, deadline));
    } else {
        CO_TRY_OK(co_await transmit(ring, fd, &verdict, sizeof verdict, deadline));
    }
    if (!welcome)
        co_return Error(Code::Denied, (proven ? "revoked key of " : "wrong key for ") + name + " version " +
                                          std::to_string(theirs.key_version));

    Peer peer;
    peer.role = client ? Role::kClient : Role::kServer;
    peer.name = name;
    peer.key_version = theirs.key_version;
    peer.address = from;
    co_return peer;
}

} // namespace skua::net
