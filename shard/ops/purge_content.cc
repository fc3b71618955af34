// PurgeNow, where it speaks of a file's past content.
#include "shard/contents.h"
#include "shard/inodes.h"
#include "shard/ops/apply.h"

namespace skua::shard {

Result<> purgeContentNow(Context& ctx, InodeId inode, Wall until) {
    TRY_OK(inodes::load(ctx.config, ctx.rows, inode));
    return contents::purgePast(ctx, inode, until);
}

} // namespace skua::shard
