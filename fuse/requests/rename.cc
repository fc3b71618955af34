// RENAME: of what everybody sees; a name that is ours alone is committed first.
#include <linux/fs.h>
#include "fuse/mount.h"
#include "fuse/operations.h"

namespace skua::fuse {

namespace {

struct Names {
    NodePtr from_dir, to_dir;
    std::string from, to;
    unsigned flags = 0;
};

Task<Result<>> publishIfOurs(Mount& mount, InodeId dir, std::string name) {
    const NodePtr ours = mount.nodes.pending(dir, name);
    if (!ours) co_return Ok{};
    auto done = co_await mount.publish(ours);
    if (!done) ours->told = true;
    co_return done;
}

Task<Result<>> move(Mount& mount, Names n) {
    auto& metadata = mount.client.metadata;
    CO_TRY_OK(co_await publishIfOurs(mount, n.from_dir->id, n.from));
    client::RenameFlags flags;
    flags.no_replace = n.flags & RENAME_NOREPLACE;
    flags.exchange = n.flags & RENAME_EXCHANGE;
    if (flags.exchange) { CO_TRY_OK(co_await publishIfOurs(mount, n.to_dir->id, n.to)); }
    // A name of ours that is replaced must not be committed meanwhile.
    const NodePtr ours = mount.nodes.pending(n.to_dir->id, n.to);
    if (ours && flags.no_replace) co_return Error(Code::Exists, n.to);
    std::optional<Locked> locked;
    if (ours) {
        auto turn = ours->lock.acquire();
        co_await turn;
        locked.emplace(ours);
    }
    const NodePtr moved = mount.nodes.hinted(n.from_dir->id, n.from), known = mount.nodes.hinted(n.to_dir->id, n.to);
    const NodePtr replaced = known && !known->pending ? known : nullptr;
    if (replaced && replaced->directory() && !flags.exchange && mount.nodes.anyPendingIn(replaced->id))
        co_return Error(Code::NotEmpty, n.to);
    flags.hold = replaced && replaced->handles > 0;
    InodeId expected = moved ? moved->id : InodeId{};
    auto done = co_await metadata.rename(n.from_dir->id, n.from, n.to_dir->id, n.to, expected, flags);
    if (done.code() == Code::NotFound && moved) { // the hint was out of date
        expected = InodeId{};
        done = co_await metadata.rename(n.from_dir->id, n.from, n.to_dir->id, n.to, expected, flags);
    }
    mount.changed(n.from_dir);
    mount.changed(n.to_dir);
    if (!done) co_return done.error();
    if (ours && ours->pending) mount.drop(ours);
    if (!done->none())
        if (const NodePtr gone = mount.nodes.find(*done)) mount.removed(gone);
    if (moved && mount.nodes.hinted(n.from_dir->id, n.from) == moved) {
        mount.nodes.hint(moved, n.to_dir->id, n.to);
        mount.changed(moved);
    }
    if (flags.exchange && replaced) {
        mount.nodes.hint(replaced, n.from_dir->id, n.from);
        mount.changed(replaced);
    }
    co_return Ok{};
}

Task<> rename(Mount& mount, Request request, Names names) {
    auto done = co_await move(mount, std::move(names));
    if (done) request.ok();
    else request.fail(done.error());
    co_return Ok{};
}
} // namespace

void onRename(fuse_req_t req, fuse_ino_t parent, const char* name, fuse_ino_t to_parent, const char* to_name, unsigned flags) {
    Mount& mount = Mount::of(req);
    Request request(mount, req);
    if (flags & ~static_cast<unsigned>(RENAME_NOREPLACE | RENAME_EXCHANGE)) {
        request.fail(EINVAL);
        return;
    }
    Names names;
    names.from_dir = mount.nodes.of(parent);
    names.to_dir = mount.nodes.of(to_parent);
    names.from = name;
    names.to = to_name;
    names.flags = flags;
    mount.start(rename(mount, std::move(request), std::move(names)));
}

} // namespace skua::fuse
