// WriteBlock: A whole block of one piece.
#include "blocks/service.h"

namespace skua::blocks {

template <>
Task<Result<WriteBlock::Reply>> Service::handle(WriteBlock request, Call& call) {
    CO_TRY(Served* const disk, forWriting(request.service, request.incarnation));
    if (!wholePages(call.in, request.sums))
        co_return Error(Code::Invalid, "a block of one piece has 1 to 256 pages, and as many sums");
    const u64 owner = call.peer.connection;
    CO_TRY(const Store::Stored stored,
           co_await disk->store->write(request.id, request.sum, std::move(call.in), std::move(request.sums), owner));
    WriteBlock::Reply reply;
    reply.receipt = receiptOf(*disk, request.id, stored);
    co_return reply;
}

} // namespace skua::blocks
