// Cookies are hashes, so a position stays right while names come and go. Names with equal hashes have one
// cookie: a reply does not end between them, but for a limit that only an attack can reach.
#include <algorithm>
#include "shard/entries.h"
#include "shard/inodes.h"
#include "shard/ops/apply.h"

namespace skua::shard {

namespace {
constexpr u32 kMostEntries = 4096, kMostAtAll = 4 * kMostEntries;
}

template <>
Result<ReadDir::Reply> read<ReadDir>(const Reading& r, const ReadDir& op) {
    TRY(const Inode dir, inodes::loadOpenDirectory(r.config, r.rows, op.dir));
    if (op.limit == 0) return Error(Code::Invalid, "a limit of 0 entries");
    const u32 limit = std::min(op.limit, kMostEntries);
    ReadDir::Reply reply;
    reply.parent = dir.directory->parent;
    reply.end = true;
    EntryKey from{op.dir, 0, {}};
    if (op.cookie >= entries::kFirstCookie) from.hash = op.cookie - entries::kFirstCookie + 1;
    Entries::scan(
        r.rows, DirPrefix{op.dir},
        [&](const EntryKey& key, const Entry& entry) {
            if (entry.target.none()) return true; // a name that a transaction holds free
            const u64 cookie = key.hash + entries::kFirstCookie;
            const bool full = reply.entries.size() >= limit && reply.entries.back().cookie != cookie;
            if (full || reply.entries.size() >= kMostAtAll) {
                reply.end = false;
                return false;
            }
            reply.entries.push_back({cookie, key.name, entry.target, {}});
            return true;
        },
        from);
    for (DirEntry& e : reply.entries) e.attributes = inodes::attributesHere(r.config, r.rows, e.inode);
    return reply;
}

} // namespace skua::shard
