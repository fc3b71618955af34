// MakeDir: the directory first, then its name: a name never leads nowhere. Its policy comes last, when its parent
// has told it; by then others know the name, and the directory may be elsewhere (SetParent::created_in).
#include "cdc/ops/script.h"
#include "core/data/names.h"

namespace skua::cdc {

template <>
std::vector<EntryName> Script<MakeDir>::names(const MakeDir& op) {
    return {{op.dir, op.name}};
}

template <>
Result<> Script<MakeDir>::check(const MakeDir& op) {
    TRY_OK(checkDirectory(op.dir));
    return checkName(op.name);
}

template <>
Next Script<MakeDir>::forward(const Txn& t, const MakeDir& op) {
    switch (t.phase) {
        case 0: {
            shard::CreateDir create;
            create.dir = t.dir;
            create.parent = op.dir;
            create.mode = op.mode & 07777;
            create.uid = op.uid;
            create.gid = op.gid;
            return Send{t.dir.shard(), create};
        }
        case 1: {
            shard::AddEntry add;
            add.dir = op.dir;
            add.name = op.name;
            add.target = t.dir;
            return Send{op.dir.shard(), add};
        }
        case 2: {
            if (t.policy_a == Policy{}) return Skip{};
            shard::SetParent set;
            set.dir = t.dir;
            set.parent = op.dir;
            set.resolved = t.policy_a;
            set.created_in = op.dir; // it may be elsewhere by now: renamed as soon as it had its name
            return Send{t.dir.shard(), set};
        }
        default: return Finish{};
    }
}

template <>
Next Script<MakeDir>::backward(const Txn& t, const MakeDir&) {
    if (t.phase != 0) return Skip{};
    shard::DropDir drop;
    drop.dir = t.dir;
    return Send{t.dir.shard(), drop};
}

template <>
Result<> Script<MakeDir>::took(Txn& t, const MakeDir&, const std::string& reply) {
    if (t.phase == 0) {
        TRY(auto made, replyOf<shard::CreateDir::Reply>(reply));
        t.made = made.attributes;
    } else if (t.phase == 1) {
        // It has its name: an odd reply must not be asked for again, that would be Exists.
        if (auto added = replyOf<shard::AddEntry::Reply>(reply)) t.policy_a = added->resolved;
    }
    return Ok{};
}

template <>
bool Script<MakeDir>::pointOfNoReturn(const Txn& t, const MakeDir&) {
    return t.phase == 1;
}

template <>
std::string Script<MakeDir>::reply(const Txn& t, const MakeDir&) {
    MakeDir::Reply reply;
    reply.made = t.made;
    return wire::encode(reply);
}

} // namespace skua::cdc
