// A closed directory is removed, or about to be: nothing can be made in it, and its own past entry pins it.
#include "core/base/probe.h"
#include "shard/inodes.h"
#include "shard/ops/apply.h"
#include "shard/policy.h"

namespace skua::shard {

template <>
Result<Done> act<CloseDir>(Context& ctx, TxnId, const CloseDir& op) {
    if (op.dir == kRoot) return Error(Code::NotPermitted, "the root stays");
    TRY(Inode row, inodes::load(ctx.config, ctx.rows, op.dir));
    if (!row.directory) return Error(Code::NotDirectory, show(op.dir));
    if (row.directory->closed) return Done{}; // this transaction's: it holds the only name
    if (row.directory->entries != 0) return Code::NotEmpty;
    bool locked = false;
    Entries::scan(ctx.rows, DirPrefix{op.dir}, [&](const EntryKey&, const Entry&) { return !(locked = true); });
    if (locked) PROBE("an empty directory has a locked name");
    if (locked) return Code::Locked;
    row.directory->closed = true;
    row.pins = 1;
    row.ctime = ctx.now.wall;
    inodes::store(ctx, op.dir, row);
    return Done{};
}

template <>
Result<Done> act<OpenDir>(Context& ctx, TxnId, const OpenDir& op) {
    TRY(Inode row, inodes::load(ctx.config, ctx.rows, op.dir));
    if (!row.directory) return Error(Code::NotDirectory, show(op.dir));
    if (!op.parent.isDirectory() || !op.parent.wellFormed()) return Error(Code::Invalid, "the parent is no directory");
    row.directory->closed = false;
    row.directory->parent = op.parent;
    row.directory->resolved = inherit(row.directory->own, inherit(op.resolved, ctx.config.policy));
    row.pins = 0;
    row.ctime = ctx.now.wall;
    inodes::store(ctx, op.dir, row);
    return Done{};
}

} // namespace skua::shard
