#include "shard/inodes.h"
#include <sys/stat.h>
#include <algorithm>
#include "core/base/probe.h"
#include "shard/contents.h"
#include "shard/entries.h"
#include "shard/expiry.h"
#include "shard/holds.h"
#include "shard/outbox.h"
#include "shard/totals.h"

namespace skua::shard::inodes {

namespace {

// What an inode adds to the totals, `sign` times.
void addUsage(TotalsRow& totals, const std::optional<Inode>& row, i64 sign) {
    if (!row) return;
    totals.inodes += sign;
    if (row->directory) {
        if (!row->directory->closed) totals.directories += sign;
        return;
    }
    if (S_ISREG(row->mode) && row->nlink > 0) totals.files += sign;
    (row->nlink > 0 ? totals.bytes : totals.past_bytes) += sign * static_cast<i64>(row->stored);
}

bool keptAlive(const Context& ctx, InodeId id, const Inode& row) {
    if (row.directory) {
        if (!row.directory->closed || row.pins > 0) return true;
        if (entries::hasPast(ctx.rows, id)) return true;
    } else if (row.nlink > 0 || row.pins > 0) {
        return true;
    }
    const bool held = holds::heldUntil(ctx, id).has_value();
    if (held) PROBE("a hold keeps an inode that has no name and no past");
    return held;
}

} // namespace

Result<Inode> load(const ShardConfig& config, const store::Reader& rows, InodeId id) {
    if (!id.wellFormed()) return Error(Code::Invalid, "that is no inode's id");
    if (!isHere(config, id)) return notHere(id, config.shard);
    return Inodes::find(rows, {id}, noInode(id));
}

Result<Inode> loadOpenDirectory(const ShardConfig& config, const store::Reader& rows, InodeId id) {
    TRY(Inode row, load(config, rows, id));
    if (!row.directory) return Error(Code::NotDirectory, show(id));
    if (row.directory->closed) return Error(Code::NotFound, show(id) + " was removed");
    return row;
}

void store(Context& ctx, InodeId id, const Inode& row) {
    TotalsRow difference;
    addUsage(difference, Inodes::get(ctx.rows, {id}), -1);
    addUsage(difference, row, 1);
    totals::add(ctx, difference);
    Inodes::put(ctx.rows, {id}, row);
}

void remove(Context& ctx, InodeId id) {
    TotalsRow difference;
    addUsage(difference, Inodes::get(ctx.rows, {id}), -1);
    totals::add(ctx, difference);
    Inodes::erase(ctx.rows, {id});
}

Attributes attributesOf(InodeId id, const Inode& row) {
    Attributes a;
    a.inode = id;
    a.mode = row.mode;
    a.uid = row.uid;
    a.gid = row.gid;
    a.nlink = static_cast<u32>(std::max(row.nlink, 0));
    a.size = row.size;
    a.atime = row.atime;
    a.mtime = row.mtime;
    a.ctime = row.ctime;
    a.birth = row.birth;
    a.stored = row.stored;
    a.content = row.content;
    a.generation = row.generation;
    a.device = row.device;
    if (row.directory) {
        a.parent = row.directory->parent;
        a.entries = row.directory->entries;
        if (row.directory->closed) a.nlink = 0;
    }
    return a;
}

std::optional<Attributes> attributesHere(const ShardConfig& config, const store::Reader& rows, InodeId id) {
    if (!isHere(config, id)) return std::nullopt;
    auto row = Inodes::get(rows, {id});
    if (!row) return std::nullopt;
    return attributesOf(id, *row);
}

Result<Inode> fresh(const Context& ctx, InodeId id, InodeType type, u32 mode, u32 uid, u32 gid) {
    if (!id.wellFormed() || id.type() != type) return Error(Code::Invalid, "the new inode's id has another type");
    if (!isHere(ctx.config, id)) return notHere(id, ctx.config.shard);
    if (Inodes::has(ctx.rows, {id})) return Error::exists(id);
    Inode row;
    row.mode = mode;
    row.uid = uid;
    row.gid = gid;
    row.nlink = type == InodeType::kDirectory ? 2 : 1;
    row.atime = row.mtime = row.ctime = row.birth = ctx.now.wall;
    return row;
}

void count(Context& ctx, InodeId id, i32 nlink, i32 pins, Wall ctime, ClientId hold) {
    const CountLinks message{id, nlink, pins, ctime, hold};
    if (isHere(ctx.config, id)) countHere(ctx, message);
    else outbox::send(ctx, id.shard(), message, /*answer_waits=*/nlink != 0);
}

void countHere(Context& ctx, const CountLinks& message) {
    auto row = Inodes::get(ctx.rows, {message.inode});
    if (!row) return;
    row->nlink += message.nlink;
    row->pins += message.pins;
    if (message.ctime.value != 0) row->ctime = std::max(row->ctime, message.ctime);
    store(ctx, message.inode, *row);
    if (message.hold.value != 0) holds::put(ctx, message.inode.value, message.hold);
    reconsider(ctx, message.inode);
}

Result<> addLink(const Context& ctx, Inode& row) {
    if (row.directory) return Error(Code::NotPermitted, "a directory has one name only");
    if (row.nlink <= 0) return Error(Code::NotFound, "it was removed");
    if (row.nlink >= static_cast<i32>(kMaxLinks)) return Code::TooManyLinks;
    row.nlink++;
    row.ctime = ctx.now.wall;
    return Ok{};
}

void reconsider(Context& ctx, InodeId id) {
    if (!id.wellFormed() || !isHere(ctx.config, id)) return;
    auto row = Inodes::get(ctx.rows, {id});
    if (!row || keptAlive(ctx, id, *row)) return;
    // The inode first; what it held follows in bounded steps.
    remove(ctx, id);
    if (id.isFile()) contents::inodeDied(ctx, id, *row);
}

Result<> checkXattr(std::string_view name, const Bytes& value) {
    if (name.size() > kMaxXattrName) return Error(Code::NameTooLong, "the name of an attribute has at most 255 bytes");
    if (name.empty() || name.find('\0') != name.npos) return Error(Code::Invalid, "an attribute's name is empty or has a NUL");
    if (value.value.size() > kMaxXattrs) return Error(Code::NoSpace, "attributes take at most 4 KiB in all");
    return Ok{};
}

Result<> checkXattrs(const std::vector<Xattr>& xattrs) {
    std::size_t bytes = 0;
    for (const Xattr& x : xattrs) {
        TRY_OK(checkXattr(x.name, x.value));
        bytes += x.name.size() + x.value.value.size();
    }
    if (bytes > kMaxXattrs) return Error(Code::NoSpace, "attributes take at most 4 KiB in all");
    return Ok{};
}

} // namespace skua::shard::inodes
