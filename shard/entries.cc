#include "shard/entries.h"
#include <xxhash.h>
#include "core/base/probe.h"
#include "core/data/names.h"
#include "shard/expiry.h"
#include "shard/inodes.h"

namespace skua::shard {

namespace entries {

namespace {

Error show(Code code, const std::string& name) { return Error(code, "name " + name.substr(0, 120)); }

// The directory changes with its entries.
void touch(const Context& ctx, Dir& dir) { dir.row.mtime = dir.row.ctime = ctx.now.wall; }

void gains(Dir& dir, InodeId target) {
    dir.row.directory->entries++;
    if (target.isDirectory()) dir.row.nlink++;
}
void loses(Dir& dir, InodeId target) {
    dir.row.directory->entries--;
    if (target.isDirectory()) dir.row.nlink--;
}

// What `name` named until now. A directory was pinned by CloseDir; anything else loses a link for a pin.
void toPast(Context& ctx, const Dir& dir, const std::string& name, InodeId target, ClientId hold) {
    const auto fate = expiry::fateOf(ctx, dir.row.directory->resolved);
    PastEntryRow past;
    past.target = target;
    past.purge = fate.purge;
    past.not_before = fate.not_before;
    past.filed = expiry::file(ctx, Due::at(fate.purge), ExpiryKind::kPastEntry, dir.id.value, ctx.now.wall.value, name);
    PastEntries::put(ctx.rows, pastKeyOf(dir.id, name, ctx.now.wall), past);
    if (!target.isDirectory()) inodes::count(ctx, target, -1, 1, ctx.now.wall, hold);
}

Result<> checkTarget(const Context& ctx, InodeId target) {
    if (!target.wellFormed() || target.shard().value >= ctx.config.shards)
        return Error(Code::Invalid, "an entry's target is no inode of this cluster");
    return Ok{};
}

} // namespace

u64 hashOf(std::string_view name) { return XXH3_64bits(name.data(), name.size()) >> 2; }

std::optional<Entry> visible(const store::Reader& rows, InodeId dir, const std::string& name) {
    auto entry = Entries::get(rows, keyOf(dir, name));
    if (entry && entry->target.none()) entry.reset();
    return entry;
}

Result<> checkUnlocked(const std::optional<Entry>& entry, TxnId txn) {
    if (!entry || entry->lock == TxnId{} || entry->lock == txn) return Ok{};
    PROBE("a name is locked by a transaction");
    return Code::Locked;
}

Result<Dir> open(const Context& ctx, InodeId dir) {
    TRY(Inode row, inodes::loadOpenDirectory(ctx.config, ctx.rows, dir));
    return Dir{dir, std::move(row)};
}

Result<> add(Context& ctx, Dir& dir, const std::string& name, InodeId target, TxnId txn) {
    TRY_OK(checkName(name));
    TRY_OK(checkTarget(ctx, target));
    const auto key = keyOf(dir.id, name);
    const auto there = Entries::get(ctx.rows, key);
    TRY_OK(checkUnlocked(there, txn));
    if (there && !there->target.none()) return Error::exists(there->target);
    Entries::put(ctx.rows, key, {target, ctx.now.wall, TxnId{}});
    gains(dir, target);
    touch(ctx, dir);
    return Ok{};
}

Result<> add(Context& ctx, InodeId id, const std::string& name, InodeId target) {
    TRY(Dir dir, open(ctx, id));
    TRY_OK(add(ctx, dir, name, target));
    store(ctx, dir);
    return Ok{};
}

Result<> set(Context& ctx, Dir& dir, const std::string& name, InodeId target, bool past, ClientId hold, TxnId txn) {
    TRY_OK(checkName(name));
    TRY_OK(checkTarget(ctx, target));
    const auto key = keyOf(dir.id, name);
    const auto there = Entries::get(ctx.rows, key);
    TRY_OK(checkUnlocked(there, txn));
    if (there && !there->target.none()) {
        loses(dir, there->target);
        if (past) toPast(ctx, dir, name, there->target, hold);
    }
    Entries::put(ctx.rows, key, {target, ctx.now.wall, TxnId{}});
    gains(dir, target);
    touch(ctx, dir);
    return Ok{};
}

Result<> remove(Context& ctx, Dir& dir, const std::string& name, bool past, ClientId hold, TxnId txn) {
    TRY_OK(checkName(name));
    const auto key = keyOf(dir.id, name);
    const auto there = Entries::get(ctx.rows, key);
    TRY_OK(checkUnlocked(there, txn));
    if (!there || there->target.none()) return show(Code::NotFound, name);
    Entries::erase(ctx.rows, key);
    loses(dir, there->target);
    touch(ctx, dir);
    if (past) toPast(ctx, dir, name, there->target, hold);
    return Ok{};
}

void store(Context& ctx, const Dir& dir) { inodes::store(ctx, dir.id, dir.row); }

Result<InodeId> replace(Context& ctx, InodeId id, const std::string& name, InodeId target) {
    TRY(Dir dir, open(ctx, id));
    const auto there = visible(ctx.rows, id, name);
    const InodeId old = there ? there->target : InodeId{};
    if (old.isDirectory()) return show(Code::IsDirectory, name);
    if (old == target) return Error::exists(target);
    TRY_OK(set(ctx, dir, name, target, /*past=*/true));
    store(ctx, dir);
    return old;
}

Result<PastEntryRow> loadPast(const store::Reader& rows, const PastEntryKey& key) {
    return PastEntries::find(rows, key,
                             Error(Code::NotFound, "no such version of " + key.name.substr(0, 120) + "; it may be purged"));
}

void erasePast(Context& ctx, const PastEntryKey& key, const PastEntryRow& row) {
    PastEntries::erase(ctx.rows, key);
    if (row.lock == TxnId{})
        expiry::unfile(ctx, row.filed, ExpiryKind::kPastEntry, key.dir.value, key.until.wall().value, key.name);
}

bool hasPast(const store::Reader& rows, InodeId dir) {
    bool any = false;
    PastEntries::scan(rows, DirPrefix{dir}, [&](const PastEntryKey&, const PastEntryRow&) {
        any = true;
        return false;
    });
    return any;
}

PastEntry show(const ShardConfig& config, const store::Reader& rows, const PastEntryKey& key, const PastEntryRow& row) {
    return {key.name, key.until.wall(), row.target, row.purge, inodes::attributesHere(config, rows, row.target)};
}

} // namespace entries

// Retention is over. Holds need no look here: a held inode outlives its last pin until the hold ends.
template <>
void expiry::expire<ExpiryKind::kPastEntry>(Context& ctx, const ExpiryKey& key, const Expiry&) {
    const InodeId dir{key.id};
    const auto at = entries::pastKeyOf(dir, key.name, Wall{key.extra});
    auto row = PastEntries::get(ctx.rows, at);
    if (!row || row->lock != TxnId{}) return;
    if (tooYoung(ctx, row->not_before)) {
        PROBE("a past name's retention is over before its thirty minutes");
        row->filed = file(ctx, Due::at(row->not_before), ExpiryKind::kPastEntry, key.id, key.extra, key.name);
        PastEntries::put(ctx.rows, at, *row);
        return;
    }
    PastEntries::erase(ctx.rows, at);
    inodes::count(ctx, row->target, 0, -1, Wall{});
    inodes::reconsider(ctx, dir);
}

} // namespace skua::shard
