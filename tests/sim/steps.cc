#include "tests/sim/steps.h"

#include <algorithm>

namespace skua::sim {

void Steps::finish(Draft d, Code code, std::vector<NameSym> names, std::string detail, bool any) {
    Progress& m = mine(d);
    m.done = true;
    m.a = m.b = 0;
    m.out = Outcome{code, std::move(names), std::move(detail), any};
    out_.push_back(std::move(d.config));
}

void Steps::refuse(Code code, std::vector<NameSym> names) {
    Draft d = begin();
    unlockAll(d.s());
    finish(std::move(d), code, std::move(names));
}

void Steps::next(Draft d, u8 pc) {
    mine(d).pc = pc;
    out_.push_back(std::move(d.config));
}

void Steps::again() {
    Draft d = begin();
    unlockAll(d.s());
    mine(d).a = mine(d).b = 0;
    next(std::move(d), 0);
}

void Steps::unlockAll(State& s) const {
    std::erase_if(s.locks, [&](const Lock& l) { return l.op == op_.id; });
    for (Past& past : s.pasts)
        if (past.lock == op_.id) past.lock = 0;
}

bool Steps::locked(u32 dir, const std::string& name) const {
    return std::any_of(s().locks.begin(), s().locks.end(),
                       [&](const Lock& l) { return l.dir == dir && l.name == name && l.op != op_.id; });
}

bool Steps::anyLockIn(u32 dir) const {
    return std::any_of(s().locks.begin(), s().locks.end(), [&](const Lock& l) { return l.dir == dir; });
}

u32 Steps::openDir(InodeId id) const {
    const u32 sym = s().symOf(id);
    const Node* n = sym == 0 ? nullptr : s().node(sym);
    return n && !n->closed ? sym : 0;
}

bool Steps::surelyThere(u32 sym) const {
    if (s().countNames(sym) != 0) return true;
    return std::any_of(s().pasts.begin(), s().pasts.end(),
                       [&](const Past& p) { return p.node == sym && c_.now < p.since + kSurelyKept; });
}

void Steps::toPast(State& s, u32 dir, const std::string& name, u32 node) const {
    s.pasts.push_back({dir, name, node, op_.id, 0, op_.invoked});
}

std::string Steps::attributes(const Node& n) const {
    const u64 size = n.type == InodeType::kFile ? n.content.data.size : n.target.size();
    return attributesText(n.type, n.mode, size, n.content.content, n.content.generation);
}

// The id of what was made by an operation whose answer nobody heard is learned by its first use.
bool Steps::isIt(u32 sym) const {
    const InodeId id = s().idOf(sym);
    if (!id.none()) return id == op_.inode;
    const Node* n = s().node(sym);
    return s().symOf(op_.inode) == 0 && n && n->type == op_.inode.type();
}

void Steps::bind(State& s, u32 sym) const {
    if (s.idOf(sym).none()) s.ids.push_back({op_.inode, sym});
}

u64 Steps::untilOf(const Past& past) const {
    for (const auto& [op, until] : *c_.untils)
        if (op == past.op) return until;
    return 0;
}

Node Steps::fresh(InodeType type, u32 parent) const {
    Node n;
    n.sym = op_.id;
    n.type = type;
    n.parent = type == InodeType::kDirectory ? parent : 0;
    n.mode = op_.mode;
    return n;
}

void Steps::addNode(State& s, Node node) const {
    auto at = std::lower_bound(s.nodes.begin(), s.nodes.end(), node.sym, [](const Node& n, u32 sym) { return n.sym < sym; });
    s.nodes.insert(at, std::move(node));
}

template <class F>
void Steps::onInode(F&& f) {
    const u32 sym = s().symOf(op_.inode);
    if (sym == 0 || surelyGone(sym)) { // forgotten here long ago: who knows
        Draft d = begin();
        finish(std::move(d), Code::NotFound);
        Draft e = begin();
        finish(std::move(e), Code::Ok, {}, {}, true);
        return;
    }
    if (!surelyThere(sym)) refuse(Code::NotFound);
    Draft d = begin();
    Node& n = *d.s().node(sym);
    f(std::move(d), n);
}

// --- one name ---------------------------------------------------------------------------------------------------

void Steps::create(bool replace) {
    const u32 dir = openDir(op_.dir);
    if (dir == 0) return refuse(Code::NotFound);
    const u32 there = s().find(dir, op_.name);
    if (replace && there != 0 && s().node(there)->type == InodeType::kDirectory) return refuse(Code::IsDirectory);
    if (locked(dir, op_.name)) return;
    if (!replace && there != 0) return refuse(Code::Exists, {{"", there}});
    Draft d = begin();
    if (there != 0) toPast(d.s(), dir, op_.name, there);
    Node n = fresh(InodeType::kFile, dir);
    n.content = {op_.content, 1, 0, op_.data};
    const std::string detail = attributes(n);
    addNode(d.s(), std::move(n));
    d.s().ids.push_back({op_.inode, op_.id});
    d.s().put(dir, op_.name, op_.id);
    finish(std::move(d), Code::Ok, {{"", op_.id}, {"replaced", there}}, detail);
}

void Steps::mkdir() {
    const u32 dir = openDir(op_.dir);
    if (dir == 0) return refuse(Code::NotFound);
    if (locked(dir, op_.name)) return;
    if (const u32 there = s().find(dir, op_.name)) return refuse(Code::Exists, {{"", there}});
    Draft d = begin();
    addNode(d.s(), fresh(InodeType::kDirectory, dir));
    d.s().put(dir, op_.name, op_.id);
    finish(std::move(d), Code::Ok, {{"", op_.id}});
}

void Steps::symlink() {
    const u32 dir = openDir(op_.dir);
    if (dir == 0) return refuse(Code::NotFound);
    if (locked(dir, op_.name)) return;
    if (const u32 there = s().find(dir, op_.name)) return refuse(Code::Exists, {{"", there}});
    Draft d = begin();
    Node n = fresh(InodeType::kSpecial, dir);
    n.mode = 0777;
    n.target = op_.text;
    addNode(d.s(), std::move(n));
    d.s().put(dir, op_.name, op_.id);
    finish(std::move(d), Code::Ok, {{"", op_.id}});
}

void Steps::unlink() {
    const u32 dir = openDir(op_.dir);
    if (dir == 0) return refuse(Code::NotFound);
    const u32 there = s().find(dir, op_.name);
    if (there == 0 || (op_.flag && s().symOf(op_.inode) != there)) return refuse(Code::NotFound);
    if (s().node(there)->type == InodeType::kDirectory) return refuse(Code::IsDirectory);
    if (locked(dir, op_.name)) return;
    Draft d = begin();
    d.s().take(dir, op_.name);
    toPast(d.s(), dir, op_.name, there);
    finish(std::move(d), Code::Ok, {{"", there}});
}

// CloseDir and RemoveEntry are two moments: in between the directory is closed and has its name.
void Steps::rmdir() {
    const u32 dir = openDir(op_.dir);
    if (p().pc == 0) {
        if (dir == 0) return refuse(Code::NotFound);
        if (locked(dir, op_.name)) return;
        const u32 there = s().find(dir, op_.name);
        if (there == 0) return refuse(Code::NotFound);
        if (s().node(there)->type != InodeType::kDirectory) return refuse(Code::NotDirectory);
        Draft d = begin();
        d.s().locks.push_back({dir, op_.name, op_.id});
        mine(d).a = there;
        return next(std::move(d), 1);
    }
    if (p().pc == 1) {
        for (const Name& n : s().names)
            if (n.dir == p().a) return refuse(Code::NotEmpty);
        if (anyLockIn(p().a)) return again();
        Draft d = begin();
        d.s().node(p().a)->closed = true;
        return next(std::move(d), 2);
    }
    Draft d = begin();
    d.s().take(dir, op_.name);
    toPast(d.s(), dir, op_.name, p().a);
    unlockAll(d.s());
    finish(std::move(d), Code::Ok);
}

// --- reads ----------------------------------------------------------------------------------------------------------

// Attributes of an inode in another shard come a moment later.
void Steps::lookup() {
    if (p().pc == 0) {
        const u32 dir = openDir(op_.dir);
        const u32 there = dir == 0 ? 0 : s().find(dir, op_.name);
        if (there == 0) return refuse(Code::NotFound);
        Draft d = begin();
        mine(d).a = there;
        return next(std::move(d), 1);
    }
    const Node* n = s().node(p().a);
    if (!n) return refuse(Code::NotFound);
    if (!surelyThere(p().a)) refuse(Code::NotFound);
    const u32 a = p().a;
    finish(begin(), Code::Ok, {{"", a}}, attributes(*n));
}

void Steps::readDir() {
    const u32 dir = openDir(op_.dir);
    if (dir == 0) return refuse(Code::NotFound);
    std::vector<NameSym> names;
    for (const Name& n : s().names)
        if (n.dir == dir) names.push_back({n.name, n.node});
    finish(begin(), Code::Ok, std::move(names));
}

// --- inodes ---------------------------------------------------------------------------------------------------------

void Steps::xattr() {
    onInode([&](Draft d, Node& n) {
        auto at = std::find_if(n.xattrs.begin(), n.xattrs.end(), [&](const Attribute& a) { return a.name == op_.name; });
        const bool there = at != n.xattrs.end();
        if (op_.kind == Kind::kListXattr) {
            std::string all;
            for (const Attribute& a : n.xattrs) all += a.name + "=" + a.value + " ";
            return finish(std::move(d), Code::Ok, {}, all);
        }
        if (op_.kind == Kind::kRemoveXattr) {
            if (!there) return finish(std::move(d), Code::NoAttribute);
            n.xattrs.erase(at);
            return finish(std::move(d), Code::Ok);
        }
        if (there && op_.xattr_mode == 1) return finish(std::move(d), Code::Exists);
        if (!there && op_.xattr_mode == 2) return finish(std::move(d), Code::NoAttribute);
        if (there) {
            at->value = op_.text;
        } else {
            auto place = std::lower_bound(n.xattrs.begin(), n.xattrs.end(), op_.name,
                                          [](const Attribute& a, const std::string& name) { return a.name < name; });
            n.xattrs.insert(place, {op_.name, op_.text});
        }
        finish(std::move(d), Code::Ok);
    });
}

void Steps::setContent() {
    onInode([&](Draft d, Node& n) {
        if (n.content.data.size != 0) {
            n.content.since = op_.invoked;
            n.past.push_back(n.content);
        }
        n.content = {op_.content, 1, 0, op_.data};
        const std::string detail = attributes(n);
        finish(std::move(d), Code::Ok, {}, detail);
    });
}

void Steps::editContent() {
    onInode([&](Draft d, Node& n) {
        if (n.content.content != op_.content || n.content.generation != op_.generation)
            return finish(std::move(d), Code::Conflict);
        Data& data = n.content.data;
        if (op_.data.in_line) {
            data = op_.data;
        } else {
            // What is put covers what was there; holes are cut, other spans are put whole.
            std::vector<Piece> kept;
            const std::vector<Piece> old = data.in_line ? std::vector<Piece>{} : data.pieces;
            for (const Piece& o : old) {
                u64 from = o.offset;
                const u64 end = std::min(o.offset + o.length, op_.data.size);
                for (const Piece& put : op_.data.pieces) {
                    if (put.offset + put.length <= from || put.offset >= end) continue;
                    if (put.offset > from) kept.push_back({from, put.offset - from, o.tag});
                    from = put.offset + put.length;
                }
                if (from < end) kept.push_back({from, end - from, o.tag});
            }
            for (const Piece& put : op_.data.pieces) kept.push_back(put);
            std::sort(kept.begin(), kept.end(), [](const Piece& x, const Piece& y) { return x.offset < y.offset; });
            data = Data{false, op_.data.size, std::move(kept)};
        }
        n.content.generation++;
        const std::string detail = attributes(n);
        finish(std::move(d), Code::Ok, {}, detail);
    });
}

void Steps::restore() {
    const u32 sym = s().symOf(op_.inode);
    const Node* there = sym == 0 ? nullptr : s().node(sym);
    bool sure = false;
    if (there)
        for (const Content& c : there->past)
            // What came back and went again since its asker looked has another time now.
            sure = sure || (c.content == op_.content && c_.alone && c_.now < c.since + kSurelyKept && c.since <= op_.looked);
    if (!sure || !surelyThere(sym)) refuse(Code::NotFound);
    if (!there) return;
    for (std::size_t i = 0; i < there->past.size(); i++) {
        if (there->past[i].content != op_.content) continue;
        Draft d = begin();
        Node& n = *d.s().node(sym);
        Content back = n.past[i];
        n.past.erase(n.past.begin() + static_cast<std::ptrdiff_t>(i));
        if (n.content.data.size != 0) {
            n.content.since = op_.invoked;
            n.past.push_back(n.content);
        }
        back.since = 0;
        n.content = std::move(back);
        const std::string detail = attributes(n);
        return finish(std::move(d), Code::Ok, {}, detail);
    }
}

void Steps::run() {
    switch (op_.kind) {
        case Kind::kCreate: return create(false);
        case Kind::kReplace: return create(true);
        case Kind::kMkdir: return mkdir();
        case Kind::kSymlink: return symlink();
        case Kind::kUnlink: return unlink();
        case Kind::kRmdir: return rmdir();
        case Kind::kRename: return rename();
        case Kind::kExchange: return exchange();
        case Kind::kLink: return link();
        case Kind::kUndelete: return undelete();
        case Kind::kUndeleteDir: return undeleteDir();
        case Kind::kLookup: return lookup();
        case Kind::kReadDir: return readDir();
        case Kind::kGetAttr:
            return onInode([&](Draft d, Node& n) {
                const std::string detail = attributes(n);
                finish(std::move(d), Code::Ok, {}, detail);
            });
        case Kind::kOpen:
            return onInode([&](Draft d, Node& n) {
                const std::string detail = attributes(n) + " " + show(n.content.data);
                finish(std::move(d), Code::Ok, {}, detail);
            });
        case Kind::kReadLink:
            return onInode([&](Draft d, Node& n) {
                const std::string target = n.target;
                finish(std::move(d), Code::Ok, {}, target);
            });
        case Kind::kSetAttr:
            return onInode([&](Draft d, Node& n) {
                n.mode = op_.mode;
                const std::string detail = attributes(n);
                finish(std::move(d), Code::Ok, {}, detail);
            });
        case Kind::kSetXattr:
        case Kind::kRemoveXattr:
        case Kind::kListXattr: return xattr();
        case Kind::kSetContent: return setContent();
        case Kind::kEditContent: return editContent();
        case Kind::kRestore: return restore();
        case Kind::kPurge: finish(begin(), Code::Ok); return refuse(Code::NotFound);
    }
}

} // namespace skua::sim
