// ModelFs: a plain in-memory file system that says what every operation should answer. Nodes are small
// integers, directories are maps; nothing is clever. The truth that shards and coordinator are held against.
//
// Thread-safety: none. A removed directory's node stays, closed, so that operations by id can be refused.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>
#include "core/base/errors.h"

namespace skua::test {

class ModelFs {
public:
    enum class Type : u8 { kDirectory, kFile, kSymlink };
    struct Node {
        Type type{};
        std::string data; // bytes, or a symlink's target
        std::map<std::string, int> entries;
        int nlink = 1;
        int parent = -1;
        bool closed = false; // a directory that was removed
        u32 mode = 0;
    };
    static constexpr int kRootNode = 0;

    ModelFs() { nodes_.push_back(Node{Type::kDirectory, {}, {}, 2, 0, false, 0755}); }

    Code lookup(int dir, const std::string& name, int& out) const {
        if (Code c = openDirectory(dir); c != Code::Ok) return c;
        auto at = nodes_[static_cast<size_t>(dir)].entries.find(name);
        if (at == node(dir).entries.end()) return Code::NotFound;
        out = at->second;
        return Code::Ok;
    }
    // A new name for a new node; `out` is the node. kReplace as CommitFile has it when `replace`.
    Code make(int dir, const std::string& name, Type type, const std::string& data, bool replace, int& out) {
        if (Code c = openDirectory(dir); c != Code::Ok) return c;
        auto at = node(dir).entries.find(name);
        if (at != node(dir).entries.end()) {
            out = at->second;
            if (!replace) return Code::Exists;
            if (node(at->second).type == Type::kDirectory) return Code::IsDirectory;
            drop(dir, name);
        }
        out = static_cast<int>(nodes_.size());
        nodes_.push_back(Node{type, data, {}, type == Type::kDirectory ? 2 : 1, dir, false, 0});
        put(dir, name, out);
        return Code::Ok;
    }
    Code unlink(int dir, const std::string& name) {
        int n = 0;
        if (Code c = lookup(dir, name, n); c != Code::Ok) return c;
        if (node(n).type == Type::kDirectory) return Code::IsDirectory;
        drop(dir, name);
        return Code::Ok;
    }
    Code rmdir(int dir, const std::string& name) {
        int n = 0;
        if (Code c = lookup(dir, name, n); c != Code::Ok) return c;
        if (node(n).type != Type::kDirectory) return Code::NotDirectory;
        if (!node(n).entries.empty()) return Code::NotEmpty;
        drop(dir, name);
        return Code::Ok;
    }
    Code link(int inode, int dir, const std::string& name) {
        if (node(inode).type == Type::kDirectory) return Code::NotPermitted;
        if (Code c = openDirectory(dir); c != Code::Ok) return c;
        if (node(dir).entries.contains(name)) return Code::Exists;
        if (node(inode).nlink == 0) return Code::NotFound;
        node(inode).nlink++;
        put(dir, name, inode);
        return Code::Ok;
    }
    Code rename(int from, const std::string& a, int to, const std::string& b, bool no_replace) {
        int moved = 0, there = -1;
        if (Code c = lookup(from, a, moved); c != Code::Ok) return c;
        if (Code c = lookup(to, b, there); c != Code::Ok && c != Code::NotFound) return c;
        if (Code c = openDirectory(to); c != Code::Ok) return c;
        if (there >= 0 && no_replace) return Code::Exists;
        if (there == moved) return Code::Ok;
        const bool directory = node(moved).type == Type::kDirectory;
        if (there >= 0) {
            const bool other = node(there).type == Type::kDirectory;
            if (directory && !other) return Code::NotDirectory;
            if (!directory && other) return Code::IsDirectory;
        }
        if (directory && from != to && within(to, moved)) return Code::Invalid;
        if (there >= 0) {
            if (directory && !node(there).entries.empty()) return Code::NotEmpty;
            drop(to, b);
        }
        take(from, a);
        put(to, b, moved);
        return Code::Ok;
    }
    Code exchange(int da, const std::string& a, int db, const std::string& b) {
        if (da == db && a == b) return Code::Invalid;
        int x = 0, y = 0;
        if (Code c = lookup(da, a, x); c != Code::Ok) return c;
        if (Code c = lookup(db, b, y); c != Code::Ok) return c;
        if (da != db && node(x).type == Type::kDirectory && within(db, x)) return Code::Invalid;
        if (da != db && node(y).type == Type::kDirectory && within(da, y)) return Code::Invalid;
        take(da, a);
        take(db, b);
        put(da, a, y);
        put(db, b, x);
        return Code::Ok;
    }

    Node& node(int n) { return nodes_[static_cast<size_t>(n)]; }
    const Node& node(int n) const { return nodes_[static_cast<size_t>(n)]; }
    int size() const { return static_cast<int>(nodes_.size()); }
    bool within(int dir, int ancestor) const {
        for (int n = dir;; n = node(n).parent) {
            if (n == ancestor) return true;
            if (n == kRootNode) return false;
        }
    }
    u32 nlink(int n) const {
        if (node(n).type != Type::kDirectory) return static_cast<u32>(node(n).nlink);
        u32 count = 2;
        for (const auto& [_, child] : node(n).entries) count += node(child).type == Type::kDirectory;
        return count;
    }

private:
    Code openDirectory(int dir) const {
        if (node(dir).type != Type::kDirectory) return Code::NotDirectory;
        return node(dir).closed ? Code::NotFound : Code::Ok;
    }
    void put(int dir, const std::string& name, int n) {
        node(dir).entries[name] = n;
        if (node(n).type == Type::kDirectory) node(n).parent = dir;
    }
    void take(int dir, const std::string& name) { node(dir).entries.erase(name); }
    void drop(int dir, const std::string& name) {
        Node& n = node(node(dir).entries.at(name));
        take(dir, name);
        if (n.type == Type::kDirectory) n.closed = true;
        else n.nlink--;
    }
    std::vector<Node> nodes_;
};

} // namespace skua::test
