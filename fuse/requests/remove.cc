// UNLINK, RMDIR. A name that only this mount sees is simply dropped; an open file stays readable.
#include "fuse/mount.h"
#include "fuse/operations.h"

namespace skua::fuse {

namespace {

Task<> unlink(Mount& mount, Request request, u64 parent, std::string name) {
    const NodePtr dir = mount.nodes.of(parent);
    if (const NodePtr ours = mount.nodes.pending(dir->id, name)) {
        auto turn = ours->lock.acquire();
        co_await turn;
        Locked locked(ours);
        if (ours->pending) { // else it was committed while we waited
            mount.drop(ours);
            request.ok();
            co_return Ok{};
        }
    }
    const NodePtr known = mount.nodes.hinted(dir->id, name);
    const bool hold = known && known->handles > 0;
    const InodeId whatever;
    auto gone = co_await mount.client.metadata.unlink(dir->id, name, whatever, hold);
    mount.changed(dir);
    if (gone) {
        if (const NodePtr node = mount.nodes.find(*gone)) mount.removed(node);
        request.ok();
    } else {
        request.fail(gone.error());
    }
    co_return Ok{};
}

Task<> rmdir(Mount& mount, Request request, u64 parent, std::string name) {
    const NodePtr dir = mount.nodes.of(parent);
    NodePtr victim = mount.nodes.hinted(dir->id, name);
    if (!victim || !victim->directory()) {
        auto found = co_await mount.client.metadata.lookup(dir->id, name);
        if (!found) {
            request.fail(found.error());
            co_return Ok{};
        }
        victim = mount.nodes.find(found->inode);
    }
    if (victim && mount.nodes.anyPendingIn(victim->id)) {
        request.fail(ENOTEMPTY);
        co_return Ok{};
    }
    auto done = co_await mount.client.metadata.rmdir(dir->id, name);
    mount.changed(dir);
    if (!done) {
        request.fail(done.error());
        co_return Ok{};
    }
    if (victim) {
        victim->attributes.nlink = 0;
        mount.changed(victim);
        mount.nodes.unhint(victim);
    }
    request.ok();
    co_return Ok{};
}
} // namespace

void onUnlink(fuse_req_t req, fuse_ino_t parent, const char* name) {
    Mount& mount = Mount::of(req);
    mount.start(unlink(mount, Request(mount, req), parent, name));
}
void onRmdir(fuse_req_t req, fuse_ino_t parent, const char* name) {
    Mount& mount = Mount::of(req);
    mount.start(rmdir(mount, Request(mount, req), parent, name));
}

} // namespace skua::fuse
