// mendSpans: spans that a shard refuses to commit because a disk of theirs has appeared on another server since (an older
// incarnation's receipt: what was written to it then may not be on what is called that disk now). Each such span is read
// from its other blocks, decoded where need be, and written anew under new block ids of the same reservation.
//
// In place; Stale if by the newest map no span has such a block, Expired if the reservation is not known any more, else
// the reader's or the writer's error. What the old blocks hold becomes garbage with the reservation's end.
#pragma once

#include <vector>
#include "client/client.h"

namespace skua::client {

Task<Result<>> mendSpans(Client& client, ReservationId reservation, ContentId content, std::vector<shard::SpanWithProofs>& spans);

} // namespace skua::client
