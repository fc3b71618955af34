// FLUSH, RELEASE, FSYNC: when what was written becomes everybody's (design: client.md).
//
// FLUSH comes with every close of every descriptor, from children who inherited one too. It commits if it
// comes from the process that opened the file, or if that one has closed it or ended. A new file that is
// still empty waits while the process has another descriptor of it: a shell's `>f` opens, dups and closes
// before anything is written. RELEASE commits the rest.
#include "core/base/log.h"
#include "fuse/callers.h"
#include "fuse/mount.h"
#include "fuse/operations.h"

namespace skua::fuse {

namespace {

FileHandle& handleOf(const fuse_file_info* fi) { return *reinterpret_cast<FileHandle*>(fi->fh); }

constexpr u64 kKilledWaits = 1 * kSecond; // usually the commit is done by then

bool commitsNow(const Mount& mount, FileHandle& handle, pid_t pid) {
    const NodePtr& node = handle.node;
    // Half of a file that nobody else has seen: RELEASE drops it.
    if (mount.options.drop_on_kill && node->pending && callers::killed(pid)) return false;
    const bool own = callers::sameGroup(handle.opener, pid);
    if (!own && !handle.left && !callers::ended(handle.opener)) return false;
    const bool still_empty = node->content->size() == 0 && (node->pending || node->content->whole());
    if (still_empty && callers::hasDescriptor(pid, node->ino)) return false;
    if (own) handle.left = true;
    return true;
}

// Nobody waits for it; its error waits for fsync.
Task<> publishLater(Mount& mount, NodePtr node) {
    (void)co_await mount.publish(node);
    mount.closing.release();
    co_return Ok{};
}

Task<> publishUntold(Mount& mount, NodePtr node, std::shared_ptr<Event> done) {
    (void)co_await mount.publish(node);
    done->set();
    co_return Ok{};
}

// A program that was killed waits in its end for this answer, and nothing can interrupt it any more.
Task<> flushOfKilled(Mount& mount, Request request, NodePtr node) {
    auto done = std::make_shared<Event>();
    mount.start(publishUntold(mount, node, done));
    auto waiting = done->wait(mount.ring, kKilledWaits);
    (void)co_await waiting;
    request.ok();
    co_return Ok{};
}

Task<> flush(Mount& mount, Request request, NodePtr node, bool commit) {
    if (!commit) {
        request.ok();
        co_return Ok{};
    }
    if (mount.options.async_close) {
        auto turn = mount.closing.acquire();
        co_await turn;
        mount.start(publishLater(mount, node));
        request.ok();
        co_return Ok{};
    }
    auto done = co_await mount.publish(node);
    if (!done) {
        node->told = true;
        request.fail(done.error());
        co_return Ok{};
    }
    request.ok();
    co_return Ok{};
}

Task<> fsync(Mount& mount, Request request, NodePtr node) {
    auto done = co_await mount.publish(node);
    if (!done) {
        node->told = true;
        request.fail(done.error());
        co_return Ok{};
    }
    request.ok();
    co_return Ok{};
}

Task<> release(Mount& mount, Request request, NodePtr node, bool writes, bool drop) {
    request.ok(); // nobody waits for it
    if (drop) {
        auto turn = node->lock.acquire();
        co_await turn;
        Locked locked(node);
        if (node->pending) {
            log::info("dropped, its writer was killed path={}", mount.nodes.pathOf(node));
            mount.drop(node);
        }
    }
    (void)co_await mount.closed(node, writes);
    co_return Ok{};
}
} // namespace

void onFlush(fuse_req_t req, fuse_ino_t, fuse_file_info* fi) {
    Mount& mount = Mount::of(req);
    FileHandle& handle = handleOf(fi);
    Request request(mount, req);
    const NodePtr node = handle.node;
    const bool anything = handle.writes() && (node->pending || node->content->dirty() || node->anyDeferred());
    const bool commit = anything && commitsNow(mount, handle, request.pid());
    if (commit && callers::killed(request.pid())) mount.start(flushOfKilled(mount, std::move(request), node));
    else mount.start(flush(mount, std::move(request), node, commit));
}

void onRelease(fuse_req_t req, fuse_ino_t, fuse_file_info* fi) {
    Mount& mount = Mount::of(req);
    FileHandle* handle = &handleOf(fi);
    const NodePtr node = handle->node;
    const bool writes = handle->writes();
    const bool drop = mount.options.drop_on_kill && node->pending && node->handles == 1 && callers::killed(handle->opener);
    node->direct -= handle->direct;
    delete handle;
    mount.start(release(mount, Request(mount, req), node, writes, drop));
}

void onFsync(fuse_req_t req, fuse_ino_t, int, fuse_file_info* fi) {
    Mount& mount = Mount::of(req);
    mount.start(fsync(mount, Request(mount, req), handleOf(fi).node));
}

} // namespace skua::fuse
