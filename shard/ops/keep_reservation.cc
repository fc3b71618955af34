// KeepReservation: a client still has uncommitted ids or blocks. Staged spans live on with their reservation.
#include "shard/ops/apply.h"
#include "shard/reservations.h"

namespace skua::shard {

template <>
Result<KeepReservation::Reply> apply(Context& ctx, const KeepReservation& op) {
    if (op.reservations.size() > reservations::kMostKept) return Error(Code::Invalid, "at most 4096 reservations in one request");
    KeepReservation::Reply reply;
    for (ReservationId id : op.reservations)
        if (!reservations::use(ctx, id)) reply.gone.push_back(id);
    return reply;
}

} // namespace skua::shard
