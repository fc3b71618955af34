// ReadBlock: Pages and their sums, as they are on the disk.
#include "blocks/service.h"
#include "core/data/receipt.h"

namespace skua::blocks {

template <>
Task<Result<ReadBlock::Reply>> Service::handle(ReadBlock request, Call& call) {
    CO_TRY(Served* const disk, diskOf(request.service));
    if (!readKeyHolds(readKeyKey(), request.id.content, request.key))
        co_return Error(Code::Denied, "the read key is not of this content");
    CO_TRY(Store::Read read, co_await disk->store->read(request.id, request.offset, request.length));
    call.out = std::move(read.data);
    ReadBlock::Reply reply;
    reply.sums = std::move(read.sums);
    co_return reply;
}

} // namespace skua::blocks
