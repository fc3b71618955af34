// Info: Space, counters and health of one disk or all.
#include "blocks/service.h"

namespace skua::blocks {

template <>
Task<Result<Info::Reply>> Service::handle(Info request, Call& call) {
    (void)call;
    Info::Reply reply;
    if (request.service.value != 0) {
        CO_TRY(Served* const disk, diskOf(request.service));
        reply.disks.push_back(infoOf(*disk));
        co_return reply;
    }
    for (const auto& disk : disks()) reply.disks.push_back(infoOf(*disk));
    co_return reply;
}

} // namespace skua::blocks
