// GETXATTR, SETXATTR, LISTXATTR, REMOVEXATTR. The kernel's own ("system.") are not kept, nor labels of security
// modules: `ls -l` asks for one per file, unless it hears once that there are none.
#include <sys/xattr.h>
#include <algorithm>
#include "fuse/mount.h"
#include "fuse/operations.h"

namespace skua::fuse {

namespace {

bool refused(Request& request, const std::string& name) {
    if (!name.starts_with("system.") && name != "security.selinux" && !name.starts_with("security.SMACK64")) return false;
    request.fail(EOPNOTSUPP);
    return true;
}

void failXattr(Request& request, const Error& error) {
    if (error.code == Code::TooLarge) request.fail(ENOSPC);
    else request.fail(error);
}

auto findOurs(Node& node, const std::string& name) {
    return std::find_if(node.xattrs.begin(), node.xattrs.end(), [&](const shard::Xattr& x) { return x.name == name; });
}

void answer(Request& request, const std::string& value, std::size_t size) {
    if (size == 0) request.xattrSize(value.size());
    else if (value.size() > size) request.fail(ERANGE);
    else request.bytes(value);
}

Task<> get(Mount& mount, Request request, NodePtr node, std::string name, std::size_t size) {
    if (node->pending || node->dropped) {
        auto found = findOurs(*node, name);
        if (found == node->xattrs.end()) request.fail(ENODATA);
        else answer(request, found->value.value, size);
        co_return Ok{};
    }
    // The kernel asks for security.capability before each chown, also of what was just made.
    if (mount.ring.now().value < node->bareUntil) {
        request.fail(ENODATA);
        co_return Ok{};
    }
    auto value = co_await mount.client.metadata.getXattr(node->id, name);
    if (value) answer(request, *value, size);
    else request.fail(value.error());
    co_return Ok{};
}

Task<> list(Mount& mount, Request request, NodePtr node, std::size_t size) {
    std::string names;
    if (node->pending || node->dropped) {
        for (const auto& x : node->xattrs) names += x.name + '\0';
    } else {
        auto all = co_await mount.client.metadata.listXattr(node->id);
        if (!all) {
            request.fail(all.error());
            co_return Ok{};
        }
        for (const auto& name : *all) names += name + '\0';
    }
    answer(request, names, size);
    co_return Ok{};
}

int setOurs(Node& node, const std::string& name, const std::string& value, int flags) {
    auto found = findOurs(node, name);
    if (found == node.xattrs.end() && (flags & XATTR_REPLACE)) return ENODATA;
    if (found != node.xattrs.end() && (flags & XATTR_CREATE)) return EEXIST;
    if (name.size() > kMaxXattrName) return ERANGE;
    std::size_t all = name.size() + value.size();
    for (const auto& x : node.xattrs)
        if (x.name != name) all += x.name.size() + x.value.value.size();
    if (all > kMaxXattrs) return ENOSPC;
    if (found == node.xattrs.end()) found = node.xattrs.insert(found, shard::Xattr{name, {}});
    found->value.value = value;
    return 0;
}

Task<> set(Mount& mount, Request request, NodePtr node, std::string name, std::string value, int flags) {
    auto turn = node->lock.acquire();
    co_await turn;
    Locked locked(node);
    if (node->pending || node->dropped) {
        request.fail(setOurs(*node, name, value, flags));
        co_return Ok{};
    }
    shard::XattrMode mode = shard::XattrMode::kAny;
    if (flags & XATTR_CREATE) mode = shard::XattrMode::kCreate;
    if (flags & XATTR_REPLACE) mode = shard::XattrMode::kReplace;
    auto done = co_await mount.client.metadata.setXattr(node->id, name, value, mode);
    node->heardAt = node->bareUntil = 0; // its ctime is another
    if (done) request.ok();
    else failXattr(request, done.error());
    co_return Ok{};
}

Task<> remove(Mount& mount, Request request, NodePtr node, std::string name) {
    auto turn = node->lock.acquire();
    co_await turn;
    Locked locked(node);
    if (node->pending || node->dropped) {
        auto found = findOurs(*node, name);
        const bool there = found != node->xattrs.end();
        if (there) node->xattrs.erase(found);
        request.fail(there ? 0 : ENODATA);
        co_return Ok{};
    }
    auto done = co_await mount.client.metadata.removeXattr(node->id, name);
    node->heardAt = 0;
    if (done) request.ok();
    else request.fail(done.error());
    co_return Ok{};
}
} // namespace

void onGetxattr(fuse_req_t req, fuse_ino_t ino, const char* name, size_t size) {
    Mount& mount = Mount::of(req);
    Request request(mount, req);
    if (refused(request, name)) return;
    mount.start(get(mount, std::move(request), mount.nodes.of(ino), name, size));
}
void onSetxattr(fuse_req_t req, fuse_ino_t ino, const char* name, const char* value, size_t size, int flags) {
    Mount& mount = Mount::of(req);
    Request request(mount, req);
    if (refused(request, name)) return;
    mount.start(set(mount, std::move(request), mount.nodes.of(ino), name, std::string(value, size), flags));
}
void onListxattr(fuse_req_t req, fuse_ino_t ino, size_t size) {
    Mount& mount = Mount::of(req);
    mount.start(list(mount, Request(mount, req), mount.nodes.of(ino), size));
}
void onRemovexattr(fuse_req_t req, fuse_ino_t ino, const char* name) {
    Mount& mount = Mount::of(req);
    Request request(mount, req);
    if (refused(request, name)) return;
    mount.start(remove(mount, std::move(request), mount.nodes.of(ino), name));
}

} // namespace skua::fuse
