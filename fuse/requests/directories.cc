// OPENDIR, READDIR, READDIRPLUS, RELEASEDIR, FSYNCDIR: names, ours first (handles.h), then the shard's.
#include <sys/stat.h>
#include <algorithm>
#include "fuse/mount.h"
#include "fuse/operations.h"

namespace skua::fuse {

namespace {

constexpr u32 kPageOfNames = 1000;
constexpr std::size_t kNamesKept = 20'000; // behind the one that is listed, at least half of it

DirHandle& handleOf(const fuse_file_info* fi) { return *reinterpret_cast<DirHandle*>(fi->fh); }

u32 typeOf(InodeId inode, const std::optional<Attributes>& attributes) {
    if (attributes) return attributes->mode & S_IFMT;
    return inode.isDirectory() ? S_IFDIR : inode.isFile() ? S_IFREG : 0;
}

void begin(Mount& mount, DirHandle& handle, InodeId parent) {
    handle.items.clear();
    handle.first = 0;
    handle.ours.clear();
    handle.cookie = 2;
    handle.begun = true;
    handle.end = false;
    handle.items.push_back({".", handle.node->id, std::nullopt, 0});
    handle.items.push_back({"..", parent, std::nullopt, 0});
    for (const NodePtr& node : mount.nodes.pendingIn(handle.node->id)) {
        handle.ours.insert(node->name);
        handle.items.push_back({node->name, node->id, node->attributes, mount.nodes.tick()});
    }
}

Task<Result<>> more(Mount& mount, DirHandle& handle, bool attributes) {
    const u64 tick = mount.nodes.tick();
    CO_TRY(auto page, co_await mount.client.metadata.readDir(handle.node->id, handle.cookie, kPageOfNames, attributes));
    for (auto& entry : page.entries) {
        handle.cookie = std::max(handle.cookie, entry.cookie);
        if (!handle.ours.contains(entry.name))
            handle.items.push_back({std::move(entry.name), entry.inode, entry.attributes, tick});
    }
    handle.end = page.end || page.entries.empty();
    co_return Ok{};
}

// One entry into `to`; false: it does not fit.
bool add(Mount& mount, Request& request, const DirHandle& handle, std::size_t index, bool plus, std::string& to,
         std::size_t size) {
    const DirHandle::Item& item = handle.items[index - handle.first];
    const auto offset = static_cast<off_t>(index + 1);
    char* at = to.data() + to.size();
    const std::size_t room = size - to.size();
    NodePtr node = mount.nodes.find(item.inode);
    struct stat st{};
    st.st_ino = Nodes::inoOf(item.inode);
    st.st_mode = typeOf(item.inode, item.attributes);
    if (!plus) {
        const std::size_t n = fuse_add_direntry(request.raw(), nullptr, 0, item.name.c_str(), &st, offset);
        if (n > room) return false;
        to.resize(to.size() + n);
        at = to.data() + to.size() - n;
        fuse_add_direntry(request.raw(), at, n, item.name.c_str(), &st, offset);
        return true;
    }
    const std::size_t n = fuse_add_direntry_plus(request.raw(), nullptr, 0, item.name.c_str(), nullptr, offset);
    if (n > room) return false;
    fuse_entry_param e{};
    e.attr = st; // without a node it is but a name to the kernel
    const bool dots = item.name == "." || item.name == "..";
    // Attributes that are older than what was changed here are not told; nor names of a changed directory.
    const bool fresh = item.attributes && item.tick > handle.node->changed && (!node || item.tick > node->changed);
    const bool ours = node && node->pending && node->dir == handle.node->id && node->name == item.name;
    if (!dots && (fresh || ours)) {
        if (ours) node->lookups++;
        else {
            node = mount.nodes.looked(item.inode, *item.attributes, handle.node->id, item.name);
            node->heardAt = 0; // that may have been a while ago
        }
        e = mount.entryOf(*node);
    }
    to.resize(to.size() + n);
    at = to.data() + to.size() - n;
    fuse_add_direntry_plus(request.raw(), at, n, item.name.c_str(), &e, offset);
    return true;
}

// The handle lives until RELEASEDIR, which the kernel sends when this was answered; so nothing may touch it
// behind the answer, and one whose caller was told EINTR keeps it by the lock (see release).
Task<> readdir(Mount& mount, Request request, DirHandle& handle, u64 offset, std::size_t size, bool plus) {
    auto turn = handle.lock.acquire();
    co_await turn;
    Result<> good = Ok{};
    if (!handle.begun || offset == 0 || offset < handle.first) {
        InodeId parent = handle.node->id;
        if (parent != kRoot) parent = handle.node->dir.none() ? kRoot : handle.node->dir;
        begin(mount, handle, parent);
    }
    std::string out;
    out.reserve(size);
    std::size_t index = offset;
    for (;;) {
        if (index >= handle.first + handle.items.size()) {
            if (handle.end || !out.empty()) break;
            while (handle.items.size() > kNamesKept && handle.first + kNamesKept / 2 < index) {
                handle.items.pop_front();
                handle.first++;
            }
            good = co_await more(mount, handle, plus);
            if (!good) break;
            continue;
        }
        if (!add(mount, request, handle, index, plus, out, size)) break;
        index++;
    }
    handle.lock.release();
    if (good) request.bytes(out);
    else request.fail(good.error());
    co_return Ok{};
}

Task<> release(Request request, DirHandle* handle, Mount& mount) {
    auto turn = handle->lock.acquire();
    co_await turn;
    handle->lock.release();
    const NodePtr node = handle->node;
    delete handle;
    node->handles--;
    mount.nodes.release(node);
    request.ok();
    co_return Ok{};
}

Task<> fsyncdir(Mount& mount, Request request, InodeId dir) {
    auto done = co_await mount.publishNames(dir);
    if (done) request.ok();
    else request.fail(done.error());
    co_return Ok{};
}
} // namespace

void onOpendir(fuse_req_t req, fuse_ino_t ino, fuse_file_info* fi) {
    Mount& mount = Mount::of(req);
    Request request(mount, req);
    auto* handle = new DirHandle();
    handle->node = mount.nodes.of(ino);
    handle->node->handles++;
    fi->fh = reinterpret_cast<u64>(handle);
    if (request.open(*fi)) return;
    handle->node->handles--;
    mount.nodes.release(handle->node);
    delete handle;
}

void onReaddir(fuse_req_t req, fuse_ino_t, size_t size, off_t offset, fuse_file_info* fi) {
    Mount& mount = Mount::of(req);
    mount.start(readdir(mount, Request(mount, req), handleOf(fi), static_cast<u64>(offset), size, false));
}
void onReaddirplus(fuse_req_t req, fuse_ino_t, size_t size, off_t offset, fuse_file_info* fi) {
    Mount& mount = Mount::of(req);
    mount.start(readdir(mount, Request(mount, req), handleOf(fi), static_cast<u64>(offset), size, true));
}
void onReleasedir(fuse_req_t req, fuse_ino_t, fuse_file_info* fi) {
    Mount& mount = Mount::of(req);
    mount.start(release(Request(mount, req), &handleOf(fi), mount));
}
void onFsyncdir(fuse_req_t req, fuse_ino_t, int, fuse_file_info* fi) {
    Mount& mount = Mount::of(req);
    mount.start(fsyncdir(mount, Request(mount, req), handleOf(fi).node->id));
}

} // namespace skua::fuse
