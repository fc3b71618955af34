#include "fuse/mount.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include "core/base/log.h"
#include "fuse/callers.h"

namespace skua::fuse {

namespace {
constexpr u64 kLookAgain = 50 * kMillisecond; // at callers that were interrupted
constexpr u64 kHoldEvery = 10 * kMinute;
constexpr u32 kBlockSize = 1u << 20; // programs read and write in such pieces

timespec toTimespec(Wall t) { return {static_cast<time_t>(t.value / kSecond), static_cast<long>(t.value % kSecond)}; }
} // namespace

Mount::Mount(Ring& r, client::Client& c, MountOptions o)
    : ring(r), client(c), options(std::move(o)), memory(options.dirty_mib << 20) {}

void Mount::startBackground() { tasks_.spawn(renewHolds()); }

Task<> Mount::commitAll(std::shared_ptr<Event> done) {
    bool again = true;
    while (again) {
        again = false;
        for (const NodePtr& node : nodes.all()) {
            const bool due = node->pending || node->anyDeferred() || (node->content && node->content->dirty());
            if (!due || node->dropped || node->failed.code != Code::Ok) continue;
            again = true;
            auto committed = co_await publish(node);
            if (!committed) log::error("not committed path={} error={}", nodes.pathOf(node), committed.error().message());
        }
    }
    done->set();
    co_return Ok{};
}

void Mount::tellWhoIsLeft() {
    constexpr int kSaid = 20;
    int open = 0;
    for (const NodePtr& node : nodes.all()) {
        if (node->handles == 0) continue;
        if (open++ < kSaid) log::warn("leaving while it is open path={} descriptors={}", nodes.pathOf(node), node->handles);
    }
    if (open > kSaid) log::warn("leaving while others are open files={}", open - kSaid);
    if (open == 0) log::warn("leaving users=some");
}

Task<> Mount::finish() {
    stop_.set();
    (void)co_await tasks_.all();
    co_return Ok{};
}

// --- answering ----------------------------------------------------------------------------------------------

struct stat Mount::statOf(InodeId inode, const Attributes& a) {
    struct stat st{};
    st.st_ino = Nodes::inoOf(inode);
    st.st_mode = a.mode;
    st.st_nlink = a.nlink;
    st.st_uid = a.uid;
    st.st_gid = a.gid;
    st.st_size = static_cast<off_t>(a.size);
    st.st_blocks = static_cast<blkcnt_t>((a.stored + 511) / 512);
    st.st_blksize = kBlockSize;
    st.st_rdev = static_cast<dev_t>(a.device);
    st.st_atim = toTimespec(a.atime);
    st.st_mtim = toTimespec(a.mtime);
    st.st_ctim = toTimespec(a.ctime);
    return st;
}

struct stat Mount::statOf(const Node& node) {
    struct stat st = statOf(node.id, node.attributes);
    st.st_ino = node.ino;
    if (node.content && node.content->dirty()) {
        st.st_size = static_cast<off_t>(node.content->size());
        st.st_blocks = static_cast<blkcnt_t>((node.content->stored() + 511) / 512);
        if (node.content->mtime()) st.st_mtim = toTimespec(*node.content->mtime());
    }
    return st;
}

fuse_entry_param Mount::entryOf(const Node& node) {
    fuse_entry_param e{};
    e.ino = node.ino;
    e.attr = statOf(node);
    e.attr_timeout = options.attr_timeout;
    e.entry_timeout = options.entry_timeout;
    return e;
}

void Mount::interrupted(std::shared_ptr<Request::InFlight> flight) {
    interrupted_.push_back(std::move(flight));
    if (watching_) return;
    watching_ = true;
    struct Later {
        static Task<> begin(Mount& mount) {
            Sleep breath(mount.ring, 0);
            co_await breath; // out of libfuse's locks
            (void)co_await mount.watchInterrupted();
            co_return Ok{};
        }
    };
    tasks_.spawn(Later::begin(*this));
}

Task<> Mount::watchInterrupted() {
    while (!interrupted_.empty()) {
        std::vector<std::shared_ptr<Request::InFlight>> still;
        std::swap(still, interrupted_);
        for (auto& flight : still) {
            if (!flight->req) continue;
            if (!callers::fatalSignalPending(flight->pid)) {
                interrupted_.push_back(std::move(flight));
                continue;
            }
            fuse_req_t req = std::exchange(flight->req, nullptr);
            fuse_reply_err(req, EINTR);
        }
        if (interrupted_.empty()) break;
        Sleep nap(ring, kLookAgain);
        co_await nap;
    }
    watching_ = false;
    co_return Ok{};
}

// --- attributes and names -------------------------------------------------------------------------------------

Task<Result<>> Mount::refresh(NodePtr node) {
    if (node->pending || node->dropped || fresh(*node) > 0) co_return Ok{};
    const u64 before = node->changed;
    auto now = co_await client.metadata.getAttr(node->id);
    if (!now) co_return now.error();
    if (node->pending || node->changed != before) co_return Ok{}; // ours are newer
    heardNow(node, *now);
    co_return Ok{};
}

void Mount::changedDir(InodeId dir) {
    if (NodePtr node = nodes.find(dir)) changed(node);
}

void Mount::newIn(InodeId dir, Wall when) {
    const NodePtr node = nodes.find(dir);
    if (!node) return;
    changedHere(node);
    Attributes& a = node->attributes;
    a.mtime = std::max(a.mtime, when);
    a.ctime = std::max(a.ctime, when);
}

void Mount::forgetAttributes(const Node& node) {
    // Its pages stay (a negative offset), so this waits for nobody.
    if (session) fuse_lowlevel_notify_inval_inode(session, node.ino, -1, 0);
}

void Mount::heardNow(const NodePtr& node, const Attributes& attributes) {
    node->heard(attributes);
    node->heardAt = ring.now().value;
}

double Mount::fresh(const Node& node) {
    if (node.heardAt == 0) return 0;
    const double age = static_cast<double>(ring.now().value - node.heardAt) / kSecond;
    return std::max(0.0, options.attr_timeout - age);
}

Content& Mount::contentOf(const NodePtr& node) {
    if (!node->content) node->content = std::make_shared<Content>(client, memory, node->id, node->pending);
    return *node->content;
}

NodePtr Mount::made(InodeId dir, const std::string& name, const Attributes& attributes) {
    NodePtr node = nodes.looked(attributes.inode, attributes, dir, name);
    changed(node);
    node->heardAt = ring.now().value;
    node->bareUntil = node->heardAt + static_cast<u64>(options.attr_timeout * kSecond);
    if (node->directory()) changedDir(dir); // by a transaction
    else newIn(dir, attributes.birth);
    return node;
}

Task<Result<Attributes>> Mount::makeEmpty(InodeId dir, std::string name, u32 mode, client::Owner owner) {
    for (int attempt = 0;; attempt++) {
        CO_TRY(const client::NewId id, co_await client.metadata.reservations().take(dir.shard()));
        shard::CommitFile request;
        request.dir = dir;
        request.name = name;
        request.reservation = id.reservation();
        request.inode = id.inode(InodeType::kFile);
        request.mode = mode;
        request.uid = owner.uid;
        request.gid = owner.gid;
        request.content.content = id.content();
        request.content.inline_bytes.emplace();
        auto reply = co_await client.metadata.commitFile(std::move(request));
        if (reply) co_return reply->attributes;
        if (reply.code() != Code::Expired || attempt > 0) co_return reply.error();
        client.metadata.reservations().drop(dir.shard(), id.reservation());
    }
}

void Mount::inherit(const Node& dir, gid_t& gid, u32* directory_mode) const {
    if (!(dir.attributes.mode & S_ISGID)) return;
    gid = dir.attributes.gid;
    if (directory_mode) *directory_mode |= S_ISGID;
}

void Mount::removed(const NodePtr& node) {
    if (node->attributes.nlink > 0) node->attributes.nlink--;
    node->heardAt = 0;
    changed(node);
    nodes.unhint(node);
    if (node->attributes.nlink == 0 && node->handles > 0) {
        node->unlinked = true;
        node->held = true;
    }
}

void Mount::drop(const NodePtr& node) {
    nodes.removePending(node);
    nodes.unhint(node);
    changedDir(node->dir);
    changed(node);
    node->dropped = true;
    node->attributes.nlink = 0;
    if (node->content) node->content->resetStream();
    nodes.release(node);
}

Task<> Mount::renewHolds() {
    for (;;) {
        auto waiting = stop_.wait(ring, kHoldEvery);
        const bool stopped = co_await waiting;
        if (stopped) co_return Ok{};
        for (const NodePtr& node : nodes.all()) {
            if (node->handles == 0 || node->directory() || node->pending || node->dropped) continue;
            node->held = true;
            auto held = co_await client.metadata.hold(node->id);
            if (!held) log::warn("hold failed inode={:x} error={}", node->id.value, held.error().message());
        }
    }
}

} // namespace skua::fuse
