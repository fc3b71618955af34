#include "cdc/ops/script.h"

namespace skua::cdc {

Send lockEntry(InodeId dir, const std::string& name, InodeId expected, bool absent) {
    shard::LockEntry lock;
    lock.dir = dir;
    lock.name = name;
    lock.expected = expected;
    lock.absent = absent;
    return {dir.shard(), lock};
}

Send unlockEntry(InodeId dir, const std::string& name) {
    shard::UnlockEntry unlock;
    unlock.dir = dir;
    unlock.name = name;
    return {dir.shard(), unlock};
}

Result<> checkDirectory(InodeId dir) {
    if (!dir.wellFormed() || !dir.isDirectory()) return Error(Code::NotDirectory, "the id is not a directory's");
    return Ok{};
}

} // namespace skua::cdc
