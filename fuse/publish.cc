// How what was written here reaches the servers: on its way while it is written, and in one commit at the end.
#include <cstring>
#include <utility>
#include "core/base/log.h"
#include "core/data/geometry.h"
#include "fuse/mount.h"

namespace skua::fuse {

namespace {
constexpr u64 kBeginStream = 2u << 20; // smaller files are sent when they are committed
constexpr u64 kFeed = 1u << 20;
constexpr u64 kLetGoAt = 4u << 20;
constexpr u64 kUnsentMost = 16u << 20; // of one file; then writing waits
} // namespace

// Resolved; the cluster's default where the directory is not known, or gone.
Task<Policy> Mount::policyFor(NodePtr node) {
    if (!node->dir.none()) {
        auto policy = co_await client.metadata.policyOf(node->dir);
        if (policy) co_return *policy;
    }
    co_return client.cluster.defaultPolicy();
}

// Told by write() already: many programs expect ENOSPC there, not of fsync() or close().
Task<Result<>> Mount::room(NodePtr node, u64 size) {
    if (node->dropped) co_return Ok{};
    const Policy& usual = client.cluster.defaultPolicy();
    const Stream* const stream = node->content->stream().get();
    bool freshened = false;
    for (bool fresh = false;; fresh = true) {
        const Policy& policy = stream ? stream->policy() : usual;
        if (size <= client::inlineMost(policy)) co_return Ok{};
        const u64 span = std::min<u64>(size, geometry::maxSpan(policy));
        const Geometry g = geometry::choose(policy, span);
        const u64 block = geometry::blockLength(g, static_cast<u32>(span));
        const u32 domains = std::min<u32>(g.blocks(), g.data + 1u);
        u64 room = client.services.roomIn(domains);
        // SQLite, for one, calls an ENOSPC of fsync() an I/O error; only that of write() is "full" to it.
        if (room >= block && !std::exchange(freshened, true)) {
            (void)co_await client.services.freshenRoom(room);
            if (node->content->stream().get() != stream) co_return Ok{};
            room = client.services.roomIn(domains);
        }
        if (room >= block) co_return Ok{};
        if (fresh || !client.services.mayRefresh()) break;
        (void)co_await client.cluster.refresh();
        if (node->content->stream().get() != stream) co_return Ok{};
    }
    co_return Error(Code::NoSpace, "the disks are full");
}

// A stream for a content without a base, under an id that was not used yet.
Task<Result<>> Mount::prepareStream(NodePtr node) {
    const std::shared_ptr<Content> content = node->content;
    if (content->stream()) co_return Ok{};
    Policy policy = co_await policyFor(node);
    if (content->stream()) co_return Ok{};
    client::NewId id = node->newId;
    const bool own = node->pending && id.from && !node->contentUsed;
    if (!own) {
        const ShardId shard = node->pending ? node->dir.shard() : node->id.shard();
        CO_TRY(id, co_await client.metadata.reservations().take(shard));
        if (content->stream()) co_return Ok{};
        if (node->pending) { // inode and content are of one reservation: the inode is another one from now on
            node->newId = id;
            node->contentUsed = false;
            node->id = id.inode(InodeType::kFile);
        }
    }
    content->stream() = std::make_shared<Stream>(client, content->overlay(), std::move(policy), id, id.content());
    co_return Ok{};
}

Task<> Mount::feed(std::shared_ptr<Content> content, std::shared_ptr<Stream> stream) {
    (void)co_await stream->feed();
    (void)content; // whose bytes they were
    co_return Ok{};
}

Task<> Mount::pour(NodePtr node) {
    const std::shared_ptr<Content> content = node->content;
    if (!content || !content->noBase() || !content->dirty() || node->dropped) co_return Ok{};
    if (!content->stream()) {
        if (content->overlay().contiguous(0, kBeginStream) < kBeginStream) co_return Ok{};
        auto ready = co_await prepareStream(node);
        if (!ready) co_return Ok{}; // the commit will say so
    }
    const std::shared_ptr<Stream> stream = content->stream();
    if (!stream) co_return Ok{};
    if (!stream->feeding() && stream->waiting() >= kFeed) tasks_.spawn(feed(content, stream));
    // Who writes from the beginning to the end will not touch it again: its memory serves for what follows, and no
    // other is needed (memory that was never used costs as much as all the rest). Others may: it is kept.
    const u64 most = options.dirty_mib << 20;
    const bool once = node->direct > 0 && stream->sequential();
    if (once ? stream->durable() >= kLetGoAt : memory.used() > most / 4 * 3) {
        auto turn = node->lock.acquire();
        co_await turn;
        Locked locked(node);
        const u64 bytes = once ? ~0ull : most / 4;
        (void)co_await content->letGo(bytes);
    }
    while (stream->feeding() && stream->waiting() > kUnsentMost) {
        auto waiting = stream->progress().wait();
        (void)co_await waiting;
    }
    co_return Ok{};
}

// --- commits -------------------------------------------------------------------------------------------------

Task<Result<>> Mount::publish(NodePtr node) {
    auto turn = node->lock.acquire();
    co_await turn;
    Locked locked(node);
    auto done = co_await publishLocked(node);
    co_return done;
}

Task<Result<>> Mount::publishLocked(NodePtr node) {
    if (node->dropped) co_return Ok{};
    const std::shared_ptr<Content> content = node->content;
    const bool dirty = content && content->dirty();
    if (!node->pending && !dirty && !node->anyDeferred()) co_return Ok{};
    Result<> done = Ok{};
    if (node->pending) {
        done = co_await commitFresh(node);
    } else {
        if (dirty) done = co_await commitExisting(node);
        // What did not go with the content.
        if (done && node->anyDeferred()) done = co_await commitAttributes(node);
    }
    changedHere(node);
    if (done) {
        node->failed = Error();
        co_return done;
    }
    if (content) content->resetStream();
    node->heardAt = 0;
    node->contentUsed = true;
    node->failed = done.error();
    node->told = false;
    log::warn("commit failed path={} error={}", nodes.pathOf(node), done.error().message());
    co_return done;
}

Task<Result<>> Mount::publishNames(InodeId dir) {
    Result<> first = Ok{};
    for (const NodePtr& node : nodes.pendingIn(dir)) {
        if (!node->pending) continue;
        auto done = co_await publish(node);
        if (!done && first) first = done;
    }
    co_return first;
}

// Our name becomes everybody's.
Task<Result<>> Mount::commitFresh(NodePtr node) {
    const std::shared_ptr<Content> content = node->content;
    for (int attempt = 0;; attempt++) {
        CO_TRY_OK(co_await prepareStream(node));
        const std::shared_ptr<Stream> stream = content->stream();
        if (content->size() <= client::inlineMost(stream->policy())) { CO_TRY_OK(co_await content->restore()); }
        CO_TRY(shard::NewContent made, co_await stream->finish(content->size()));
        shard::CommitFile request;
        request.dir = node->dir;
        request.name = node->name;
        request.reservation = node->newId.reservation();
        request.inode = node->id;
        request.commit_mode = shard::CommitMode::kCreate;
        request.mode = node->attributes.mode & 07777;
        request.uid = node->attributes.uid;
        request.gid = node->attributes.gid;
        request.atime = node->attributes.atime;
        request.mtime = content->mtime().value_or(node->attributes.mtime);
        request.content = std::move(made);
        request.xattrs = node->xattrs;
        auto reply = co_await client.metadata.commitFile(std::move(request));
        if (reply) {
            committed(node, reply->attributes);
            nodes.removePending(node);
            newIn(node->dir, reply->attributes.birth);
            co_return Ok{};
        }
        if (reply.code() == Code::Expired && attempt == 0) { // the reservation is gone
            client.metadata.reservations().drop(node->dir.shard(), node->newId.reservation());
            content->resetStream();
            node->contentUsed = true;
            continue;
        }
        if (reply.code() != Code::Exists) co_return reply.error();
        // Somebody else made the name meanwhile: our bytes go over theirs.
        const InodeId there = reply.error().inode;
        if (there.isDirectory()) co_return Error(Code::IsDirectory, nodes.pathOf(node));
        if (!there.isFile()) co_return reply.error();
        nodes.removePending(node);
        node->id = there;
        node->truncating = node->truncating && content->dirty();
        content->follow(there, node->truncating);
        if (!content->dirty()) { // nothing was written: it is simply theirs
            content->discard();
            co_return Ok{};
        }
        auto done = co_await commitExisting(node);
        co_return done;
    }
}

Task<Result<>> Mount::commitAttributes(NodePtr node) {
    CO_TRY(const Attributes now, co_await client.metadata.setAttr(node->deferred));
    node->deferred = shard::SetAttr();
    heardNow(node, now);
    co_return Ok{};
}

namespace {
// Attributes that go with a content.
template <class Commit>
void addDeferred(Node& node, Commit& request) {
    const shard::SetAttr& d = node.deferred;
    request.mode = d.mode;
    request.uid = d.uid;
    request.gid = d.gid;
    request.atime = d.atime;
}
} // namespace

// All of it is the servers' now.
void Mount::committed(const NodePtr& node, const Attributes& now) {
    node->deferred = shard::SetAttr();
    node->content->committed(now);
    heardNow(node, now);
    node->cachedContent = node->direct ? ContentId() : now.content;
    node->cachedGeneration = now.generation;
}

Task<Result<>> Mount::commitExisting(NodePtr node) {
    const std::shared_ptr<Content> content = node->content;
    Policy policy = co_await policyFor(node);
    Result<> done = Error(Code::Conflict);
    if (content->noBase()) {
        const bool unconditionally = content->whole();
        if (!unconditionally && content->size() <= client::inlineMost(policy)) {
            done = co_await commitInline(node, policy);
        } else {
            done = co_await commitWhole(node, policy, unconditionally);
        }
        if (done || unconditionally || done.code() != Code::Conflict) co_return done;
        content->resetStream();
    }
    CO_TRY_OK(co_await content->restore());
    const Attributes before = content->committed() ? *content->committed() : Attributes();
    client::Edit edit = content->edit(policy);
    CO_TRY(Attributes now, co_await client::editFile(client, std::move(edit)));
    // The kernel's pages are right if nobody else's change came in between.
    const bool only_ours = node->cachedContent == before.content && node->cachedGeneration == before.generation &&
                           now.content == before.content && now.generation.value == before.generation.value + 1;
    content->committed(now);
    node->deferred.mtime.reset(); // older than what was written
    heardNow(node, now);
    if (only_ours) node->cachedGeneration = now.generation;
    co_return Ok{};
}

// A small content over an empty one: no block, one round trip, no past version.
Task<Result<>> Mount::commitInline(NodePtr node, Policy policy) {
    const std::shared_ptr<Content> content = node->content;
    CO_TRY_OK(co_await content->restore());
    const Attributes base = *content->committed();
    shard::EditContent request;
    request.inode = node->id;
    request.content = base.content;
    request.base = base.generation;
    request.size = content->size();
    request.mtime = content->mtime();
    request.inline_bytes.emplace();
    std::string& bytes = request.inline_bytes->value;
    bytes.resize(content->size(), '\0');
    CHECK(bytes.size() <= client::inlineMost(policy));
    content->overlay().each(0, bytes.size(), [&](u64 from, u64 to, const Overlay::Extent* e, u64 in_extent) {
        if (e && e->held()) std::memcpy(bytes.data() + from, e->bytes.data() + in_extent, to - from);
    });
    addDeferred(*node, request);
    CO_TRY(const Attributes now, co_await client.metadata.editContent(std::move(request)));
    committed(node, now);
    co_return Ok{};
}

Task<Result<>> Mount::commitWhole(NodePtr node, Policy policy, bool unconditionally) {
    (void)policy;
    const std::shared_ptr<Content> content = node->content;
    for (int attempt = 0;; attempt++) {
        CO_TRY_OK(co_await prepareStream(node));
        const std::shared_ptr<Stream> stream = content->stream();
        shard::SetContent request;
        if (content->size() <= client::inlineMost(stream->policy())) { CO_TRY_OK(co_await content->restore()); }
        CO_TRY(request.content, co_await stream->finish(content->size()));
        request.inode = node->id;
        request.reservation = stream->id().reservation();
        request.mtime = content->mtime();
        if (!unconditionally) {
            request.base = content->committed()->content;
            request.base_generation = content->committed()->generation;
        }
        addDeferred(*node, request);
        auto now = co_await client.metadata.setContent(std::move(request));
        if (now) {
            committed(node, *now);
            co_return Ok{};
        }
        if (now.code() != Code::Expired || attempt > 0) co_return now.error();
        client.metadata.reservations().drop(node->id.shard(), stream->id().reservation());
        content->resetStream();
    }
}

// --- closing --------------------------------------------------------------------------------------------------

Task<> Mount::closed(NodePtr node, bool commit) {
    CHECK(node->handles > 0);
    if (commit && !node->directory() && node->content) {
        // What failed and was told is not tried again: the program knows.
        const bool known = node->failed.code != Code::Ok && node->told;
        if (!known) (void)co_await publish(node);
    }
    if (--node->handles > 0 || node->directory()) {
        nodes.release(node);
        co_return Ok{};
    }
    auto turn = node->lock.acquire();
    co_await turn;
    Locked locked(node);
    if (node->handles > 0) co_return Ok{}; // opened again meanwhile
    const bool lost = node->content && (node->content->dirty() || node->pending || node->anyDeferred()) && !node->dropped;
    if (lost) log::error("never committed path={} error={}", nodes.pathOf(node), node->failed.message());
    if (node->pending) drop(node);
    if (node->content) {
        node->content->discard();
        if (lost || node->dropped)
            for (client::NewId& id : node->content->spent()) tasks_.spawn(client.giveUp(std::move(id)));
        node->content.reset();
    }
    node->failed = Error();
    node->exclusive = false;
    node->deferred = shard::SetAttr();
    if (node->unlinked && node->held) {
        node->held = false;
        (void)co_await client.metadata.hold(node->id, true);
    }
    locked.unlock();
    nodes.release(node);
    co_return Ok{};
}

} // namespace skua::fuse
