#include "fuse/nodes.h"

#include <sys/stat.h>
#include <algorithm>

namespace skua::fuse {

void Node::heard(const Attributes& now) {
    attributes = now;
    if (deferred.mode) attributes.mode = (attributes.mode & S_IFMT) | *deferred.mode;
    if (deferred.uid) attributes.uid = *deferred.uid;
    if (deferred.gid) attributes.gid = *deferred.gid;
    if (deferred.atime) attributes.atime = *deferred.atime;
    if (deferred.mtime) attributes.mtime = *deferred.mtime;
}

Nodes::Nodes() {
    auto root = std::make_shared<Node>();
    root->ino = 1;
    root->id = kRoot;
    root->lookups = 1; // for ever
    root->attributes.inode = kRoot;
    root->attributes.mode = S_IFDIR | 0755;
    nodes_[1] = root;
}

NodePtr Nodes::of(u64 ino) {
    NodePtr& node = nodes_[ino];
    if (!node) {
        node = std::make_shared<Node>();
        node->ino = ino;
        node->id = idOf(ino);
        node->attributes.inode = node->id;
        node->attributes.mode = node->directory() ? S_IFDIR : S_IFREG;
    }
    return node;
}

NodePtr Nodes::find(InodeId id) {
    auto it = nodes_.find(inoOf(id));
    return it == nodes_.end() ? nullptr : it->second;
}

NodePtr Nodes::looked(InodeId id, const Attributes& attributes, InodeId dir, const std::string& name) {
    NodePtr node = of(inoOf(id));
    node->lookups++;
    if (!node->pending) node->heard(attributes);
    hint(node, dir, name);
    return node;
}

void Nodes::forget(u64 ino, u64 lookups) {
    auto it = nodes_.find(ino);
    if (it == nodes_.end()) return;
    const NodePtr node = it->second;
    node->lookups -= std::min(node->lookups, lookups);
    release(node);
}

void Nodes::release(const NodePtr& node) {
    if (node->lookups > 0 || node->handles > 0 || node->pending || node->ino == 1) return;
    if (node->content && node->content->dirty() && !node->dropped) return;
    if (node->anyDeferred()) return;
    unhint(node);
    auto it = nodes_.find(node->ino);
    if (it != nodes_.end() && it->second == node) nodes_.erase(it);
}

void Nodes::hint(const NodePtr& node, InodeId dir, const std::string& name) {
    if (node->dir == dir && node->name == name) {
        hints_[{dir.value, name}] = node;
        return;
    }
    unhint(node);
    node->dir = dir;
    node->name = name;
    hints_[{dir.value, name}] = node;
}

void Nodes::unhint(const NodePtr& node) {
    auto it = hints_.find({node->dir.value, node->name});
    if (it != hints_.end() && it->second.lock() == node) hints_.erase(it);
}

NodePtr Nodes::hinted(InodeId dir, const std::string& name) {
    auto it = hints_.find({dir.value, name});
    return it == hints_.end() ? nullptr : it->second.lock();
}

NodePtr Nodes::pending(InodeId dir, const std::string& name) {
    auto it = pending_.find({dir.value, name});
    return it == pending_.end() ? nullptr : it->second;
}

void Nodes::addPending(const NodePtr& node) {
    CHECK(node->pending);
    pending_[{node->dir.value, node->name}] = node;
}

void Nodes::removePending(const NodePtr& node) {
    auto it = pending_.find({node->dir.value, node->name});
    if (it != pending_.end() && it->second == node) pending_.erase(it);
    node->pending = false;
}

std::vector<NodePtr> Nodes::pendingIn(InodeId dir) {
    std::vector<NodePtr> all;
    for (auto it = pending_.lower_bound({dir.value, ""}); it != pending_.end() && it->first.first == dir.value; ++it)
        all.push_back(it->second);
    return all;
}

bool Nodes::anyPendingIn(InodeId dir) {
    auto it = pending_.lower_bound({dir.value, ""});
    return it != pending_.end() && it->first.first == dir.value;
}

std::string Nodes::pathOf(const NodePtr& node) {
    std::string path = node->name;
    InodeId dir = node->dir;
    for (int depth = 0; depth < 64 && dir != kRoot; depth++) {
        NodePtr parent = find(dir);
        if (!parent || parent->name.empty()) return ".../" + path;
        path = parent->name + "/" + path;
        dir = parent->dir;
    }
    return "/" + path;
}

std::vector<NodePtr> Nodes::all() {
    std::vector<NodePtr> list;
    for (auto& [ino, node] : nodes_) list.push_back(node);
    return list;
}

} // namespace skua::fuse
