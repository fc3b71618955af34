// The part of Metadata that makes, moves and removes names, and looks into their past.
#include "core/data/names.h"
#include <algorithm>
#include "client/metadata.h"

namespace skua::client {

Task<Result<Attributes>> Metadata::mkdir(InodeId dir, std::string name, u32 mode, Owner owner) {
    CO_TRY_OK(checkName(name));
    cdc::MakeDir request{dir, name, mode & 07777, owner.uid, owner.gid};
    CO_TRY(auto reply, co_await caller_.mutate(kCoordinatorGroup, request));
    co_return reply.made;
}

Task<Result<>> Metadata::rmdir(InodeId dir, std::string name) {
    CO_TRY_OK(checkName(name));
    cdc::RemoveDir request{dir, name};
    CO_TRY_OK(co_await caller_.mutate(kCoordinatorGroup, request));
    co_return Ok{};
}

Task<Result<shard::Unlink::Reply>> Metadata::unlinkEntry(InodeId dir, std::string name, InodeId expected, bool hold) {
    CO_TRY_OK(checkName(name));
    shard::Unlink request{dir, name, expected, hold};
    auto reply = co_await caller_.mutate(groupOf(dir.shard()), request);
    co_return reply;
}

Task<Result<InodeId>> Metadata::unlink(InodeId dir, std::string name, InodeId expected, bool hold) {
    CO_TRY(auto reply, co_await unlinkEntry(dir, name, expected, hold));
    co_return reply.inode;
}

Task<Result<InodeId>> Metadata::rename(InodeId from_dir, std::string from_name, InodeId to_dir, std::string to_name,
                                       InodeId moved, RenameFlags flags) {
    CO_TRY_OK(checkName(from_name));
    CO_TRY_OK(checkName(to_name));
    if (flags.exchange) {
        CO_TRY(Entry a, co_await lookup(from_dir, from_name));
        CO_TRY(Entry b, co_await lookup(to_dir, to_name));
        cdc::Exchange request{from_dir, from_name, to_dir, to_name, a.inode, b.inode};
        CO_TRY_OK(co_await caller_.mutate(kCoordinatorGroup, request));
        co_return InodeId{};
    }
    if (moved.none()) {
        shard::Lookup ask{from_dir, from_name};
        CO_TRY(auto there, co_await caller_.query(groupOf(from_dir.shard()), ask));
        moved = there.inode;
    }
    const bool same_dir = from_dir == to_dir;
    if (from_dir.shard() == to_dir.shard() && (same_dir || !moved.isDirectory())) {
        shard::RenameHere request{from_dir, from_name, to_dir, to_name, moved, flags.no_replace, flags.hold};
        auto reply = co_await caller_.mutate(groupOf(from_dir.shard()), request);
        if (reply) co_return reply->replaced;
        if (reply.code() != Code::NotSupported) co_return reply.error();
    }
    if (flags.hold) {
        // The coordinator does not know who has what open.
        shard::Lookup ask{to_dir, to_name};
        auto there = co_await caller_.query(groupOf(to_dir.shard()), ask);
        if (there && !there->inode.isDirectory()) (void)co_await hold(there->inode);
    }
    cdc::Rename request{from_dir, from_name, to_dir, to_name, moved, flags.no_replace};
    CO_TRY(auto reply, co_await caller_.mutate(kCoordinatorGroup, request));
    co_return reply.replaced;
}

Task<Result<Attributes>> Metadata::link(InodeId inode, InodeId dir, std::string name) {
    CO_TRY_OK(checkName(name));
    if (inode.isDirectory()) co_return Error(Code::NotPermitted, "directories have one name");
    if (inode.shard() == dir.shard()) {
        shard::LinkHere request{inode, dir, name};
        CO_TRY(auto reply, co_await caller_.mutate(groupOf(dir.shard()), request));
        co_return reply.attributes;
    }
    cdc::Link request{inode, dir, name};
    CO_TRY_OK(co_await caller_.mutate(kCoordinatorGroup, request));
    auto now = co_await getAttr(inode);
    // Unavailable would say that nothing has happened.
    if (!now)
        co_return Error(Code::OutcomeUnknown,
                        "the name was made, the file's attributes cannot be read: " + now.error().message());
    co_return now;
}

Task<Result<Attributes>> Metadata::symlink(InodeId dir, std::string name, std::string target, Owner owner) {
    CO_TRY_OK(checkName(name));
    if (target.empty()) co_return Error(Code::NotFound, "a symlink's target is empty");
    if (target.size() > kMaxTarget) co_return Error(Code::NameTooLong, "a symlink's target has at most 4,095 bytes");
    for (int attempt = 0;; attempt++) {
        CO_TRY(NewId id, co_await reservations_.take(dir.shard()));
        shard::Symlink request{dir, name, id.reservation(), id.inode(InodeType::kSpecial), target, owner.uid, owner.gid};
        auto reply = co_await caller_.mutate(groupOf(dir.shard()), request);
        if (reply) co_return reply->attributes;
        if (reply.code() != Code::Expired || attempt > 0) co_return reply.error();
        reservations_.drop(dir.shard(), id.reservation());
    }
}

Task<Result<Attributes>> Metadata::makeNode(InodeId dir, std::string name, u32 mode, u64 device, Owner owner) {
    CO_TRY_OK(checkName(name));
    for (int attempt = 0;; attempt++) {
        CO_TRY(NewId id, co_await reservations_.take(dir.shard()));
        shard::MakeNode request{dir, name, id.reservation(), id.inode(InodeType::kSpecial), mode, device, owner.uid, owner.gid};
        auto reply = co_await caller_.mutate(groupOf(dir.shard()), request);
        if (reply) co_return reply->attributes;
        if (reply.code() != Code::Expired || attempt > 0) co_return reply.error();
        reservations_.drop(dir.shard(), id.reservation());
    }
}

// --- the past -----------------------------------------------------------------------------------------------

Task<Result<std::vector<Version>>> Metadata::versions(InodeId dir, std::string name) {
    CO_TRY_OK(checkName(name));
    shard::Versions request{dir, name};
    CO_TRY(auto past, co_await caller_.query(groupOf(dir.shard()), request));
    std::vector<Version> all;
    std::vector<InodeId> files;
    for (auto& e : past.entries) {
        Version v;
        v.kind = Version::Kind::kEntry;
        v.name = e.name;
        v.inode = e.inode;
        v.until = e.until;
        v.purge = e.purge;
        v.directory = e.inode.isDirectory();
        if (e.attributes) {
            v.size = e.attributes->size;
            v.mtime = e.attributes->mtime;
        } else {
            auto attributes = co_await getAttr(e.inode);
            if (attributes) {
                v.size = attributes->size;
                v.mtime = attributes->mtime;
            }
        }
        all.push_back(v);
        if (e.inode.isFile()) files.push_back(e.inode);
    }
    shard::Lookup now{dir, name};
    auto current = co_await caller_.query(groupOf(dir.shard()), now);
    if (!current && current.code() != Code::NotFound) co_return current.error();
    if (current && current->inode.isFile()) files.push_back(current->inode);
    std::sort(files.begin(), files.end());
    files.erase(std::unique(files.begin(), files.end()), files.end());
    for (InodeId file : files) {
        shard::PastContents ask{file};
        auto contents = co_await caller_.query(groupOf(file.shard()), ask);
        if (contents.code() == Code::NotFound) continue;
        if (!contents) co_return contents.error();
        for (auto& c : contents->contents) {
            Version v;
            v.kind = Version::Kind::kContent;
            v.name = name;
            v.inode = file;
            v.until = c.until;
            v.purge = c.purge;
            v.mtime = c.mtime;
            v.size = c.size;
            all.push_back(v);
        }
    }
    std::sort(all.begin(), all.end(), [](const Version& a, const Version& b) { return b.until < a.until; });
    co_return all;
}

Task<Result<std::vector<shard::PastEntry>>> Metadata::listPast(InodeId dir) {
    std::vector<shard::PastEntry> all;
    shard::ListPast request;
    request.dir = dir;
    request.limit = 1024;
    for (;;) {
        CO_TRY(auto some, co_await caller_.query(groupOf(dir.shard()), request));
        if (!some.entries.empty()) {
            request.after_name = some.entries.back().name;
            request.after_until = some.entries.back().until;
        }
        const bool end = some.end || some.entries.empty();
        for (auto& e : some.entries) all.push_back(std::move(e));
        if (end) co_return all;
    }
}

Task<Result<InodeId>> Metadata::undelete(InodeId dir, std::string name, Wall until, InodeId inode, InodeId to_dir,
                                         std::string to_name) {
    CO_TRY_OK(checkName(name));
    CO_TRY_OK(checkName(to_name));
    if (inode.isDirectory()) {
        cdc::UndeleteDir request{dir, name, until, inode, to_dir, to_name};
        CO_TRY_OK(co_await caller_.mutate(kCoordinatorGroup, request));
        co_return inode;
    }
    if (dir != to_dir) co_return Error(Code::NotSupported, "a file comes back in the directory where it was; move it afterwards");
    shard::Undelete request{dir, name, until, to_name};
    CO_TRY(auto reply, co_await caller_.mutate(groupOf(dir.shard()), request));
    co_return reply.inode;
}

Task<Result<Attributes>> Metadata::restoreContent(InodeId inode, Wall until) {
    shard::RestoreContent request{inode, until};
    CO_TRY(auto reply, co_await caller_.mutate(groupOf(inode.shard()), request));
    co_return reply.attributes;
}

Task<Result<>> Metadata::purgeEntry(InodeId dir, std::string name, Wall until) {
    CO_TRY_OK(checkName(name));
    shard::PurgeNow request{dir, name, until};
    CO_TRY_OK(co_await caller_.mutate(groupOf(dir.shard()), request));
    co_return Ok{};
}

Task<Result<>> Metadata::purgeContent(InodeId inode, Wall until) {
    shard::PurgeNow request{inode, "", until};
    CO_TRY_OK(co_await caller_.mutate(groupOf(inode.shard()), request));
    co_return Ok{};
}

} // namespace skua::client
