#include "tests/sim/model.h"

#include <fmt/core.h>
#include <algorithm>
#include "tests/sim/steps.h"

namespace skua::sim {

std::string_view nameOf(Kind kind) {
    static constexpr std::string_view names[] = {
        "create",  "replace",  "mkdir",        "symlink",   "unlink",      "rmdir",        "rename",  "exchange",
        "link",    "undelete", "undelete-dir", "lookup",    "readdir",     "getattr",      "open",    "readlink",
        "setattr", "setxattr", "removexattr",  "listxattr", "set-content", "edit-content", "restore", "purge"};
    return names[static_cast<std::size_t>(kind)];
}

bool onlyReads(Kind kind) {
    switch (kind) {
        case Kind::kLookup:
        case Kind::kReadDir:
        case Kind::kGetAttr:
        case Kind::kOpen:
        case Kind::kReadLink:
        case Kind::kListXattr:
        case Kind::kPurge: return true;
        default: return false;
    }
}

std::string show(const Data& data) {
    std::string s = data.in_line ? "inline" : "spans";
    for (const Piece& p : data.pieces) s += fmt::format(" {}+{}#{:x}", p.offset, p.length, p.tag);
    return s + fmt::format(" size={}", data.size);
}

std::string show(const Op& op) {
    std::string s = fmt::format("op={} client={} {}", op.id, op.client, nameOf(op.kind));
    if (!op.dir.none()) s += fmt::format(" dir={:x}", op.dir.value);
    if (!op.name.empty()) s += " name=" + op.name;
    if (!op.dir2.none()) s += fmt::format(" to={:x}", op.dir2.value);
    if (!op.name2.empty()) s += " name2=" + op.name2;
    if (!op.inode.none()) s += fmt::format(" inode={:x}", op.inode.value);
    if (op.flag) s += " flag";
    if (op.content != 0) s += fmt::format(" content={:x} generation={}", op.content, op.generation);
    if (op.data.size != 0 || !op.data.pieces.empty()) s += " " + show(op.data);
    if (op.until != 0) s += fmt::format(" until={}", op.until);
    return s;
}

std::string show(const Heard& heard) {
    std::string s(heard.code == Code::Ok ? "Ok" : name(heard.code));
    for (const auto& [name, inode] : heard.names) s += fmt::format(" {}:{:x}", name, inode.value);
    if (!heard.detail.empty()) s += " [" + heard.detail + "]";
    return s;
}

std::string attributesText(InodeType type, u32 mode, u64 size, u64 content, u64 generation) {
    switch (type) {
        case InodeType::kDirectory: return fmt::format("dir mode={:o}", mode & 07777);
        case InodeType::kFile:
            return fmt::format("file mode={:o} size={} content={:x} generation={}", mode & 07777, size, content, generation);
        default: return fmt::format("special mode={:o} size={}", mode & 07777, size);
    }
}

// --- the state ----------------------------------------------------------------------------------------------

Node* State::node(u32 sym) {
    auto at = std::lower_bound(nodes.begin(), nodes.end(), sym, [](const Node& n, u32 s) { return n.sym < s; });
    return at != nodes.end() && at->sym == sym ? &*at : nullptr;
}

u32 State::symOf(InodeId id) const {
    for (const Bound& b : ids)
        if (b.inode == id) return b.sym;
    return 0;
}

InodeId State::idOf(u32 sym) const {
    for (const Bound& b : ids)
        if (b.sym == sym) return b.inode;
    return {};
}

namespace {
auto place(std::vector<Name>& names, u32 dir, const std::string& name) {
    return std::lower_bound(
        names.begin(), names.end(), std::pair<u32, const std::string&>(dir, name),
        [](const Name& n, const auto& key) { return n.dir != key.first ? n.dir < key.first : n.name < key.second; });
}
} // namespace

u32 State::find(u32 dir, const std::string& name) const {
    auto& all = const_cast<State*>(this)->names;
    auto at = place(all, dir, name);
    return at != all.end() && at->dir == dir && at->name == name ? at->node : 0;
}

void State::put(u32 dir, const std::string& name, u32 node) {
    auto at = place(names, dir, name);
    if (at != names.end() && at->dir == dir && at->name == name) at->node = node;
    else names.insert(at, Name{dir, name, node});
}

void State::take(u32 dir, const std::string& name) {
    auto at = place(names, dir, name);
    if (at != names.end() && at->dir == dir && at->name == name) names.erase(at);
}

u32 State::countNames(u32 node) const {
    return static_cast<u32>(std::count_if(names.begin(), names.end(), [&](const Name& n) { return n.node == node; }));
}

bool State::within(u32 dir, u32 ancestor) const {
    for (u32 up = dir, most = 0; most <= nodes.size(); most++) {
        if (up == ancestor) return true;
        const Node* n = node(up);
        if (!n || n->parent == 0) return false;
        up = n->parent;
    }
    return false;
}

bool match(State& state, const Outcome& outcome, const Heard& heard) {
    if (outcome.code != heard.code) return false;
    if (outcome.any) return true;
    if (outcome.names.size() != heard.names.size() || outcome.detail != heard.detail) return false;
    for (std::size_t i = 0; i < heard.names.size(); i++) {
        const auto& [name, sym] = outcome.names[i];
        const auto& [heard_name, inode] = heard.names[i];
        if (name != heard_name || inode.none() != (sym == 0)) return false;
        if (sym == 0) continue;
        const InodeId bound = state.idOf(sym);
        if (!bound.none()) {
            if (bound != inode) return false;
            continue;
        }
        if (state.symOf(inode) != 0) return false;
        state.ids.push_back({inode, sym});
    }
    return true;
}

void stepsOf(const Config& config, std::size_t which, const Op& op, const Circumstances& c, std::vector<Config>& out) {
    if (config.going[which].done) return;
    Steps(config, which, op, c, out).run();
}

} // namespace skua::sim
