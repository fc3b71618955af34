// FinishBlock: An open block becomes durable and gets its name; the receipt says so.
#include "blocks/service.h"

namespace skua::blocks {

template <>
Task<Result<FinishBlock::Reply>> Service::handle(FinishBlock request, Call& call) {
    (void)call;
    CO_TRY(Served* const disk, diskOf(request.service));
    CO_TRY(const Store::Stored stored, co_await disk->store->finish(request.id, request.length, request.sum));
    FinishBlock::Reply reply;
    reply.receipt = receiptOf(*disk, request.id, stored);
    co_return reply;
}

} // namespace skua::blocks
