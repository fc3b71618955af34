// Mount: the state of a mounted file system, and what its requests have in common.
//
// One thread, that of the ring: requests (requests/*.cc, one file each) are coroutines on it, and between
// two awaits nothing else runs. Starts with Mount(...), then a Session is made with it as `user`; ends with
// commitAll() and finish().
#pragma once

#include <functional>
#include "client/client.h"
#include "core/async/ring.h"
#include "fuse/handles.h"
#include "fuse/memory.h"
#include "fuse/nodes.h"
#include "fuse/options.h"
#include "fuse/request.h"

namespace skua::fuse {

class Mount {
public:
    Mount(Ring& ring, client::Client& client, MountOptions options);
    static Mount& of(fuse_req_t req) { return *static_cast<Mount*>(fuse_req_userdata(req)); }

    // A request's coroutine; runs at once, up to its first wait.
    void start(Task<> task) { tasks_.spawn(std::move(task)); }
    void startBackground(); // holds
    // Commits everything, then sets `done`; what fails is logged.
    Task<> commitAll(std::shared_ptr<Event> done);
    // Leaving: says in the log what is still open; whoever goes on using it hears an error from now on.
    void tellWhoIsLeft();
    // After the session: waits for all that runs.
    Task<> finish();

    // --- answering ---------------------------------------------------------------------------------------
    Wall now() { return ring.wall(); }
    struct stat statOf(const Node& node);
    struct stat statOf(InodeId inode, const Attributes& attributes);
    fuse_entry_param entryOf(const Node& node);
    // The kernel did not take an entry: one lookup less.
    void untake(const NodePtr& node) { nodes.forget(node->ino, 1); }
    void interrupted(std::shared_ptr<Request::InFlight> flight);

    // --- attributes and names ------------------------------------------------------------------------------
    // What the servers say now, or ours.
    Task<Result<>> refresh(NodePtr node);
    void changed(const NodePtr& node) {
        changedHere(node);
        node->heardAt = 0;
    }
    void changedDir(InodeId dir);
    // Of what the servers hear with the next commit only: what they said before still holds.
    void changedHere(const NodePtr& node) { node->changed = nodes.tick(); }
    // `dir` has a new name since `when`, by one operation of its shard: it knows nothing newer of the times.
    void newIn(InodeId dir, Wall when);
    // The kernel asks for them before it uses them again.
    void forgetAttributes(const Node& node);
    void heardNow(const NodePtr& node, const Attributes& attributes);
    // How long, in seconds, its attributes may still be taken for the servers': what the kernel asks again because
    // of its own changes is answered from here, as it would have from its cache. 0: they must be asked.
    double fresh(const Node& node);
    // A new name that the servers made; counts as looked up.
    NodePtr made(InodeId dir, const std::string& name, const Attributes& attributes);
    // An empty file, exclusively: Exists if the name is taken.
    Task<Result<Attributes>> makeEmpty(InodeId dir, std::string name, u32 mode, client::Owner owner);
    // The group and mode of something new in `dir`, made by (gid, mode).
    void inherit(const Node& dir, gid_t& gid, u32* directory_mode) const;
    // A name is gone (unlink, or replaced by a rename).
    void removed(const NodePtr& node);
    // Our name `node`, locked, is nobody's any more.
    void drop(const NodePtr& node);

    // --- contents (publish.cc) --------------------------------------------------------------------------------
    Content& contentOf(const NodePtr& node);
    // With the lock. Afterwards everybody sees what was written; the error also stays in node->failed.
    Task<Result<>> publishLocked(NodePtr node);
    Task<Result<>> publish(NodePtr node);
    // The same for what is pending in a directory; the first error.
    Task<Result<>> publishNames(InodeId dir);
    // NoSpace: what the file would be after a write of so many bytes has no room on the disks, as far as is known.
    Task<Result<>> room(NodePtr node, u64 size);
    // After a write: sends what can be sent, and waits if too much is unsent.
    Task<> pour(NodePtr node);
    // A handle of the node is closed; `commit`: what it may have written is committed, else forgotten with it.
    Task<> closed(NodePtr node, bool commit);

    Ring& ring;
    client::Client& client;
    const MountOptions options;
    Nodes nodes;
    Memory memory;
    fuse_session* session = nullptr; // once mounted
    bool directIo = false;           // the kernel can map files that are open so
    Semaphore closing{256};          // async_close: commits that nobody waits for

private:
    Task<Result<>> commitFresh(NodePtr node);
    Task<Result<>> commitExisting(NodePtr node);
    Task<Result<>> commitAttributes(NodePtr node);
    void committed(const NodePtr& node, const Attributes& now);
    Task<Result<>> commitInline(NodePtr node, Policy policy);
    Task<Result<>> commitWhole(NodePtr node, Policy policy, bool unconditionally);
    Task<Result<>> prepareStream(NodePtr node);
    Task<Policy> policyFor(NodePtr node);
    static Task<> feed(std::shared_ptr<Content> content, std::shared_ptr<Stream> stream);
    Task<> watchInterrupted();
    Task<> renewHolds();

    TaskGroup tasks_;
    std::vector<std::shared_ptr<Request::InFlight>> interrupted_;
    bool watching_ = false;
    Event stop_;
};

} // namespace skua::fuse
