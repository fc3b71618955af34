// The part of FileSystem that goes down trees, and brings back what was.
#include <algorithm>
#include "client/files.h"

namespace skua::client {

namespace {
constexpr u32 kMaxDepth = 2048;
constexpr u64 kAtOnce = 32; // names being removed or brought back
} // namespace

// What the tasks of one undelete share.
struct FileSystem::Undeleting {
    Semaphore permits{kAtOnce};
    u64 done = 0;
    Error error; // of one that failed; the others under way are finished
};

Task<> FileSystem::removeName(InodeId dir, std::string name, InodeId inode, std::string path, Removing& removing) {
    auto permit = removing.permits.acquire();
    co_await permit;
    auto gone = co_await client_.metadata.unlinkEntry(dir, name, inode);
    if (gone && removing.now) {
        auto purged = co_await client_.metadata.purgeEntry(dir, name, gone->until);
        if (!purged && purged.code() != Code::NotFound && removing.error.code == Code::Ok)
            removing.error = withPath(purged.error(), path);
    }
    removing.permits.release();
    if (gone) {
        removing.done++;
        if (removing.progress) removing.progress(removing.done);
    } else if (gone.code() != Code::NotFound && removing.error.code == Code::Ok) {
        removing.error = withPath(gone.error(), path);
    }
    co_return Ok{};
}

Task<Result<>> FileSystem::removeDirectory(InodeId dir, std::string name, bool now) {
    CO_TRY_OK(co_await client_.metadata.rmdir(dir, name));
    if (!now) co_return Ok{};
    CO_TRY(auto past, co_await client_.metadata.versions(dir, name));
    for (auto& v : past)
        if (v.directory) {
            auto purged = co_await client_.metadata.purgeEntry(dir, name, v.until);
            if (!purged && purged.code() != Code::NotFound) co_return purged.error();
            break;
        }
    co_return Ok{};
}

// A directory with all below it. The first error stays; what is beside it goes on.
Task<> FileSystem::removeSubtree(InodeId dir, std::string name, InodeId inode, std::string path, Removing& removing, u32 depth) {
    auto below = co_await removeBelow(inode, path, removing, depth + 1);
    if (!below) {
        if (removing.error.code == Code::Ok) removing.error = below.error();
        co_return Ok{};
    }
    auto permit = removing.permits.acquire();
    co_await permit;
    auto gone = co_await removeDirectory(dir, name, removing.now);
    removing.permits.release();
    if (!gone && gone.code() != Code::NotFound) {
        if (removing.error.code == Code::Ok) removing.error = withPath(gone.error(), path);
        co_return Ok{};
    }
    removing.done++;
    if (removing.progress) removing.progress(removing.done);
    co_return Ok{};
}

Task<Result<>> FileSystem::removeBelow(InodeId dir, std::string path, Removing& removing, u32 depth) {
    if (depth > kMaxDepth) co_return Error(Code::TooLarge, path + ": directories are nested too deeply");
    u64 cookie = 0;
    for (;;) {
        auto some = co_await client_.metadata.readDir(dir, cookie, 1024);
        if (!some) co_return withPath(some.error(), path);
        std::vector<shard::DirEntry> directories;
        TaskGroup group;
        for (auto& e : some->entries) {
            cookie = std::max(cookie, e.cookie);
            if (e.inode.isDirectory()) directories.push_back(e);
            else group.spawn(removeName(dir, e.name, e.inode, joinPath(path, e.name), removing));
        }
        (void)co_await group.all();
        if (removing.error.code != Code::Ok) co_return removing.error;
        // Subtrees side by side: what waits is a request, not a thread.
        TaskGroup trees;
        for (auto& d : directories) trees.spawn(removeSubtree(dir, d.name, d.inode, joinPath(path, d.name), removing, depth));
        co_await trees.all();
        if (removing.error.code != Code::Ok) co_return removing.error;
        if (some->end || some->entries.empty()) break;
    }
    co_return Ok{};
}

Task<Result<u64>> FileSystem::removeTree(std::string path, bool now, std::function<void(u64)> progress) {
    CO_TRY(Place place, co_await resolveExisting(client_.metadata, path, Follow::kNotLast));
    if (!place.isDirectory()) {
        CO_TRY_OK(co_await unlink(path, now));
        co_return 1;
    }
    if (place.name.empty()) co_return Error(Code::NotPermitted, "/ is the root: it cannot be removed");
    Removing removing;
    removing.now = now;
    removing.progress = std::move(progress);
    CO_TRY_OK(co_await removeBelow(place.attributes->inode, place.path, removing, 0));
    auto gone = co_await removeDirectory(place.dir, place.name, now);
    if (!gone) co_return withPath(gone.error(), place.path);
    co_return removing.done + 1;
}

// --- the past -----------------------------------------------------------------------------------------------

Task<Result<std::vector<Version>>> FileSystem::versions(std::string path) {
    CO_TRY(Place place, co_await resolve(client_.metadata, path, Follow::kNotLast));
    if (place.name.empty()) co_return Error(Code::Invalid, "/: the root was never anything else");
    auto all = co_await client_.metadata.versions(place.dir, place.name);
    if (!all) co_return withPath(all.error(), place.path);
    co_return all;
}

Task<Result<>> FileSystem::undeleteOne(Place from, Place to, Version version) {
    Metadata& metadata = client_.metadata;
    if (to.dir == from.dir || version.directory) {
        auto back = co_await metadata.undelete(from.dir, from.name, version.until, version.inode, to.dir, to.name);
        if (!back) co_return withPath(back.error(), to.path);
        co_return Ok{};
    }
    // A file comes back where it was; under a name that nobody has, then it moves.
    const std::string between = ".undelete-" + std::to_string(version.until.value);
    auto back = co_await metadata.undelete(from.dir, from.name, version.until, version.inode, from.dir, between);
    if (!back) co_return withPath(back.error(), from.path);
    RenameFlags flags;
    flags.no_replace = true;
    auto moved = co_await metadata.rename(from.dir, between, to.dir, to.name, version.inode, flags);
    if (!moved) co_return withPath(moved.error(), joinPath(parentOf(from.path), between) + " -> " + to.path);
    co_return Ok{};
}

Task<Result<>> FileSystem::undelete(std::string path, std::string to, Wall until) {
    CO_TRY(Place place, co_await resolve(client_.metadata, path, Follow::kNotLast));
    if (place.name.empty()) co_return Error(Code::Invalid, "/: the root was never removed");
    auto all = co_await client_.metadata.versions(place.dir, place.name);
    if (!all) co_return withPath(all.error(), place.path);
    for (const Version& v : *all) {
        if (until.value != 0 && v.until != until) continue;
        if (v.kind == Version::Kind::kContent) {
            // Without a time, a removed name is meant, not an earlier content.
            if (until.value == 0) continue;
            auto restored = co_await client_.metadata.restoreContent(v.inode, v.until);
            if (!restored) co_return withPath(restored.error(), place.path);
            co_return Ok{};
        }
        Place target = place;
        if (!to.empty()) {
            CO_TRY(target, co_await resolve(client_.metadata, to, Follow::kNotLast));
            if (target.isDirectory() && target.dir.none()) co_return Error(Code::Exists, target.path);
        }
        if (target.exists()) co_return withPath(Error::exists(target.attributes->inode), target.path);
        auto back = co_await undeleteOne(place, target, v);
        co_return back;
    }
    co_return Error(Code::NotFound, place.path + " has no such past; `skua versions` lists what there is");
}

Task<Result<u64>> FileSystem::undeleteTree(std::string path, std::string to) {
    const Wall newest;
    CO_TRY_OK(co_await undelete(path, to, newest));
    const std::string now = to.empty() ? path : to;
    CO_TRY(Place place, co_await resolveExisting(client_.metadata, now, Follow::kNotLast));
    if (!place.isDirectory()) co_return 1;
    Undeleting undeleting;
    const InodeId inode = place.attributes->inode;
    co_await undeleteBelow(inode, place.path, undeleting, 0);
    if (undeleting.error.code != Code::Ok) co_return undeleting.error;
    co_return undeleting.done + 1;
}

// One name of a directory comes back; a directory with what was in it.
Task<> FileSystem::undeleteName(InodeId dir, shard::PastEntry past, std::string path, Undeleting& undeleting, u32 depth) {
    auto permit = undeleting.permits.acquire();
    co_await permit;
    const std::string name = past.name;
    auto back = co_await client_.metadata.undelete(dir, name, past.until, past.inode, dir, name);
    undeleting.permits.release();
    // Taken meanwhile, or purged: what is there now stays.
    if (back.code() == Code::Exists || back.code() == Code::NotFound) co_return Ok{};
    if (!back) {
        undeleting.error = withPath(back.error(), path);
        co_return Ok{};
    }
    undeleting.done++;
    if (past.inode.isDirectory()) co_await undeleteBelow(past.inode, path, undeleting, depth + 1);
    co_return Ok{};
}

// Of each name that is free now, what it named last. Side by side, kAtOnce requests at a time.
Task<> FileSystem::undeleteBelow(InodeId dir, std::string path, Undeleting& undeleting, u32 depth) {
    if (depth > kMaxDepth) undeleting.error = Error(Code::TooLarge, path + ": directories are nested too deeply");
    if (undeleting.error.code != Code::Ok) co_return Ok{};
    auto past = co_await client_.metadata.listPast(dir);
    if (!past) {
        undeleting.error = withPath(past.error(), path);
        co_return Ok{};
    }
    std::map<std::string, shard::PastEntry> newest;
    for (auto& e : *past) {
        auto& kept = newest[e.name];
        if (kept.name.empty() || kept.until < e.until) kept = e;
    }
    TaskGroup group;
    for (auto& [name, e] : newest) group.spawn(undeleteName(dir, e, joinPath(path, name), undeleting, depth));
    co_await group.all();
    co_return Ok{};
}

Task<Result<u64>> FileSystem::purge(std::string path) {
    CO_TRY(Place place, co_await resolve(client_.metadata, path, Follow::kNotLast));
    if (place.name.empty()) co_return Error(Code::Invalid, "/: the root has no past");
    auto all = co_await client_.metadata.versions(place.dir, place.name);
    if (!all) co_return withPath(all.error(), place.path);
    u64 done = 0;
    for (const Version& v : *all) {
        Result<> purged = Ok{};
        if (v.kind == Version::Kind::kEntry) {
            purged = co_await client_.metadata.purgeEntry(place.dir, place.name, v.until);
        } else {
            purged = co_await client_.metadata.purgeContent(v.inode, v.until);
        }
        if (!purged && purged.code() != Code::NotFound) co_return withPath(purged.error(), place.path);
        done++;
    }
    co_return done;
}

} // namespace skua::client
