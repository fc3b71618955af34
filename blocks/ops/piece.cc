// Piece: Some pages of an open block. They are checked before they are written.
#include "blocks/service.h"

namespace skua::blocks {

template <>
Task<Result<Piece::Reply>> Service::handle(Piece request, Call& call) {
    CO_TRY(Served* const disk, diskOf(request.service));
    if (!wholePages(call.in, request.sums)) co_return Error(Code::Invalid, "a piece has 1 to 256 pages, and as many sums");
    CO_TRY_OK(co_await disk->store->piece(request.id, request.offset, std::move(call.in), std::move(request.sums)));
    co_return Done{};
}

} // namespace skua::blocks
