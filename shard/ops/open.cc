// Open: all that a reader needs of a small file in one answer.
#include "core/data/receipt.h"
#include "shard/contents.h"
#include "shard/inodes.h"
#include "shard/ops/apply.h"

namespace skua::shard {

template <>
Result<Open::Reply> read(const Reading& r, const Open& op) {
    TRY(const Inode inode, inodes::load(r.config, r.rows, op.inode));
    if (inode.directory) return Error(Code::IsDirectory, show(op.inode));
    if (!op.inode.isFile()) return Error(Code::Invalid, show(op.inode) + " is no regular file");
    Open::Reply reply;
    reply.attributes = inodes::attributesOf(op.inode, inode);
    reply.inline_bytes = inode.inline_bytes;
    if (!inode.inline_bytes) reply.more = contents::readSpans(r.rows, inode.content, 0, contents::kSpansInOpen, reply.spans);
    reply.read_key = readKeyOf(r.keys.readKeyKey(), inode.content);
    return reply;
}

} // namespace skua::shard
