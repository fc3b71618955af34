// READ, WRITE, FALLOCATE, LSEEK: bytes of open files.
#include <linux/falloc.h>
#include <sys/stat.h>
#include <unistd.h>
#include "fuse/mount.h"
#include "fuse/operations.h"

namespace skua::fuse {

namespace {

FileHandle& handleOf(const fuse_file_info* fi) { return *reinterpret_cast<FileHandle*>(fi->fh); }

Task<> read(Mount& mount, Request request, NodePtr node, u64 offset, u64 size) {
    (void)mount;
    const std::shared_ptr<Content> content = node->content;
    const client::FileReader::Gone gone = [&request] { return request.answered(); };
    auto got = co_await content->read(offset, size, &gone);
    if (got) request.buffers(*got);
    else request.fail(got.error().code == Code::NotFound ? Error(Code::Stale) : got.error());
    co_return Ok{};
}

// Who writes takes setuid away, unless it is root.
Task<> dropPrivileges(Mount& mount, NodePtr node) {
    Attributes& a = node->attributes;
    u32 mode = a.mode & ~static_cast<u32>(S_ISUID);
    if (mode & S_IXGRP) mode &= ~static_cast<u32>(S_ISGID);
    if (mode == a.mode) co_return Ok{};
    a.mode = mode;
    mount.changed(node);
    if (node->pending || node->dropped) co_return Ok{};
    shard::SetAttr set;
    set.inode = node->id;
    set.mode = mode & 07777;
    (void)co_await mount.client.metadata.setAttr(set);
    co_return Ok{};
}

struct Bytes {
    u64 offset = 0;
    std::span<const u8> bytes; // the request's, until it is answered
    bool append = false, from_cache = false;
};

Task<> write(Mount& mount, Request request, NodePtr node, Bytes what) {
    {
        auto turn = node->lock.acquire();
        co_await turn;
        Locked locked(node);
        if (request.answered()) co_return Ok{};
        const bool was_dirty = node->content->dirty();
        auto toTheEnd = [&] {
            if (!what.append || what.offset == node->content->size()) return;
            // The kernel's idea of the end is older than what was heard when the file was opened.
            what.offset = node->content->size();
            node->cachedContent = ContentId(); // its page is at the wrong place
        };
        toTheEnd();
        auto done = co_await mount.room(node, std::max(what.offset + what.bytes.size(), node->content->size()));
        if (request.answered()) co_return Ok{};
        toTheEnd(); // somebody has opened the file meanwhile, and heard that it is longer now
        if (done) done = node->content->write(what.offset, what.bytes, what.append, mount.now());
        if (!was_dirty) mount.changedHere(node);
        if (!done) {
            request.fail(done.error());
            co_return Ok{};
        }
        if (!what.from_cache && request.uid() != 0 && (node->attributes.mode & (S_ISUID | S_ISGID))) {
            (void)co_await dropPrivileges(mount, node);
        }
    }
    (void)co_await mount.pour(node);
    request.wrote(what.bytes.size());
    co_return Ok{};
}

Task<> fallocate(Mount& mount, Request request, NodePtr node, int mode, u64 offset, u64 length) {
    constexpr int kKnown = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE;
    if (mode & ~kKnown) {
        request.fail(EOPNOTSUPP);
        co_return Ok{};
    }
    auto turn = node->lock.acquire();
    co_await turn;
    Locked locked(node);
    if (offset > kMaxFileSize || length > kMaxFileSize - offset) {
        request.fail(EFBIG);
        co_return Ok{};
    }
    auto base = co_await node->content->ensureBase();
    if (!base) {
        request.fail(base.error());
        co_return Ok{};
    }
    const u64 end = offset + length;
    if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) node->content->zero(offset, length, mount.now());
    if (!(mode & FALLOC_FL_KEEP_SIZE) && end > node->content->size()) node->content->truncate(end, mount.now());
    mount.changedHere(node);
    request.ok();
    co_return Ok{};
}

Task<> lseek(Mount& mount, Request request, NodePtr node, u64 offset, int whence) {
    (void)mount;
    const std::shared_ptr<Content> content = node->content;
    auto at = co_await content->seek(offset, whence == SEEK_DATA);
    if (at) request.position(*at);
    else if (at.code() == Code::NoAttribute) request.fail(ENXIO);
    else request.fail(at.error());
    co_return Ok{};
}
} // namespace

void onRead(fuse_req_t req, fuse_ino_t, size_t size, off_t offset, fuse_file_info* fi) {
    Mount& mount = Mount::of(req);
    mount.start(read(mount, Request(mount, req), handleOf(fi).node, static_cast<u64>(offset), size));
}

void onWrite(fuse_req_t req, fuse_ino_t, const char* bytes, size_t size, off_t offset, fuse_file_info* fi) {
    Mount& mount = Mount::of(req);
    Bytes what;
    what.offset = static_cast<u64>(offset);
    what.bytes = std::span<const u8>(reinterpret_cast<const u8*>(bytes), size);
    what.from_cache = fi->writepage;
    what.append = handleOf(fi).appends() && !fi->writepage;
    mount.start(write(mount, Request(mount, req), handleOf(fi).node, what));
}

void onFallocate(fuse_req_t req, fuse_ino_t, int mode, off_t offset, off_t length, fuse_file_info* fi) {
    Mount& mount = Mount::of(req);
    mount.start(
        fallocate(mount, Request(mount, req), handleOf(fi).node, mode, static_cast<u64>(offset), static_cast<u64>(length)));
}

void onLseek(fuse_req_t req, fuse_ino_t, off_t offset, int whence, fuse_file_info* fi) {
    Mount& mount = Mount::of(req);
    Request request(mount, req);
    if (offset < 0) {
        request.fail(ENXIO);
        return;
    }
    mount.start(lseek(mount, std::move(request), handleOf(fi).node, static_cast<u64>(offset), whence));
}

} // namespace skua::fuse
