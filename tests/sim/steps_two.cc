// Steps of what concerns two names, or a name and its past: renames, exchanges, links, undeleting.
#include "tests/sim/steps.h"

#include <algorithm>

namespace skua::sim {

// --- two names -----------------------------------------------------------------------------------------------------

void Steps::rename() {
    const u32 from = openDir(op_.dir), to = openDir(op_.dir2);
    const bool same = op_.dir == op_.dir2 && op_.name == op_.name2;
    auto isDir = [&](u32 sym) { return sym != 0 && s().node(sym)->type == InodeType::kDirectory; };
    switch (p().pc) {
        case 0: {
            const u32 moved = from == 0 ? 0 : s().find(from, op_.name);
            if (moved == 0 || s().symOf(op_.inode) != moved) return refuse(Code::NotFound);
            if (to == 0) refuse(Code::NotFound); // RenameHere looks at both first
            if (locked(from, op_.name)) return;
            if (same) return op_.flag ? refuse(Code::Exists, {{"", moved}}) : refuse(Code::Ok, {{"replaced", 0}});
            Draft d = begin();
            d.s().locks.push_back({from, op_.name, op_.id});
            mine(d).a = moved;
            return next(std::move(d), 1);
        }
        case 1: {
            if (to == 0) return refuse(Code::NotFound);
            if (locked(to, op_.name2)) return;
            const u32 there = s().find(to, op_.name2);
            if (there != 0) {
                if (op_.flag) return refuse(Code::Exists, {{"", there}});
                if (there == p().a) return refuse(Code::Ok, {{"replaced", 0}});
                if (isDir(p().a) && !isDir(there)) return refuse(Code::NotDirectory);
                if (!isDir(p().a) && isDir(there)) return refuse(Code::IsDirectory);
            }
            Draft d = begin();
            d.s().locks.push_back({to, op_.name2, op_.id});
            mine(d).b = there;
            return next(std::move(d), 2);
        }
        case 2: {
            const u32 a = p().a, b = p().b;
            if (isDir(a) && from != to && s().within(to, a)) return refuse(Code::Invalid);
            if (isDir(b)) {
                for (const Name& n : s().names)
                    if (n.dir == b) return refuse(Code::NotEmpty);
                if (anyLockIn(b)) return again();
            }
            Draft d = begin();
            if (isDir(b)) d.s().node(b)->closed = true;
            if (isDir(a)) d.s().node(a)->parent = to;
            return next(std::move(d), 3);
        }
        case 3: {
            Draft d = begin();
            if (p().b != 0) toPast(d.s(), to, op_.name2, p().b);
            d.s().put(to, op_.name2, p().a);
            std::erase_if(d.s().locks, [&](const Lock& l) { return l.op == op_.id && l.dir == to && l.name == op_.name2; });
            return next(std::move(d), 4);
        }
        default: {
            Draft d = begin();
            d.s().take(from, op_.name);
            unlockAll(d.s());
            const u32 b = p().b;
            return finish(std::move(d), Code::Ok, {{"replaced", b}});
        }
    }
}

// The library looks both up, then the coordinator expects these.
void Steps::exchange() {
    const u32 da = openDir(op_.dir), db = openDir(op_.dir2);
    const bool same = op_.dir == op_.dir2 && op_.name == op_.name2;
    const u32 a = da == 0 ? 0 : s().find(da, op_.name), b = db == 0 ? 0 : s().find(db, op_.name2);
    auto isDir = [&](u32 sym) { return s().node(sym)->type == InodeType::kDirectory; };
    switch (p().pc) {
        case 0: {
            if (a == 0) return refuse(Code::NotFound);
            Draft d = begin();
            mine(d).a = a;
            return next(std::move(d), 1);
        }
        case 1: {
            if (b == 0) return refuse(Code::NotFound);
            Draft d = begin();
            mine(d).b = b;
            return next(std::move(d), 2);
        }
        case 2: {
            if (same) return refuse(Code::Invalid);
            if (da == 0) return refuse(Code::NotFound);
            if (locked(da, op_.name)) return;
            if (a != p().a) return refuse(Code::NotFound);
            Draft d = begin();
            d.s().locks.push_back({da, op_.name, op_.id});
            return next(std::move(d), 3);
        }
        case 3: {
            if (db == 0) return refuse(Code::NotFound);
            if (locked(db, op_.name2)) return;
            if (b != p().b) return refuse(Code::NotFound);
            Draft d = begin();
            d.s().locks.push_back({db, op_.name2, op_.id});
            return next(std::move(d), 4);
        }
        case 4: {
            if (da != db && isDir(p().a) && s().within(db, p().a)) return refuse(Code::Invalid);
            if (da != db && isDir(p().b) && s().within(da, p().b)) return refuse(Code::Invalid);
            Draft d = begin();
            if (isDir(p().a)) d.s().node(p().a)->parent = db;
            if (isDir(p().b)) d.s().node(p().b)->parent = da;
            return next(std::move(d), 5);
        }
        case 5: {
            Draft d = begin();
            d.s().put(da, op_.name, p().b);
            std::erase_if(d.s().locks, [&](const Lock& l) { return l.op == op_.id && l.dir == da && l.name == op_.name; });
            return next(std::move(d), 6);
        }
        default: {
            Draft d = begin();
            d.s().put(db, op_.name2, p().a);
            unlockAll(d.s());
            return finish(std::move(d), Code::Ok);
        }
    }
}

void Steps::link() {
    const u32 dir = openDir(op_.dir);
    if (dir == 0) return refuse(Code::NotFound);
    if (locked(dir, op_.name)) return;
    if (const u32 there = s().find(dir, op_.name)) return refuse(Code::Exists, {{"", there}});
    const u32 sym = s().symOf(op_.inode);
    const Node* n = sym == 0 ? nullptr : s().node(sym);
    if (!n) return refuse(Code::NotFound);
    const bool named = s().countNames(sym) != 0;
    // Counts of other shards' names lag behind for a moment.
    if (!named || c_.now < n->undeleted + 3 * kMinute || n->undeleted == op_.invoked) refuse(Code::NotFound);
    Draft d = begin();
    d.s().put(dir, op_.name, sym);
    finish(std::move(d), Code::Ok, {{"", sym}});
}

// --- the past ------------------------------------------------------------------------------------------------------

void Steps::undelete() {
    const u32 dir = openDir(op_.dir);
    if (dir == 0) return refuse(Code::NotFound);
    bool sure = false, any = false;
    for (std::size_t i = 0; i < s().pasts.size(); i++) {
        const Past& past = s().pasts[i];
        const u64 until = untilOf(past);
        if (past.dir != dir || past.name != op_.name || !isIt(past.node) || (until != 0 && until != op_.until)) continue;
        const u32 sym = past.node;
        any = true;
        if (until != 0 && c_.now < past.since + kSurelyKept) sure = true;
        if (locked(dir, op_.name2)) continue;
        if (const u32 there = s().find(dir, op_.name2)) {
            refuse(Code::Exists, {{"", there}});
            continue;
        }
        Draft d = begin();
        bind(d.s(), sym);
        d.s().pasts.erase(d.s().pasts.begin() + static_cast<std::ptrdiff_t>(i));
        d.s().put(dir, op_.name2, sym);
        if (Node* n = d.s().node(sym)) n->undeleted = std::max<u64>(op_.invoked, 1);
        finish(std::move(d), Code::Ok, {{"", sym}});
    }
    if (!sure || !any) refuse(Code::NotFound);
}

void Steps::undeleteDir() {
    const u32 to = openDir(op_.dir2), sym = s().symOf(op_.inode);
    auto mineIn = [&](State& s) {
        return std::find_if(s.pasts.begin(), s.pasts.end(), [&](const Past& p) { return p.lock == op_.id; });
    };
    switch (p().pc) {
        case 0: {
            if (to == 0) return refuse(Code::NotFound);
            if (locked(to, op_.name2)) return;
            if (const u32 there = s().find(to, op_.name2)) return refuse(Code::Exists, {{"", there}});
            Draft d = begin();
            d.s().locks.push_back({to, op_.name2, op_.id});
            return next(std::move(d), 1);
        }
        case 1: {
            const u32 dir = s().symOf(op_.dir);
            bool sure = false;
            for (std::size_t i = 0; i < s().pasts.size(); i++) {
                const Past& past = s().pasts[i];
                const u64 until = untilOf(past);
                if (past.dir != dir || past.name != op_.name || !isIt(past.node) || (until != 0 && until != op_.until)) continue;
                if (past.lock != 0) {
                    again();
                    continue;
                }
                if (until != 0 && c_.now < past.since + kSurelyKept) sure = true;
                Draft d = begin();
                bind(d.s(), past.node);
                d.s().pasts[i].lock = op_.id;
                next(std::move(d), 2);
            }
            if (!sure) refuse(Code::NotFound);
            return;
        }
        case 2: {
            Draft d = begin();
            if (Node* n = d.s().node(sym)) {
                n->closed = false;
                n->parent = to;
            }
            return next(std::move(d), 3);
        }
        case 3: {
            Draft d = begin();
            d.s().put(to, op_.name2, sym);
            std::erase_if(d.s().locks, [&](const Lock& l) { return l.op == op_.id; });
            return next(std::move(d), 4);
        }
        default: {
            Draft d = begin();
            if (auto at = mineIn(d.s()); at != d.s().pasts.end()) d.s().pasts.erase(at);
            return finish(std::move(d), Code::Ok, {{"", sym}});
        }
    }
}

} // namespace skua::sim
