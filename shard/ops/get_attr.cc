#include "shard/inodes.h"
#include "shard/ops/apply.h"

namespace skua::shard {

namespace {
constexpr std::size_t kMost = 4096;
}

template <>
Result<GetAttr::Reply> read<GetAttr>(const Reading& r, const GetAttr& op) {
    if (op.inodes.size() > kMost) return Error(Code::Invalid, "at most 4096 inodes at once");
    GetAttr::Reply reply;
    reply.attributes.reserve(op.inodes.size());
    for (InodeId id : op.inodes) reply.attributes.push_back(inodes::attributesHere(r.config, r.rows, id));
    return reply;
}

} // namespace skua::shard
