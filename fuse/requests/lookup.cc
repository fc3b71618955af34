// LOOKUP, FORGET: what a name is, and that the kernel remembers it.
#include "fuse/mount.h"
#include "fuse/operations.h"

namespace skua::fuse {

namespace {
Task<> lookup(Mount& mount, Request request, u64 parent, std::string name) {
    const NodePtr dir = mount.nodes.of(parent);
    NodePtr node = mount.nodes.pending(dir->id, name);
    if (!node) {
        const u64 before = mount.nodes.tick();
        auto found = co_await mount.client.metadata.lookup(dir->id, name);
        node = mount.nodes.pending(dir->id, name);
        if (!node && !found) {
            if (found.code() == Code::NotFound && mount.options.negative_timeout > 0) {
                fuse_entry_param none{};
                none.entry_timeout = mount.options.negative_timeout;
                request.entry(none);
            } else {
                request.fail(found.error());
            }
            co_return Ok{};
        }
        if (!node) {
            // What was changed here meanwhile is newer than what we heard.
            const NodePtr known = mount.nodes.find(found->inode);
            const bool newer = known && known->changed > before;
            const Attributes attributes = newer ? known->attributes : found->attributes;
            node = mount.nodes.looked(found->inode, attributes, dir->id, name);
            if (!newer) node->heardAt = mount.ring.now().value;
            if (!request.entry(mount.entryOf(*node))) mount.untake(node);
            co_return Ok{};
        }
    }
    node->lookups++;
    if (!request.entry(mount.entryOf(*node))) mount.untake(node);
    co_return Ok{};
}
} // namespace

void onLookup(fuse_req_t req, fuse_ino_t parent, const char* name) {
    Mount& mount = Mount::of(req);
    mount.start(lookup(mount, Request(mount, req), parent, name));
}

void onForget(fuse_req_t req, fuse_ino_t ino, uint64_t lookups) {
    Mount::of(req).nodes.forget(ino, lookups);
    fuse_reply_none(req);
}

void onForgetMany(fuse_req_t req, size_t count, fuse_forget_data* which) {
    for (size_t i = 0; i < count; i++) Mount::of(req).nodes.forget(which[i].ino, which[i].nlookup);
    fuse_reply_none(req);
}

} // namespace skua::fuse
