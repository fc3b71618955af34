// Nodes: the inodes that the kernel knows or that have something of ours, and the names that only this
// mount sees yet.
//
// The kernel's number of an inode is its InodeId's value, and 1 for the root. A node lives while the kernel
// remembers it (lookups), while it is open, and while it has bytes or a name that are not committed; whoever
// works on one holds a NodePtr. Where a name was last seen is remembered with the node, as a hint.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>
#include "core/async/sync.h"
#include "fuse/content.h"

namespace skua::fuse {

struct Node {
    u64 ino = 0; // the kernel's
    InodeId id;  // the servers'; another one if a name of ours turned out to be taken
    u64 lookups = 0;
    u32 handles = 0;       // open files and directories
    u32 direct = 0;        // of them: whose reads and writes go past the kernel's pages
    Attributes attributes; // last heard, or ours while `pending`
    InodeId dir;           // hint: where it is, as what
    std::string name;
    u64 heardAt = 0;   // when `attributes` were the servers', as Mount::fresh() wants it; 0: they may be others by now
    u64 bareUntil = 0; // it was made here, and until then it is taken to have no xattrs
    u64 changed = 0;   // Nodes::tick() of the last change made here: of attributes, of names in it

    bool pending = false;             // its name and inode are ours alone
    bool truncating = false;          // pending: made with O_TRUNC
    bool dropped = false;             // was pending, and removed: never to be committed
    bool unlinked = false;            // its last name was removed here, while it was open
    bool held = false;                // the shard was asked to keep it
    client::NewId newId;              // pending
    bool contentUsed = false;         // pending: newId's content went into a commit that failed
    std::vector<shard::Xattr> xattrs; // pending
    bool exclusive = false;           // made here with O_EXCL and open since: what fchmod and others say goes with the content
    shard::SetAttr deferred;          // exclusive: that, until it is committed
    std::shared_ptr<Content> content; // regular files that are open, or not committed yet
    Error failed;                     // the last commit's; told by close and fsync
    bool told = false;                // somebody heard of it

    ContentId cachedContent; // what the kernel's pages show
    Generation cachedGeneration;
    Semaphore lock{1}; // who changes or commits content, or a pending one's attributes

    bool directory() const { return id.isDirectory(); }
    bool anyDeferred() const { return deferred.mode || deferred.uid || deferred.gid || deferred.atime || deferred.mtime; }
    // What the servers say, under what they do not know yet.
    void heard(const Attributes& now);
};
using NodePtr = std::shared_ptr<Node>;

// Holds a node's lock:  auto turn = node->lock.acquire(); co_await turn; Locked locked(node);
class Locked {
public:
    explicit Locked(NodePtr node) : node_(std::move(node)) {}
    ~Locked() { unlock(); }
    Locked(const Locked&) = delete;
    void unlock() {
        if (node_) node_->lock.release();
        node_.reset();
    }

private:
    NodePtr node_;
};

class Nodes {
public:
    Nodes();
    static u64 inoOf(InodeId id) { return id == kRoot ? 1 : id.value; }
    static InodeId idOf(u64 ino) { return ino == 1 ? kRoot : InodeId{ino}; }

    // Of a request; made if it is not there (the kernel knows more than we after a lost reply).
    NodePtr of(u64 ino);
    NodePtr find(InodeId id); // null: not known
    // One lookup of the kernel's more.
    NodePtr looked(InodeId id, const Attributes& attributes, InodeId dir, const std::string& name);
    void forget(u64 ino, u64 lookups);
    // Goes if nothing needs it any more.
    void release(const NodePtr& node);

    // --- names -----------------------------------------------------------------------------------------
    void hint(const NodePtr& node, InodeId dir, const std::string& name);
    NodePtr hinted(InodeId dir, const std::string& name); // null: not known; may be out of date
    void unhint(const NodePtr& node);
    NodePtr pending(InodeId dir, const std::string& name); // null: none
    void addPending(const NodePtr& node);
    void removePending(const NodePtr& node);
    std::vector<NodePtr> pendingIn(InodeId dir);
    bool anyPendingIn(InodeId dir);
    // "dir/name" as far as it is known, for messages.
    std::string pathOf(const NodePtr& node);

    u64 tick() { return ++tick_; }
    std::vector<NodePtr> all();
    std::size_t count() const { return nodes_.size(); }

private:
    using Name = std::pair<u64, std::string>;
    std::unordered_map<u64, NodePtr> nodes_; // by ino
    std::map<Name, NodePtr> pending_;
    std::map<Name, std::weak_ptr<Node>> hints_;
    u64 tick_ = 0;
};

} // namespace skua::fuse
