#include "shard/context.h"

namespace skua::shard {

std::string show(InodeId id) {
    const char* what = id.isDirectory() ? "directory " : id.isFile() ? "file " : "inode ";
    return what + std::to_string(id.counter()) + " of shard " + std::to_string(id.shard().value);
}

Error notHere(InodeId id, ShardId here) {
    return Error(Code::Invalid, show(id) + " was asked of shard " + std::to_string(here.value) + "; ask its own");
}

Error noInode(InodeId id) { return Error(Code::NotFound, show(id) + " does not exist"); }

} // namespace skua::shard
