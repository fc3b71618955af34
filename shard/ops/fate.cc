// Fate: a service asks about blocks that it has not been told of.
#include "shard/contents.h"
#include "shard/ops/apply.h"

namespace skua::shard {

template <>
Result<Fate::Reply> read(const Reading& r, const Fate& op) {
    TRY(auto fates, contents::fates(r, op.service, op.blocks));
    return Fate::Reply{std::move(fates)};
}

} // namespace skua::shard
