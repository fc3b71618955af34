// RemoveDir: the name is locked, the directory closed if it is empty, then the name becomes a past entry.
#include "cdc/ops/script.h"
#include "core/data/names.h"

namespace skua::cdc {

template <>
std::vector<EntryName> Script<RemoveDir>::names(const RemoveDir& op) {
    return {{op.dir, op.name}};
}

template <>
Result<> Script<RemoveDir>::check(const RemoveDir& op) {
    TRY_OK(checkDirectory(op.dir));
    return checkName(op.name);
}

template <>
Next Script<RemoveDir>::forward(const Txn& t, const RemoveDir& op) {
    switch (t.phase) {
        case 0: return lockEntry(op.dir, op.name, InodeId{}, false);
        case 1: {
            shard::CloseDir close;
            close.dir = t.there_a;
            return Send{t.there_a.shard(), close};
        }
        case 2: {
            shard::RemoveEntry remove;
            remove.dir = op.dir;
            remove.name = op.name;
            remove.past = true;
            remove.target = t.there_a;
            return Send{op.dir.shard(), remove};
        }
        default: return Finish{};
    }
}

template <>
Next Script<RemoveDir>::backward(const Txn& t, const RemoveDir& op) {
    if (t.phase == 0) return unlockEntry(op.dir, op.name);
    return Skip{};
}

template <>
Result<> Script<RemoveDir>::took(Txn& t, const RemoveDir&, const std::string& reply) {
    if (t.phase != 0) return Ok{};
    TRY(auto locked, replyOf<shard::LockEntry::Reply>(reply));
    t.there_a = locked.there;
    if (locked.there.none()) return Code::NotFound;
    if (!locked.there.isDirectory()) return Code::NotDirectory;
    return Ok{};
}

template <>
bool Script<RemoveDir>::pointOfNoReturn(const Txn& t, const RemoveDir&) {
    return t.phase == 1;
}

template <>
std::string Script<RemoveDir>::reply(const Txn& t, const RemoveDir&) {
    RemoveDir::Reply reply;
    reply.removed = t.there_a;
    return wire::encode(reply);
}

} // namespace skua::cdc
