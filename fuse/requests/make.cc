// MKDIR, SYMLINK, MKNOD, LINK: new names that the servers make at once, and READLINK.
#include <sys/stat.h>
#include "fuse/mount.h"
#include "fuse/operations.h"

namespace skua::fuse {

namespace {

// Answers with what was made, or why it was not.
void answer(Mount& mount, Request& request, const NodePtr& dir, const std::string& name, const Result<Attributes>& made) {
    if (!made) {
        request.fail(made.error());
        return;
    }
    const NodePtr node = mount.made(dir->id, name, *made);
    if (!request.entry(mount.entryOf(*node))) mount.untake(node);
}

Task<> mkdir(Mount& mount, Request request, u64 parent, std::string name, u32 mode) {
    const NodePtr dir = mount.nodes.of(parent);
    if (mount.nodes.pending(dir->id, name)) {
        request.fail(EEXIST);
        co_return Ok{};
    }
    gid_t gid = request.gid();
    mount.inherit(*dir, gid, &mode);
    client::Owner owner{request.uid(), gid};
    auto made = co_await mount.client.metadata.mkdir(dir->id, name, mode & 07777, owner);
    if (made) dir->attributes.nlink++;
    answer(mount, request, dir, name, made);
    co_return Ok{};
}

Task<> symlink(Mount& mount, Request request, u64 parent, std::string name, std::string target) {
    const NodePtr dir = mount.nodes.of(parent);
    if (mount.nodes.pending(dir->id, name)) {
        request.fail(EEXIST);
        co_return Ok{};
    }
    gid_t gid = request.gid();
    mount.inherit(*dir, gid, nullptr);
    client::Owner owner{request.uid(), gid};
    auto made = co_await mount.client.metadata.symlink(dir->id, name, target, owner);
    answer(mount, request, dir, name, made);
    co_return Ok{};
}

Task<> mknod(Mount& mount, Request request, u64 parent, std::string name, u32 mode, u64 device) {
    const NodePtr dir = mount.nodes.of(parent);
    if (mount.nodes.pending(dir->id, name)) {
        request.fail(EEXIST);
        co_return Ok{};
    }
    gid_t gid = request.gid();
    mount.inherit(*dir, gid, nullptr);
    client::Owner owner{request.uid(), gid};
    if (!S_ISREG(mode) && (mode & S_IFMT) != 0) {
        auto made = co_await mount.client.metadata.makeNode(dir->id, name, mode, device, owner);
        answer(mount, request, dir, name, made);
        co_return Ok{};
    }
    auto made = co_await mount.makeEmpty(dir->id, name, mode & 07777, owner);
    answer(mount, request, dir, name, made);
    co_return Ok{};
}

Task<> link(Mount& mount, Request request, NodePtr node, u64 parent, std::string name) {
    const NodePtr dir = mount.nodes.of(parent);
    if (mount.nodes.pending(dir->id, name)) {
        request.fail(EEXIST);
        co_return Ok{};
    }
    if (node->pending) { // a name of ours becomes everybody's first
        auto done = co_await mount.publish(node);
        if (!done) {
            node->told = true;
            request.fail(done.error());
            co_return Ok{};
        }
    }
    if (node->dropped) {
        request.fail(ENOENT);
        co_return Ok{};
    }
    auto made = co_await mount.client.metadata.link(node->id, dir->id, name);
    if (!made) {
        request.fail(made.error());
        co_return Ok{};
    }
    node->heard(*made);
    node->lookups++;
    mount.changed(node);
    mount.changed(dir);
    if (!request.entry(mount.entryOf(*node))) mount.untake(node);
    co_return Ok{};
}

Task<> readlink(Mount& mount, Request request, NodePtr node) {
    auto target = co_await mount.client.metadata.readLink(node->id);
    if (!target) request.fail(target.error());
    else request.link(*target);
    co_return Ok{};
}
} // namespace

void onMkdir(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode) {
    Mount& mount = Mount::of(req);
    mount.start(mkdir(mount, Request(mount, req), parent, name, mode));
}
void onSymlink(fuse_req_t req, const char* target, fuse_ino_t parent, const char* name) {
    Mount& mount = Mount::of(req);
    mount.start(symlink(mount, Request(mount, req), parent, name, target));
}
void onMknod(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode, dev_t device) {
    Mount& mount = Mount::of(req);
    mount.start(mknod(mount, Request(mount, req), parent, name, mode, device));
}
void onLink(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char* name) {
    Mount& mount = Mount::of(req);
    mount.start(link(mount, Request(mount, req), mount.nodes.of(ino), parent, name));
}
void onReadlink(fuse_req_t req, fuse_ino_t ino) {
    Mount& mount = Mount::of(req);
    mount.start(readlink(mount, Request(mount, req), mount.nodes.of(ino)));
}

} // namespace skua::fuse
