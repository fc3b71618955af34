// Copier, local to skua.
#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include "client/cli/copier.h"
#include "client/cli/local_source.h"

namespace skua::cli {

namespace {

constexpr u32 kMaxDepth = 1024;

// Sorted, without "." and "..".
Result<std::vector<std::string>> namesIn(const std::string& dir) {
    std::vector<std::string> names;
    DIR* d = ::opendir(dir.c_str());
    if (!d) return Error(fromErrno(errno), dir + ": " + std::strerror(errno));
    while (const dirent* e = ::readdir(d))
        if (std::strcmp(e->d_name, ".") != 0 && std::strcmp(e->d_name, "..") != 0) names.emplace_back(e->d_name);
    ::closedir(d);
    std::sort(names.begin(), names.end());
    return names;
}

} // namespace

Task<Result<std::vector<client::Listed>>> Copier::listed(RemoteDir dir) {
    std::vector<client::Listed> all;
    u64 cookie = 0;
    for (;;) {
        auto some = co_await client_.metadata.readDir(dir.dir, cookie, 2048, true);
        if (!some) co_return client::withPath(some.error(), dir.path);
        for (auto& e : some->entries) {
            cookie = std::max(cookie, e.cookie);
            all.push_back({e.name, e.inode, e.attributes});
        }
        if (some->end || some->entries.empty()) break;
    }
    std::sort(all.begin(), all.end(), [](const client::Listed& a, const client::Listed& b) { return a.name < b.name; });
    co_return all;
}

Task<Result<InodeId>> Copier::makeRemoteDir(RemoteDir parent, std::string name, u32 mode, client::Owner owner) {
    const std::string path = client::joinPath(parent.path, name);
    if (name.empty()) co_return kRoot;
    auto made = co_await client_.metadata.mkdir(parent.dir, name, mode, owner);
    if (made) co_return made->inode;
    if (made.code() != Code::Exists) co_return client::withPath(made.error(), path);
    auto there = co_await client_.metadata.lookup(parent.dir, name);
    if (!there) co_return client::withPath(there.error(), path);
    if (!there->inode.isDirectory()) co_return Error(Code::NotDirectory, path + " is in the way of a directory");
    co_return there->inode;
}

Task<> Copier::treeIn(std::string local, RemoteDir dir, u32 depth, bool lane) {
    auto names = namesIn(local);
    if (!names) failed(names.error());
    if (depth > kMaxDepth) failed(local + " is nested too deeply");
    std::map<std::string, Attributes> there;
    if (options_.update && names) {
        auto all = co_await listed(dir);
        if (!all) failed(all.error());
        else
            for (auto& e : *all)
                if (e.attributes) there[e.name] = *e.attributes;
    }
    if (names && depth <= kMaxDepth) {
        for (const std::string& name : *names) {
            if (hopeless()) break;
            const std::string path = local + "/" + name;
            struct stat st;
            if (lstat(path.c_str(), &st) != 0) {
                failed(path + ": " + std::strerror(errno));
                continue;
            }
            if (S_ISREG(st.st_mode)) {
                std::optional<Attributes> old;
                if (auto it = there.find(name); it != there.end()) old = it->second;
                co_await jobs_.acquire();
                tasks_.spawn(fileIn(path, st, dir, name, old, true));
            } else if (!S_ISDIR(st.st_mode)) {
                co_await jobs_.acquire();
                tasks_.spawn(otherIn(path, st, dir, name, true));
            } else {
                auto made = co_await makeRemoteDir(dir, name, st.st_mode & 07777, ownerOf(st.st_uid, st.st_gid));
                if (!made) {
                    failed(made.error());
                    continue;
                }
                late_.push_back({*made, "", static_cast<u32>(st.st_mode & 07777), wallOf(st.st_atim), wallOf(st.st_mtim)});
                RemoteDir below;
                below.dir = *made;
                below.path = client::joinPath(dir.path, name);
                if (lanes_.free() > 0) {
                    co_await lanes_.acquire();
                    tasks_.spawn(treeIn(path, below, depth + 1, true));
                } else {
                    co_await treeIn(path, below, depth + 1, false);
                }
            }
        }
    }
    if (lane) lanes_.release();
    co_return Ok{};
}

Task<> Copier::fileIn(std::string local, struct stat st, RemoteDir dir, std::string name, std::optional<Attributes> there,
                      bool permit) {
    auto done = co_await fileInNow(local, st, dir, name, there);
    if (!done) failed(done.error());
    if (permit) jobs_.release();
    co_return Ok{};
}

Task<Result<>> Copier::fileInNow(std::string local, struct stat st, RemoteDir dir, std::string name,
                                 std::optional<Attributes> there) {
    const std::string path = client::joinPath(dir.path, name);
    if (options_.update && there && there->size == static_cast<u64>(st.st_size) &&
        there->mtime.value >= wallOf(st.st_mtim).value) {
        skipped_++;
        progress_.bytes += there->size;
        co_return Ok{};
    }
    if (there && there->inode.isDirectory()) co_return Error(Code::IsDirectory, path);
    const int fd = ::open(local.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) co_return Error(fromErrno(errno), local + ": " + std::strerror(errno));
    client::PutOptions put;
    put.mode = st.st_mode & 07777;
    put.owner = ownerOf(st.st_uid, st.st_gid);
    put.atime = wallOf(st.st_atim);
    put.mtime = wallOf(st.st_mtim);
    LocalSource source(process_.ring(), buffers_, fd, options_.verify);
    source.counter = &progress_.bytes;
    auto made = co_await fs_.putFileAt(dir.dir, name, put, source);
    co_await source.close();
    ::close(fd);
    if (!made) co_return client::withPath(made.error(), path);
    progress_.files++;
    if (options_.verify) { CO_TRY_OK(co_await checkRemote(made->inode, path, source.sum.value())); }
    co_return Ok{};
}

Task<> Copier::otherIn(std::string local, struct stat st, RemoteDir dir, std::string name, bool permit) {
    auto done = co_await otherInNow(local, st, dir, name);
    if (!done) failed(done.error());
    else progress_.files++;
    if (permit) jobs_.release();
    co_return Ok{};
}

Task<Result<>> Copier::otherInNow(std::string local, struct stat st, RemoteDir dir, std::string name) {
    Other other;
    if (S_ISLNK(st.st_mode)) {
        other.target.resize(4096);
        const ssize_t n = ::readlink(local.c_str(), other.target.data(), other.target.size());
        if (n <= 0) co_return Error(Code::Io, local + ": " + std::strerror(errno));
        other.target.resize(static_cast<std::size_t>(n));
    } else if (S_ISSOCK(st.st_mode)) {
        co_return Error(Code::NotSupported, local + " is a socket; it was left out");
    }
    other.mode = st.st_mode;
    other.device = st.st_rdev;
    other.owner = ownerOf(st.st_uid, st.st_gid);
    other.atime = wallOf(st.st_atim);
    other.mtime = wallOf(st.st_mtim);
    CO_TRY_OK(co_await makeOther(other, dir, name));
    co_return Ok{};
}

Task<Result<>> Copier::makeOther(Other other, RemoteDir dir, std::string name) {
    const std::string path = client::joinPath(dir.path, name);
    shard::SetAttr times;
    for (int attempt = 0;; attempt++) {
        Result<Attributes> made = Error(Code::Invalid);
        if (S_ISLNK(other.mode)) {
            made = co_await client_.metadata.symlink(dir.dir, name, other.target, other.owner);
        } else {
            made = co_await client_.metadata.makeNode(dir.dir, name, other.mode, other.device, other.owner);
        }
        if (made) times.inode = made->inode;
        if (made) break;
        if (made.code() != Code::Exists || attempt > 0) co_return client::withPath(made.error(), path);
        auto gone = co_await client_.metadata.unlink(dir.dir, name);
        if (!gone && gone.code() != Code::NotFound) co_return client::withPath(gone.error(), path);
    }
    times.atime = other.atime;
    times.mtime = other.mtime;
    auto done = co_await client_.metadata.setAttr(times);
    if (!done) co_return client::withPath(done.error(), path);
    co_return Ok{};
}

} // namespace skua::cli
