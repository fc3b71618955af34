// Inodes: their rows, who keeps them alive, and their death.
//
//   alive ──count() to nlink 0, pins 0──► held? ──no──► dead: row removed, content abandoned, past contents
//                                           └─yes: looked at again when the hold ends      filed as kDyingInode
//   a directory: closed, pins 0, no past entry in it, not held
#pragma once

#include "shard/context.h"

namespace skua::shard::inodes {

// NotFound; Invalid if it lives in another shard.
Result<Inode> load(const ShardConfig&, const store::Reader&, InodeId);
// The same, and it must be a directory (NotDirectory) that is not closed (NotFound).
Result<Inode> loadOpenDirectory(const ShardConfig&, const store::Reader&, InodeId);
// Writes it and keeps the totals right: the only way to change an inode's row.
void store(Context&, InodeId, const Inode&);
void remove(Context&, InodeId);

Attributes attributesOf(InodeId, const Inode&);
// None where the inode lives elsewhere or is gone.
std::optional<Attributes> attributesHere(const ShardConfig&, const store::Reader&, InodeId);

// A new inode's row: times of the entry, nlink 1 (a directory: 2). The id's type must fit;
// Exists{id} if it is in use: the same commit came before, or the client mixes its ids up.
Result<Inode> fresh(const Context&, InodeId, InodeType, u32 mode, u32 uid, u32 gid);

// Adds to the counts of an inode that may live elsewhere (then by the outbox: the answer to the client
// waits for it). ctime 0 leaves it. Inodes that are gone are not counted.
void count(Context&, InodeId, i32 nlink, i32 pins, Wall ctime, ClientId hold = {});
// Of one that lives here. Lets it die if nothing keeps it.
void countHere(Context&, const CountLinks&);
// A link more, on the loaded row: NotPermitted for directories, NotFound without a name, TooManyLinks.
Result<> addLink(const Context&, Inode&);
// Lets it die if nothing keeps it (a hold's end, the last past entry of a closed directory).
void reconsider(Context&, InodeId);

// Permissions, owner and atime, as far as the operation says them (SetAttr, SetContent, EditContent).
template <class Op>
void setSome(Inode& row, const Op& op) {
    constexpr u32 kPermissions = 07777;
    if (op.mode) row.mode = (row.mode & ~kPermissions) | (*op.mode & kPermissions);
    if (op.uid) row.uid = *op.uid;
    if (op.gid) row.gid = *op.gid;
    if (op.atime) row.atime = *op.atime;
}

Result<> checkXattr(std::string_view name, const Bytes& value);
// All of them together: NoSpace over kMaxXattrs.
Result<> checkXattrs(const std::vector<Xattr>&);

} // namespace skua::shard::inodes
