// CommitFile: inode, content and name in one log entry; from then on everybody sees the file, whole.
#include <sys/stat.h>
#include <algorithm>
#include "shard/contents.h"
#include "shard/entries.h"
#include "shard/inodes.h"
#include "shard/ops/apply.h"
#include "shard/reservations.h"

namespace skua::shard {

template <>
Result<> admit(const Reading& r, const CommitFile& op) {
    return contents::checkProofs(r, op.content.spans);
}

template <>
Result<CommitFile::Reply> apply(Context& ctx, const CommitFile& op) {
    TRY_OK(inodes::checkXattrs(op.xattrs));
    TRY(Inode inode, inodes::fresh(ctx, op.inode, InodeType::kFile, S_IFREG | (op.mode & 07777), op.uid, op.gid));
    TRY_OK(reservations::useInode(ctx, op.reservation, op.inode));
    TRY_OK(contents::make(ctx, op.reservation, op.content, inode));
    if (op.atime != Wall{}) inode.atime = op.atime;
    if (op.mtime != Wall{}) inode.mtime = op.mtime;
    inode.xattrs = op.xattrs;
    std::sort(inode.xattrs.begin(), inode.xattrs.end(), [](const Xattr& a, const Xattr& b) { return a.name < b.name; });
    auto same = [](const Xattr& a, const Xattr& b) { return a.name == b.name; };
    if (std::adjacent_find(inode.xattrs.begin(), inode.xattrs.end(), same) != inode.xattrs.end())
        return Error(Code::Invalid, "an attribute is there twice");
    inodes::store(ctx, op.inode, inode);
    CommitFile::Reply reply;
    if (op.commit_mode == CommitMode::kReplace) {
        TRY(reply.replaced, entries::replace(ctx, op.dir, op.name, op.inode));
    } else if (op.commit_mode == CommitMode::kCreate) {
        TRY_OK(entries::add(ctx, op.dir, op.name, op.inode));
    } else {
        return Error(Code::Invalid, "no such mode of committing");
    }
    reply.attributes = inodes::attributesOf(op.inode, inode);
    return reply;
}

} // namespace skua::shard
