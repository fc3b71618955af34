// How anybody asks a replicated group, and what comes back: the envelope of every request to a
// registry, coordinator or shard. "Exactly once" of metadata.md lives in these fields.
#pragma once

#include "core/base/errors.h"
#include "core/wire/codec.h"

namespace skua::net {

struct GroupRequest {
    GroupId group;
    ClientId client;   // 0 between servers
    RequestId request; // 0: a query, or remembered by the machine itself (steps, outbox)
    RequestId lowest;  // the client's lowest unanswered id: lower answers may be forgotten
    Age base;          // the group's age last heard when this was first sent
    Bytes body;        // the service's Request variant; empty: only the age is asked
    FIELDS(group, client, request, lowest, base, body)
};

struct GroupReply {
    Age age;     // of the group, for the next `base`
    Error error; // code Ok: `body` is the request's Reply; Busy: a RetryAfter, or nothing
    Bytes body;
    FIELDS(age, error, body)
};

// With Busy: before that it is hardly of use to ask again.
struct RetryAfter {
    u32 ms = 0;
    FIELDS(ms)
};

} // namespace skua::net
