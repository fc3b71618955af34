// What it can do needs no other group: nothing that changes a directory's parent or replaces a directory.
#include "core/data/names.h"
#include "shard/entries.h"
#include "shard/inodes.h"
#include "shard/ops/apply.h"

namespace skua::shard {

template <>
Result<RenameHere::Reply> apply<RenameHere>(Context& ctx, const RenameHere& op) {
    TRY_OK(checkName(op.from_name));
    TRY_OK(checkName(op.to_name));
    if (!isHere(ctx.config, op.from_dir) || !isHere(ctx.config, op.to_dir))
        return Error(Code::NotSupported, "the directories are in different shards; ask the coordinator");
    const bool same_dir = op.from_dir == op.to_dir;
    TRY(auto from, entries::open(ctx, op.from_dir));
    TRY(auto to, entries::open(ctx, op.to_dir));

    const auto source = entries::visible(ctx.rows, op.from_dir, op.from_name);
    if (!source || (!op.moved.none() && source->target != op.moved))
        return Error(Code::NotFound, "name " + op.from_name.substr(0, 120));
    TRY_OK(entries::checkUnlocked(source));
    TRY_OK(entries::checkUnlocked(Entries::get(ctx.rows, entries::keyOf(op.to_dir, op.to_name))));
    const InodeId moved = source->target;
    if (moved.isDirectory() && !same_dir) return Error(Code::NotSupported, "a directory changes its parent; ask the coordinator");

    const auto there = entries::visible(ctx.rows, op.to_dir, op.to_name);
    RenameHere::Reply reply;
    if (there) {
        if (op.no_replace) return Error::exists(there->target);
        if (there->target == moved) return reply; // POSIX: two names of one inode both stay
        if (there->target.isDirectory()) return Error(Code::NotSupported, "a directory would be replaced; ask the coordinator");
        if (moved.isDirectory()) return Error(Code::NotDirectory, "name " + op.to_name.substr(0, 120));
        reply.replaced = there->target;
    }
    auto& target_dir = same_dir ? from : to;
    TRY_OK(entries::remove(ctx, from, op.from_name, /*past=*/false));
    TRY_OK(entries::set(ctx, target_dir, op.to_name, moved, /*past=*/true, op.hold ? ctx.client : ClientId{}));
    entries::store(ctx, from);
    if (!same_dir) entries::store(ctx, to);
    if (isHere(ctx.config, moved)) inodes::count(ctx, moved, 0, 0, ctx.now.wall); // as SetEntry does
    return reply;
}

} // namespace skua::shard
