// DropBlock: The writer gives an open block up.
#include "blocks/service.h"

namespace skua::blocks {

template <>
Task<Result<DropBlock::Reply>> Service::handle(DropBlock request, Call& call) {
    (void)call;
    CO_TRY(Served* const disk, diskOf(request.service));
    disk->store->drop(request.id);
    co_return Done{};
}

} // namespace skua::blocks
