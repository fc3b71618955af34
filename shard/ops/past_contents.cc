// PastContents: what a file had before whole rewrites, newest first.
#include "shard/inodes.h"
#include "shard/ops/apply.h"

namespace skua::shard {

template <>
Result<PastContents::Reply> read(const Reading& r, const PastContents& op) {
    constexpr std::size_t kMost = 4'096;
    TRY_OK(inodes::load(r.config, r.rows, op.inode));
    PastContents::Reply reply;
    PastContentRows::scan(r.rows, op.inode, [&](const PastContentKey& key, const PastContentRow& row) {
        reply.contents.push_back({key.until.wall(), row.size, row.mtime, row.purge, row.content});
        return reply.contents.size() < kMost;
    });
    return reply;
}

} // namespace skua::shard
