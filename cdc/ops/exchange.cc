// Exchange: two names change places, whatever they name.
#include "cdc/ops/script.h"
#include "core/data/names.h"

namespace skua::cdc {

namespace {
bool sameEntry(const Exchange& op) { return op.dir_a == op.dir_b && op.name_a == op.name_b; }
bool moves(InodeId inode, const Exchange& op) { return inode.isDirectory() && op.dir_a != op.dir_b; }

Next setParent(InodeId dir, InodeId parent, const Policy& resolved) {
    shard::SetParent set;
    set.dir = dir;
    set.parent = parent;
    set.resolved = resolved;
    return Send{dir.shard(), set};
}
Next setEntry(InodeId dir, const std::string& name, InodeId target) {
    shard::SetEntry set;
    set.dir = dir;
    set.name = name;
    set.target = target;
    return Send{dir.shard(), set};
}
} // namespace

template <>
std::vector<EntryName> Script<Exchange>::names(const Exchange& op) {
    return {{op.dir_a, op.name_a}, {op.dir_b, op.name_b}};
}

template <>
Result<> Script<Exchange>::check(const Exchange& op) {
    TRY_OK(checkDirectory(op.dir_a));
    TRY_OK(checkDirectory(op.dir_b));
    if (sameEntry(op)) return Error(Code::Invalid, "a name cannot be exchanged with itself");
    TRY_OK(checkName(op.name_a));
    return checkName(op.name_b);
}

template <>
Next Script<Exchange>::forward(const Txn& t, const Exchange& op) {
    const InodeId a = t.there_a, b = t.there_b;
    switch (t.phase) {
        case 0: return lockEntry(op.dir_a, op.name_a, op.inode_a, false);
        case 1: return lockEntry(op.dir_b, op.name_b, op.inode_b, false);
        case 2:
            if (!moves(a, op)) return Skip{};
            return Walk{op.dir_b, a};
        case 3:
            if (!moves(b, op)) return Skip{};
            return Walk{op.dir_a, b};
        case 4:
            if (!moves(a, op)) return Skip{};
            return setParent(a, op.dir_b, t.policy_b);
        case 5:
            if (!moves(b, op)) return Skip{};
            return setParent(b, op.dir_a, t.policy_a);
        case 6: return setEntry(op.dir_a, op.name_a, b);
        case 7: return setEntry(op.dir_b, op.name_b, a);
        default: return Finish{};
    }
}

template <>
Next Script<Exchange>::backward(const Txn& t, const Exchange& op) {
    if (t.phase == 0) return unlockEntry(op.dir_a, op.name_a);
    if (t.phase == 1) return unlockEntry(op.dir_b, op.name_b);
    return Skip{};
}

template <>
Result<> Script<Exchange>::took(Txn& t, const Exchange&, const std::string& reply) {
    if (t.phase > 1) return Ok{};
    TRY(auto locked, replyOf<shard::LockEntry::Reply>(reply));
    (t.phase == 0 ? t.there_a : t.there_b) = locked.there;
    (t.phase == 0 ? t.policy_a : t.policy_b) = locked.resolved;
    if (locked.there.none()) return Code::NotFound;
    return Ok{};
}

template <>
bool Script<Exchange>::pointOfNoReturn(const Txn& t, const Exchange&) {
    return t.phase >= 4;
}

template <>
std::string Script<Exchange>::reply(const Txn&, const Exchange&) {
    return wire::encode(Exchange::Reply{});
}

} // namespace skua::cdc
