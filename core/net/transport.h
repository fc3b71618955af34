// Transport: asks another process something and waits for its answer. On TCP in production (net::Pool),
// in virtual time in the simulator; client/ and the roles' shells know only this.
//
// A Message is a kind (which service's request or reply), a body (small: codec bytes, at most
// kMaxBody) and a payload (bulk: whole pages of a block, at most kMaxPayload, received into an aligned
// buffer). Thread-safety: none.
#pragma once

#include <string>
#include "core/async/buffer.h"
#include "core/async/task.h"
#include "core/base/result.h"

namespace skua::net {

inline constexpr std::size_t kMaxBody = 8u << 20, kMaxPayload = 4u << 20;

// "127.0.0.1:4711" or "[::1]:4711"; empty is nowhere.
struct Address {
    std::string text;
    FIELDS(text)
    friend auto operator<=>(const Address&, const Address&) = default;
};

// Who is at the other end, proven by the handshake.
enum class Role : u8 { kClient = 1, kServer = 2 };

enum class Kind : u8 {
    kGroup = 1,   // raft/messages.h: GroupRequest -> GroupReply; any replicated service
    kHost = 2,    // raft/messages.h: HostRequest (Format, status); between servers
    kRaft = 3,    // raft/messages.h: between members of groups
    kBlocks = 4,  // blocks/messages.h
    kError = 255, // an Error instead of a reply
};

struct Message {
    Kind kind = Kind::kError;
    std::string body;
    Buffer payload;
};

class Transport {
public:
    virtual ~Transport() = default;
    // Sends `request` to `to` and waits at most `limit_ns`. Errors of the transport itself:
    //   Unavailable      it was certainly not handed over (no connection)
    //   OutcomeUnknown   it may have been received, no answer came
    //   Busy             too many are on their way there; not handed over
    //   Denied, NotSupported   our key was refused; protocols differ: asking again does not help
    // An Error that the other side answered comes back as that Error.
    virtual Task<Result<Message>> call(Address to, Message request, u64 limit_ns) = 0;
};

} // namespace skua::net
