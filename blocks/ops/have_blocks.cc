// HaveBlocks: Which blocks are here, whole: for the scrub of the shards.
#include "blocks/service.h"

namespace skua::blocks {

template <>
Task<Result<HaveBlocks::Reply>> Service::handle(HaveBlocks request, Call& call) {
    (void)call;
    CO_TRY(Served* const disk, diskOf(request.service));
    if (request.blocks.size() > kMaxIdsPerMessage) co_return Error(Code::TooLarge, "at most 4096 blocks in a message");
    HaveBlocks::Reply reply;
    for (const BlockId& id : request.blocks) {
        const Store::Entry* entry = disk->store->find(id);
        reply.have.push_back(entry && !entry->bad);
    }
    co_return reply;
}

} // namespace skua::blocks
