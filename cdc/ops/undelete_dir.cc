// UndeleteDir: a removed directory is opened again under a free name. What was in it comes after, one by one.
#include "cdc/ops/script.h"
#include "core/data/names.h"

namespace skua::cdc {

template <>
std::vector<EntryName> Script<UndeleteDir>::names(const UndeleteDir& op) {
    return {{op.to_dir, op.to_name}};
}

template <>
Result<> Script<UndeleteDir>::check(const UndeleteDir& op) {
    TRY_OK(checkDirectory(op.dir));
    TRY_OK(checkDirectory(op.to_dir));
    TRY_OK(checkDirectory(op.inode));
    TRY_OK(checkName(op.name));
    return checkName(op.to_name);
}

template <>
Next Script<UndeleteDir>::forward(const Txn& t, const UndeleteDir& op) {
    switch (t.phase) {
        case 0: return lockEntry(op.to_dir, op.to_name, InodeId{}, true);
        case 1: {
            shard::LockPast lock;
            lock.dir = op.dir;
            lock.name = op.name;
            lock.until = op.wall;
            lock.expected = op.inode;
            return Send{op.dir.shard(), lock};
        }
        case 2: {
            shard::OpenDir open;
            open.dir = op.inode;
            open.parent = op.to_dir;
            open.resolved = t.policy_a;
            return Send{op.inode.shard(), open};
        }
        case 3: {
            shard::SetEntry set;
            set.dir = op.to_dir;
            set.name = op.to_name;
            set.target = op.inode;
            return Send{op.to_dir.shard(), set};
        }
        case 4: {
            shard::DropPast drop;
            drop.dir = op.dir;
            drop.name = op.name;
            drop.until = op.wall;
            return Send{op.dir.shard(), drop};
        }
        default: return Finish{};
    }
}

template <>
Next Script<UndeleteDir>::backward(const Txn& t, const UndeleteDir& op) {
    if (t.phase == 0) return unlockEntry(op.to_dir, op.to_name);
    if (t.phase == 1) {
        shard::UnlockPast unlock;
        unlock.dir = op.dir;
        unlock.name = op.name;
        unlock.until = op.wall;
        return Send{op.dir.shard(), unlock};
    }
    return Skip{};
}

template <>
Result<> Script<UndeleteDir>::took(Txn& t, const UndeleteDir&, const std::string& reply) {
    if (t.phase != 0) return Ok{};
    TRY(auto locked, replyOf<shard::LockEntry::Reply>(reply));
    t.policy_a = locked.resolved;
    return Ok{};
}

template <>
bool Script<UndeleteDir>::pointOfNoReturn(const Txn& t, const UndeleteDir&) {
    return t.phase >= 2;
}

template <>
std::string Script<UndeleteDir>::reply(const Txn&, const UndeleteDir&) {
    return wire::encode(UndeleteDir::Reply{});
}

} // namespace skua::cdc
