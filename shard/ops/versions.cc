#include "core/data/names.h"
#include "shard/entries.h"
#include "shard/inodes.h"
#include "shard/ops/apply.h"

namespace skua::shard {

namespace {
constexpr std::size_t kMost = 1024;
}

// Of a removed directory too: its past can still be looked at.
template <>
Result<Versions::Reply> read<Versions>(const Reading& r, const Versions& op) {
    TRY_OK(checkName(op.name));
    TRY(const Inode dir, inodes::load(r.config, r.rows, op.dir));
    if (!dir.directory) return Error(Code::NotDirectory, show(op.dir));
    Versions::Reply reply;
    const PastNamePrefix name{op.dir, entries::hashOf(op.name), op.name};
    PastEntries::scan(r.rows, name, [&](const PastEntryKey& key, const PastEntryRow& row) {
        reply.entries.push_back(entries::show(r.config, r.rows, key, row));
        return reply.entries.size() < kMost;
    });
    return reply;
}

} // namespace skua::shard
