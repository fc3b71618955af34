#include <algorithm>
#include "core/data/names.h"
#include "shard/entries.h"
#include "shard/inodes.h"
#include "shard/ops/apply.h"

namespace skua::shard {

namespace {
constexpr u32 kMost = 4096;
}

template <>
Result<ListPast::Reply> read<ListPast>(const Reading& r, const ListPast& op) {
    TRY(const Inode dir, inodes::load(r.config, r.rows, op.dir));
    if (!dir.directory) return Error(Code::NotDirectory, show(op.dir));
    if (op.limit == 0) return Error(Code::Invalid, "a limit of 0 entries");
    std::optional<PastEntryKey> after;
    if (!op.after_name.empty()) {
        TRY_OK(checkName(op.after_name));
        after = entries::pastKeyOf(op.dir, op.after_name, op.after_until);
    }
    const u32 limit = std::min(op.limit, kMost);
    ListPast::Reply reply;
    reply.end = true;
    PastEntries::scan(
        r.rows, DirPrefix{op.dir},
        [&](const PastEntryKey& key, const PastEntryRow& row) {
            if (after && key == *after) return true;
            if (reply.entries.size() == limit) {
                reply.end = false;
                return false;
            }
            reply.entries.push_back(entries::show(r.config, r.rows, key, row));
            return true;
        },
        after);
    return reply;
}

} // namespace skua::shard
