// OpenBlock: Room for a block that does not fit into one piece.
#include "blocks/service.h"

namespace skua::blocks {

template <>
Task<Result<OpenBlock::Reply>> Service::handle(OpenBlock request, Call& call) {
    CO_TRY(Served* const disk, forWriting(request.service, request.incarnation));
    OpenBlock::Reply reply;
    CO_TRY(reply.whole, co_await disk->store->open(request.id, request.most, call.peer.connection));
    co_return reply;
}

} // namespace skua::blocks
