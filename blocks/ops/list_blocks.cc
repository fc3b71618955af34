// ListBlocks: What is on a disk, a part at a time. Names of contents are not for clients.
#include "blocks/service.h"

namespace skua::blocks {

template <>
Task<Result<ListBlocks::Reply>> Service::handle(ListBlocks request, Call& call) {
    if (call.peer.role != net::Role::kServer) co_return Error(Code::Denied, "only servers list blocks");
    CO_TRY(Served* const disk, diskOf(request.service));
    if (request.limit == 0 || request.limit > kMaxIdsPerMessage) co_return Error(Code::Invalid, "a limit of 1 to 4096");
    ListBlocks::Reply reply;
    CO_TRY(reply.blocks, co_await disk->store->list(request.after, request.limit));
    reply.end = reply.blocks.size() < request.limit;
    co_return reply;
}

} // namespace skua::blocks
