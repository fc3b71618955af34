// GETATTR, SETATTR: what a file is, and that this changes. A size set by path has no close that would commit
// it, so it is committed at once; one set on an open file waits like what is written.
#include <sys/stat.h>
#include <algorithm>
#include "fuse/mount.h"
#include "fuse/operations.h"

namespace skua::fuse {

namespace {

bool ours(const Node& node) { return node.pending || node.dropped; }

Task<> getattr(Mount& mount, Request request, NodePtr node) {
    auto heard = co_await mount.refresh(node);
    if (!heard) request.fail(heard.error());
    else request.attr(mount.statOf(*node), ours(*node) ? mount.options.attr_timeout : mount.fresh(*node));
    co_return Ok{};
}

struct Change {
    int which = 0;
    struct stat to{};
    bool of_handle = false;
};

// What we have begins in 1970 and ends in 2554: what is outside becomes the nearest, as on other file systems.
Wall wallOf(const timespec& t) {
    constexpr i64 kLastSecond = static_cast<i64>(~0ull / kSecond) - 1;
    if (t.tv_sec < 0) return Wall{1};
    return Wall{static_cast<u64>(std::min<i64>(t.tv_sec, kLastSecond)) * kSecond + static_cast<u64>(t.tv_nsec)};
}

// Changing the owner takes setuid away, and so does changing the bytes, unless root does it.
u32 withoutPrivileges(u32 mode) {
    mode &= ~static_cast<u32>(S_ISUID);
    if (mode & S_IXGRP) mode &= ~static_cast<u32>(S_ISGID);
    return mode;
}

shard::SetAttr requestOf(const Change& change, const Node& node, uid_t uid) {
    shard::SetAttr set;
    set.inode = node.id;
    const int which = change.which;
    if (which & FUSE_SET_ATTR_MODE) set.mode = change.to.st_mode & 07777;
    if (which & FUSE_SET_ATTR_UID) set.uid = change.to.st_uid;
    if (which & FUSE_SET_ATTR_GID) set.gid = change.to.st_gid;
    if (which & FUSE_SET_ATTR_ATIME_NOW) set.atime_now = true;
    else if (which & FUSE_SET_ATTR_ATIME) set.atime = wallOf(change.to.st_atim);
    if (which & FUSE_SET_ATTR_MTIME_NOW) set.mtime_now = true;
    else if (which & FUSE_SET_ATTR_MTIME) set.mtime = wallOf(change.to.st_mtim);
    const u32 mode = node.attributes.mode;
    const bool takes = set.uid || set.gid || ((which & FUSE_SET_ATTR_SIZE) && uid != 0);
    if (takes && !set.mode && S_ISREG(mode) && withoutPrivileges(mode) != mode) set.mode = withoutPrivileges(mode) & 07777;
    return set;
}

bool anything(const shard::SetAttr& set) {
    return set.mode || set.uid || set.gid || set.atime || set.mtime || set.atime_now || set.mtime_now;
}

// Of a name that is ours alone, or of a file whose attributes wait for its commit.
void setOurs(Mount& mount, const NodePtr& node, const shard::SetAttr& set) {
    Attributes& a = node->attributes;
    if (set.mode) a.mode = (a.mode & S_IFMT) | *set.mode;
    if (set.uid) a.uid = *set.uid;
    if (set.gid) a.gid = *set.gid;
    if (set.atime_now) a.atime = mount.now();
    if (set.atime) a.atime = *set.atime;
    std::optional<Wall> mtime = set.mtime;
    if (set.mtime_now) mtime = mount.now();
    if (mtime) a.mtime = *mtime;
    if (mtime && node->content) node->content->setMtime(*mtime);
    a.ctime = mount.now();
    if (!node->exclusive) return;
    shard::SetAttr& later = node->deferred;
    later.inode = node->id;
    if (set.mode) later.mode = set.mode;
    if (set.uid) later.uid = set.uid;
    if (set.gid) later.gid = set.gid;
    if (set.atime || set.atime_now) later.atime = a.atime;
    if (mtime) later.mtime = mtime;
}

// With the lock.
Task<Result<>> resize(Mount& mount, NodePtr node, u64 size, bool commit) {
    Content& content = mount.contentOf(node);
    if (size > kMaxFileSize) co_return Error(Code::TooLarge, "a file has at most 2^60 bytes");
    if (size != 0) { CO_TRY_OK(co_await content.ensureBase()); }
    content.truncate(size, mount.now());
    mount.changedHere(node);
    if (!commit || node->pending) co_return Ok{};
    auto done = co_await mount.publishLocked(node);
    co_return done;
}

Task<Result<>> apply(Mount& mount, NodePtr node, Change change, uid_t uid) {
    auto turn = node->lock.acquire();
    co_await turn;
    Locked locked(node);
    const shard::SetAttr set = requestOf(change, *node, uid);
    if ((change.which & FUSE_SET_ATTR_SIZE) && !node->directory()) {
        node->handles++; // so that its content stays
        auto done = co_await resize(mount, node, static_cast<u64>(change.to.st_size), !change.of_handle);
        if (--node->handles == 0 && node->content && !node->pending) {
            node->content->discard();
            node->content.reset();
            node->failed = Error();
        }
        if (!done) co_return done;
    }
    if (!anything(set)) {
        if (!(change.which & FUSE_SET_ATTR_SIZE)) co_return Ok{};
        auto heard = co_await mount.refresh(node);
        co_return heard;
    }
    if (node->pending || node->dropped || (node->exclusive && node->handles > 0)) {
        setOurs(mount, node, set);
        mount.changedHere(node);
        co_return Ok{};
    }
    CO_TRY(const Attributes now, co_await mount.client.metadata.setAttr(set));
    mount.heardNow(node, now);
    mount.changedHere(node);
    const bool timed = set.mtime || set.mtime_now;
    if (timed && node->content && node->content->dirty()) node->content->setMtime(now.mtime);
    co_return Ok{};
}

Task<> setattr(Mount& mount, Request request, NodePtr node, Change change) {
    auto done = co_await apply(mount, node, change, request.uid());
    if (!done) request.fail(done.error());
    else request.attr(mount.statOf(*node), mount.options.attr_timeout);
    mount.nodes.release(node);
    co_return Ok{};
}
} // namespace

void onGetattr(fuse_req_t req, fuse_ino_t ino, fuse_file_info*) {
    Mount& mount = Mount::of(req);
    mount.start(getattr(mount, Request(mount, req), mount.nodes.of(ino)));
}

void onSetattr(fuse_req_t req, fuse_ino_t ino, struct stat* to, int which, fuse_file_info* fi) {
    Mount& mount = Mount::of(req);
    Change change;
    change.which = which;
    change.to = *to;
    change.of_handle = fi != nullptr;
    mount.start(setattr(mount, Request(mount, req), mount.nodes.of(ino), change));
}

} // namespace skua::fuse
