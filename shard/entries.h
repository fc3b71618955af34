// Entries: what the names of a directory name, and what they named until lately.
//
//   (none) ──add──► entry ──removeToPast──► past entry ──undelete──► entry (another name)
//                     │                         └──retention over──► purged: a pin less
//                     └──set──► names another; the old target to a past entry, or not
//
// A lock holds off everybody but its transaction. A locked absent name is a row without target.
// The directory's row changes along: mtime, ctime, count of entries, nlink for subdirectories.
#pragma once

#include "shard/context.h"

namespace skua::shard::entries {

// 62 bits of XXH3, so that hash + 3 is a cookie that the kernel takes for a positive number.
u64 hashOf(std::string_view name);
inline EntryKey keyOf(InodeId dir, const std::string& name) { return {dir, hashOf(name), name}; }
inline PastEntryKey pastKeyOf(InodeId dir, const std::string& name, Wall until) {
    return {dir, hashOf(name), name, wire::Newest::of(until)};
}
inline constexpr u64 kFirstCookie = 3; // 0 start, 1 ".", 2 ".."

// What is there for everybody to see; none: nothing.
std::optional<Entry> visible(const store::Reader&, InodeId dir, const std::string& name);
// Locked if a transaction other than `txn` holds the name.
Result<> checkUnlocked(const std::optional<Entry>&, TxnId txn = {});

// A directory that entries are changed in: one load, one store.
struct Dir {
    InodeId id;
    Inode row;
};
// NotFound (none, or closed), NotDirectory, Invalid (another shard).
Result<Dir> open(const Context&, InodeId dir);

// Gives `target` the name. Exists{inode}, Locked, Invalid and NameTooLong for bad names.
Result<> add(Context&, Dir&, const std::string& name, InodeId target, TxnId txn = {});
// The same in one go, for an operation that makes one entry.
Result<> add(Context&, InodeId dir, const std::string& name, InodeId target);
// The name goes on to name `target`, whatever it named; `past`: what it named becomes a past entry and loses
// a link. Any lock on it ends.
Result<> set(Context&, Dir&, const std::string& name, InodeId target, bool past, ClientId hold = {}, TxnId txn = {});
// The name goes. NotFound if it names nothing.
Result<> remove(Context&, Dir&, const std::string& name, bool past, ClientId hold = {}, TxnId txn = {});
void store(Context&, const Dir&); // call once after the changes

// CommitFile's replace: what was there becomes past and the name names `target`. Returns the old target or 0.
// IsDirectory if that is what is there.
Result<InodeId> replace(Context&, InodeId dir, const std::string& name, InodeId target);

// --- past entries ---
Result<PastEntryRow> loadPast(const store::Reader&, const PastEntryKey&);
void erasePast(Context&, const PastEntryKey&, const PastEntryRow&); // the row and its expiry row
bool hasPast(const store::Reader&, InodeId dir);
PastEntry show(const ShardConfig&, const store::Reader&, const PastEntryKey&, const PastEntryRow&);

} // namespace skua::shard::entries
