#include "core/data/names.h"
#include "shard/entries.h"
#include "shard/inodes.h"
#include "shard/ops/apply.h"

namespace skua::shard {

template <>
Result<Lookup::Reply> read<Lookup>(const Reading& r, const Lookup& op) {
    TRY_OK(checkName(op.name));
    TRY_OK(inodes::loadOpenDirectory(r.config, r.rows, op.dir));
    const auto entry = entries::visible(r.rows, op.dir, op.name);
    if (!entry) return Error(Code::NotFound, "name " + op.name.substr(0, 120));
    return Lookup::Reply{entry->target, entry->edge, inodes::attributesHere(r.config, r.rows, entry->target)};
}

} // namespace skua::shard
