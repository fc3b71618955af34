// Link between shards: the free name is locked, the inode counts one more, the name names it.
#include "cdc/ops/script.h"
#include "core/data/names.h"

namespace skua::cdc {

template <>
std::vector<EntryName> Script<Link>::names(const Link& op) {
    return {{op.dir, op.name}};
}

template <>
Result<> Script<Link>::check(const Link& op) {
    TRY_OK(checkDirectory(op.dir));
    if (!op.inode.wellFormed()) return Error(Code::Invalid, "the id is not an inode's");
    if (op.inode.isDirectory()) return Error(Code::NotPermitted, "a directory has one name only");
    return checkName(op.name);
}

template <>
Next Script<Link>::forward(const Txn& t, const Link& op) {
    switch (t.phase) {
        case 0: return lockEntry(op.dir, op.name, InodeId{}, true);
        case 1: {
            shard::AddLink add;
            add.inode = op.inode;
            return Send{op.inode.shard(), add};
        }
        case 2: {
            shard::SetEntry set;
            set.dir = op.dir;
            set.name = op.name;
            set.target = op.inode;
            return Send{op.dir.shard(), set};
        }
        default: return Finish{};
    }
}

template <>
Next Script<Link>::backward(const Txn& t, const Link& op) {
    if (t.phase == 0) return unlockEntry(op.dir, op.name);
    if (t.phase == 1) {
        shard::DropLink drop;
        drop.inode = op.inode;
        return Send{op.inode.shard(), drop};
    }
    return Skip{};
}

template <>
Result<> Script<Link>::took(Txn&, const Link&, const std::string&) {
    return Ok{};
}

template <>
bool Script<Link>::pointOfNoReturn(const Txn& t, const Link&) {
    return t.phase == 2;
}

template <>
std::string Script<Link>::reply(const Txn&, const Link&) {
    return wire::encode(Link::Reply{});
}

} // namespace skua::cdc
