// The first frames of a connection (security.md): nothing else is read before both sides have proven
// that they know the key. Four frames of fixed size:
//
//   client  Hello    128 bytes   who, and a nonce            server  Hello   128 bytes  who, nonce, proof
//   client  Proof     64 bytes                               server  Verdict  64 bytes  welcome, or why not
//
// A proof is HMAC-SHA256 by the shared key (a client's own; the servers' common one) over a label of
// the direction and both hellos. Protocols and clusters that differ are told, by number, before it.
// Each side gives the other 5 s. Owns nothing: the caller closes the fd.
#pragma once

#include <functional>
#include "core/async/ring.h"
#include "core/net/keys.h"

namespace skua::net {

inline constexpr u64 kHandshakeLimit = 5 * kSecond;

// The other end, proven.
struct Peer {
    Role role = Role::kClient;
    std::string name;
    u32 key_version = 0; // of a client's key
    u64 connection = 0;  // never reused in this process
    Address address;     // as seen from here
};

// Asked by a server before it welcomes a client: is this version of the name's key still good?
using Admit = std::function<bool(std::string_view name, u32 key_version)>;

// In the detail of the Unavailable of a server that is in its right place, in another cluster.
inline constexpr std::string_view kOfAnotherCluster = "belongs to another cluster";

// Unavailable: closed or too slow, another cluster. Denied: the key was refused. NotSupported: protocols
// differ. `where` is for messages.
Task<Result<Peer>> openHandshake(Ring& ring, int fd, const Credentials& mine, Address where, u32 protocol);
Task<Result<Peer>> serveHandshake(Ring& ring, int fd, const Credentials& mine, const Admit& admit, Address from,
                                  u64 limit_ns = kHandshakeLimit);

} // namespace skua::net
