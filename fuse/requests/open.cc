// CREATE, OPEN. A plain create is ours alone until it is committed; O_EXCL is decided by the shard, now.
#include <sys/stat.h>
#include "fuse/mount.h"
#include "fuse/operations.h"

namespace skua::fuse {

namespace {

// A name that only this mount sees.
Task<Result<NodePtr>> createOurs(Mount& mount, NodePtr dir, std::string name, u32 mode, client::Owner owner, int flags) {
    CO_TRY(client::NewId id, co_await mount.client.metadata.reservations().take(dir->id.shard()));
    const InodeId inode = id.inode(InodeType::kFile);
    Attributes a;
    a.inode = inode;
    a.mode = S_IFREG | mode;
    a.uid = owner.uid;
    a.gid = owner.gid;
    a.nlink = 1;
    a.atime = a.mtime = a.ctime = a.birth = mount.now();
    const NodePtr node = mount.nodes.looked(inode, a, dir->id, name);
    node->pending = true;
    node->truncating = flags & O_TRUNC;
    node->newId = std::move(id);
    mount.nodes.addPending(node);
    mount.contentOf(node);
    mount.changed(node);
    mount.changedHere(dir);
    co_return node;
}

Task<Result<NodePtr>> createExclusively(Mount& mount, NodePtr dir, std::string name, u32 mode, client::Owner owner) {
    if (mount.nodes.pending(dir->id, name)) co_return Error(Code::Exists, name);
    CO_TRY(const Attributes made, co_await mount.makeEmpty(dir->id, name, mode, owner));
    const NodePtr node = mount.made(dir->id, name, made);
    shard::Open::Reply empty;
    empty.attributes = made;
    empty.inline_bytes.emplace();
    mount.contentOf(node).opened(std::move(empty));
    node->exclusive = true;
    co_return node;
}

// Who only writes, and begins with nothing, needs no pages of the kernel's: they would be copied once more, and
// push out what is read again. From then on everybody does without them, lest a page that was read while it was
// being written goes stale; so it begins only when nobody has the file open. Counted in node->handles before.
FileHandle* newHandle(Mount& mount, const NodePtr& node, const Request& request, fuse_file_info& fi, bool begins_empty) {
    auto* handle = new FileHandle();
    handle->node = node;
    handle->flags = fi.flags;
    handle->opener = request.pid();
    const bool alone = node->handles == 1 && begins_empty && (fi.flags & O_ACCMODE) == O_WRONLY;
    handle->direct = mount.directIo && (node->direct > 0 || alone);
    node->direct += handle->direct;
    fi.direct_io = handle->direct;
    fi.fh = reinterpret_cast<u64>(handle);
    return handle;
}

// The kernel did not take it.
void dropHandle(FileHandle* handle) {
    handle->node->direct -= handle->direct;
    delete handle;
}

Task<> create(Mount& mount, Request request, u64 parent, std::string name, u32 mode, fuse_file_info fi) {
    const NodePtr dir = mount.nodes.of(parent);
    gid_t gid = request.gid();
    mount.inherit(*dir, gid, nullptr);
    client::Owner owner{request.uid(), gid};
    Result<NodePtr> made = Error(Code::NameTooLong, name);
    if (name.size() > kMaxName) {
    } else if (fi.flags & O_EXCL) {
        made = co_await createExclusively(mount, dir, name, mode & 07777, owner);
    } else if (const NodePtr ours = mount.nodes.pending(dir->id, name)) { // another thread was first
        ours->lookups++;
        made = ours;
    } else {
        made = co_await createOurs(mount, dir, name, mode & 07777, owner, fi.flags);
    }
    if (!made) {
        request.fail(made.error());
        co_return Ok{};
    }
    const NodePtr node = *made;
    node->handles++;
    FileHandle* handle = newHandle(mount, node, request, fi, true);
    fi.keep_cache = 1;
    if (request.create(mount.entryOf(*node), fi)) co_return Ok{};
    dropHandle(handle);
    mount.untake(node);
    (void)co_await mount.closed(node, false);
    co_return Ok{};
}

// The file is as it is now; KEEP_CACHE if the kernel has just that.
Task<Result<>> openNow(Mount& mount, NodePtr node, int flags, bool& keep) {
    keep = true;
    const std::shared_ptr<Content> content = node->content;
    if (flags & O_TRUNC) { // also one that is opened for reading, as Linux does everywhere
        auto turn = node->lock.acquire();
        co_await turn;
        Locked locked(node);
        content->truncate(0, mount.now());
        mount.changedHere(node);
        keep = false;
        co_return Ok{};
    }
    if (node->pending || node->dropped || content->dirty()) co_return Ok{};
    auto reply = co_await mount.client.metadata.open(node->id);
    // The name may be another file's by now: ESTALE makes the kernel look again.
    if (reply.code() == Code::NotFound) co_return Error(Code::Stale, node->name);
    if (!reply) co_return reply.error();
    if (content->dirty() || node->pending) co_return Ok{};
    const Attributes& now = reply->attributes;
    const bool other =
        node->attributes.size != now.size || node->attributes.mtime != now.mtime || node->attributes.mode != now.mode;
    mount.heardNow(node, reply->attributes);
    if (other) mount.forgetAttributes(*node); // the kernel's may be good for a second more, and end the file too early
    keep = node->cachedContent == reply->attributes.content && node->cachedGeneration == reply->attributes.generation;
    node->cachedContent = reply->attributes.content;
    node->cachedGeneration = reply->attributes.generation;
    content->opened(std::move(*reply));
    co_return Ok{};
}

Task<> open(Mount& mount, Request request, NodePtr node, fuse_file_info fi) {
    // Removed, or never committed, and nobody has it open: what the kernel remembers is nobody's. It looks again.
    if (node->dropped && node->handles == 0) {
        request.fail(Error(Code::Stale));
        co_return Ok{};
    }
    node->handles++; // content stays from here on
    mount.contentOf(node);
    bool keep = false;
    auto done = co_await openNow(mount, node, fi.flags, keep);
    if (!done) {
        request.fail(done.error());
        (void)co_await mount.closed(node, true);
        co_return Ok{};
    }
    FileHandle* handle = newHandle(mount, node, request, fi, fi.flags & O_TRUNC);
    fi.keep_cache = keep;
    if (request.open(fi)) co_return Ok{};
    dropHandle(handle);
    (void)co_await mount.closed(node, true);
    co_return Ok{};
}
} // namespace

void onCreate(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode, fuse_file_info* fi) {
    Mount& mount = Mount::of(req);
    mount.start(create(mount, Request(mount, req), parent, name, mode, *fi));
}
void onOpen(fuse_req_t req, fuse_ino_t ino, fuse_file_info* fi) {
    Mount& mount = Mount::of(req);
    mount.start(open(mount, Request(mount, req), mount.nodes.of(ino), *fi));
}

} // namespace skua::fuse
