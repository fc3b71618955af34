// Rename: both names locked; a directory that changes its parent is moved under the move lock, since two
// moves that are each harmless can close a loop together (write skew).
#include "cdc/ops/script.h"
#include "core/data/names.h"

namespace skua::cdc {

namespace {
bool sameEntry(const Rename& op) { return op.from_dir == op.to_dir && op.from_name == op.to_name; }
// The two names are links of one inode, or one name: nothing is to be done but unlock.
bool nothingToDo(const Txn& t, const Rename& op) { return sameEntry(op) || t.there_b == t.there_a; }
bool changesParent(const Txn& t, const Rename& op) { return t.there_a.isDirectory() && op.from_dir != op.to_dir; }
} // namespace

template <>
std::vector<EntryName> Script<Rename>::names(const Rename& op) {
    if (sameEntry(op)) return {{op.from_dir, op.from_name}};
    return {{op.from_dir, op.from_name}, {op.to_dir, op.to_name}};
}

template <>
Result<> Script<Rename>::check(const Rename& op) {
    TRY_OK(checkDirectory(op.from_dir));
    TRY_OK(checkDirectory(op.to_dir));
    TRY_OK(checkName(op.from_name));
    return checkName(op.to_name);
}

template <>
Next Script<Rename>::forward(const Txn& t, const Rename& op) {
    const InodeId moved = t.there_a, replaced = t.there_b;
    if (t.phase >= 2 && nothingToDo(t, op)) { // forward in name only: give the locks back
        if (t.phase == 2) return unlockEntry(op.from_dir, op.from_name);
        if (t.phase == 3 && !sameEntry(op)) return unlockEntry(op.to_dir, op.to_name);
        if (t.phase == 3) return Skip{};
        return Finish{};
    }
    switch (t.phase) {
        case 0: return lockEntry(op.from_dir, op.from_name, op.moved, false);
        case 1:
            if (sameEntry(op)) return Skip{};
            return lockEntry(op.to_dir, op.to_name, InodeId{}, false);
        case 2:
            if (!changesParent(t, op)) return Skip{};
            return Walk{op.to_dir, moved};
        case 3: {
            if (!replaced.isDirectory() || replaced.none()) return Skip{};
            shard::CloseDir close;
            close.dir = replaced;
            return Send{replaced.shard(), close};
        }
        case 4: {
            if (!changesParent(t, op)) return Skip{};
            shard::SetParent set;
            set.dir = moved;
            set.parent = op.to_dir;
            set.resolved = t.policy_b;
            return Send{moved.shard(), set};
        }
        case 5: {
            shard::SetEntry set;
            set.dir = op.to_dir;
            set.name = op.to_name;
            set.target = moved;
            set.past = !replaced.none();
            return Send{op.to_dir.shard(), set};
        }
        case 6: {
            shard::RemoveEntry remove;
            remove.dir = op.from_dir;
            remove.name = op.from_name;
            remove.target = moved;
            return Send{op.from_dir.shard(), remove};
        }
        default: return Finish{};
    }
}

template <>
Next Script<Rename>::backward(const Txn& t, const Rename& op) {
    if (t.phase == 0) return unlockEntry(op.from_dir, op.from_name);
    if (t.phase == 1 && !sameEntry(op)) return unlockEntry(op.to_dir, op.to_name);
    return Skip{};
}

template <>
Result<> Script<Rename>::took(Txn& t, const Rename& op, const std::string& reply) {
    if (t.phase == 0) {
        TRY(auto locked, replyOf<shard::LockEntry::Reply>(reply));
        t.there_a = locked.there;
        t.policy_a = locked.resolved;
        if (locked.there.none()) return Code::NotFound;
        if (sameEntry(op) && op.no_replace) return Error::exists(locked.there);
    } else if (t.phase == 1) {
        TRY(auto locked, replyOf<shard::LockEntry::Reply>(reply));
        t.there_b = locked.there;
        t.policy_b = locked.resolved;
        if (locked.there.none()) return Ok{};
        if (op.no_replace) return Error::exists(locked.there);
        if (nothingToDo(t, op)) return Ok{};
        if (t.there_a.isDirectory() && !t.there_b.isDirectory()) return Code::NotDirectory;
        if (!t.there_a.isDirectory() && t.there_b.isDirectory()) return Code::IsDirectory;
    }
    return Ok{};
}

template <>
bool Script<Rename>::pointOfNoReturn(const Txn& t, const Rename& op) {
    return nothingToDo(t, op) ? t.phase >= 2 : t.phase >= 3;
}

template <>
std::string Script<Rename>::reply(const Txn& t, const Rename& op) {
    Rename::Reply reply;
    if (!nothingToDo(t, op)) reply.replaced = t.there_b;
    return wire::encode(reply);
}

} // namespace skua::cdc
