#include "client/cli/copier.h"

#include <fcntl.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include "client/cli/copy_out.h"
#include "client/cli/local_source.h"

namespace skua::cli {

namespace {

constexpr u64 kLanes = 16; // directories walked at a time

// The last name of a path; "" for "/", "." and "..": then the contents are meant.
std::string baseName(std::string path) {
    while (path.size() > 1 && path.back() == '/') path.pop_back();
    const std::string name = path.substr(path.rfind('/') == path.npos ? 0 : path.rfind('/') + 1);
    return name == "." || name == ".." ? "" : name;
}

} // namespace

Wall wallOf(const timespec& t) {
    if (t.tv_sec < 0) return Wall{1};                                  // before 1970 there is nothing
    constexpr i64 kLastSecond = static_cast<i64>(~0ull / kSecond) - 1; // in 2554
    return Wall{static_cast<u64>(std::min<i64>(t.tv_sec, kLastSecond)) * kSecond + static_cast<u64>(t.tv_nsec)};
}
timespec timeOf(Wall wall) { return {static_cast<time_t>(wall.value / kSecond), static_cast<long>(wall.value % kSecond)}; }

Copier::Copier(client::Process& process, CopyOptions options)
    : process_(process),
      client_(process.client()),
      fs_(client_),
      options_(options),
      progress_(process.ring()),
      buffers_(kLocalBuffer, 8),
      jobs_(std::clamp<u64>(options.jobs, 1, 256)),
      lanes_(kLanes),
      root_(geteuid() == 0) {}

void Copier::failed(const std::string& message) { failures_.push_back(message); }
void Copier::failed(const Error& error) {
    if (failures_.size() < 100'000) failures_.push_back(told(error));
    // Not Denied: that is one local file. Who has the wrong key for the cluster does not come this far.
    if (error.code == Code::Unavailable || error.code == Code::NoSpace || error.code == Code::OverQuota) hopeless_ = true;
}

client::Owner Copier::ownerOf(u32 uid, u32 gid) const {
    client::Owner owner = ourOwner();
    if (root_) {
        owner.uid = uid;
        owner.gid = gid;
    }
    return owner;
}

// As cp(1): an existing directory as the target is where the sources go, by their names.
Task<bool> Copier::run(std::vector<std::string> sources, std::string target) {
    progress_.start();
    bool into = false;
    std::string base = target;
    if (isRemote(target)) {
        auto path = remotePath(target);
        if (path) base = *path;
        else failed(path.error());
        if (failures_.empty()) {
            auto place = co_await client::resolve(client_.metadata, base, client::Follow::kLast);
            if (place) into = place->isDirectory();
            else failed(place.error());
        }
    } else if (target != "-") {
        struct stat st;
        into = stat(target.c_str(), &st) == 0 && S_ISDIR(st.st_mode);
    }
    if (failures_.empty() && !into && sources.size() > 1)
        failed(target + " is not a directory: several sources go into one that exists");
    if (failures_.empty()) {
        for (const std::string& source : sources) {
            if (hopeless()) break;
            const std::string name = source == "-" ? "stdin" : baseName(isRemote(source) ? source.substr(5) : source);
            const std::string to = into && !name.empty() ? client::joinPath(base, name) : base;
            const std::string whole = isRemote(target) ? "skua:" + to : to;
            co_await one(source, whole);
        }
    }
    co_await tasks_.all();
    co_await finishDirs();
    co_await progress_.stop();
    co_return failures_.empty();
}

Task<> Copier::one(std::string source, std::string target) {
    if (isRemote(source)) co_await oneFrom(source, target);
    else if (!isRemote(target)) failed(source + " and " + target + " are both local: use cp(1), or write skua:/path");
    else if (source == "-") co_await fromStdin(target.substr(5));
    else co_await oneIn(source, target.substr(5));
    co_return Ok{};
}

Task<> Copier::fromStdin(std::string target) {
    LocalSource source(process_.ring(), buffers_, 0, options_.verify);
    source.counter = &progress_.bytes;
    client::PutOptions put;
    put.owner = ourOwner();
    auto made = co_await fs_.putFile(target, put, source);
    co_await source.close();
    if (!made) failed(made.error());
    else progress_.files++;
    if (made && options_.verify) {
        auto same = co_await checkRemote(made->inode, target, source.sum.value());
        if (!same) failed(same.error());
    }
    co_return Ok{};
}

Task<> Copier::oneIn(std::string local, std::string target) {
    struct stat st;
    if ((options_.recursive ? lstat(local.c_str(), &st) : stat(local.c_str(), &st)) != 0) {
        failed(local + ": " + std::strerror(errno));
        co_return Ok{};
    }
    auto place = co_await client::resolve(client_.metadata, target, client::Follow::kLast);
    if (!place) {
        failed(place.error());
        co_return Ok{};
    }
    RemoteDir dir;
    dir.dir = place->dir;
    dir.path = client::parentOf(place->path);
    if (S_ISDIR(st.st_mode)) {
        if (!options_.recursive) {
            failed(local + " is a directory: say -r");
            co_return Ok{};
        }
        InodeId inode = kRoot;
        if (!place->name.empty()) {
            auto made = co_await makeRemoteDir(dir, place->name, st.st_mode & 07777, ownerOf(st.st_uid, st.st_gid));
            if (!made) {
                failed(made.error());
                co_return Ok{};
            }
            inode = *made;
            late_.push_back({inode, "", static_cast<u32>(st.st_mode & 07777), wallOf(st.st_atim), wallOf(st.st_mtim)});
        }
        RemoteDir into;
        into.dir = inode;
        into.path = place->path;
        co_await treeIn(local, into, 0, false);
    } else if (S_ISREG(st.st_mode) || (!S_ISLNK(st.st_mode) && !options_.recursive)) {
        progress_.bytes_total += static_cast<u64>(st.st_size);
        co_await jobs_.acquire();
        tasks_.spawn(fileIn(local, st, dir, place->name, place->attributes, true));
    } else {
        co_await otherIn(local, st, dir, place->name, false);
    }
    co_return Ok{};
}

Task<> Copier::oneFrom(std::string source, std::string target) {
    const auto follow = options_.recursive ? client::Follow::kNotLast : client::Follow::kLast;
    auto path = remotePath(source);
    if (!path) {
        failed(path.error());
        co_return Ok{};
    }
    auto place = co_await client::resolveExisting(client_.metadata, *path, follow);
    if (!place) {
        failed(place.error());
        co_return Ok{};
    }
    const Attributes a = *place->attributes;
    const bool directory = place->isDirectory();
    if (directory && !options_.recursive) {
        failed(source + " is a directory: say -r");
        co_return Ok{};
    }
    RemoteDir from;
    from.dir = a.inode;
    from.path = place->path;
    if (!isRemote(target)) {
        if (directory) {
            if (::mkdir(target.c_str(), 0700) != 0 && errno != EEXIST) {
                failed(target + ": " + std::strerror(errno));
                co_return Ok{};
            }
            late_.push_back({InodeId{}, target, a.mode & 07777, a.atime, a.mtime});
            co_await treeOut(from, target, 0, false);
            co_return Ok{};
        }
        progress_.bytes_total += a.size;
        co_await jobs_.acquire();
        tasks_.spawn(fileOut(a, place->path, target, true));
        co_return Ok{};
    }
    auto there = co_await client::resolve(client_.metadata, target.substr(5), client::Follow::kLast);
    if (!there) {
        failed(there.error());
        co_return Ok{};
    }
    RemoteDir to;
    to.dir = there->dir;
    to.path = client::parentOf(there->path);
    if (!directory) {
        if (there->exists() && there->attributes->inode == a.inode) {
            failed(source + " and " + target + " are the same file");
            co_return Ok{};
        }
        progress_.bytes_total += a.size;
        co_await jobs_.acquire();
        tasks_.spawn(fileWithin(a, place->path, to, there->name, true));
        co_return Ok{};
    }
    if (there->path == place->path || there->path.starts_with(place->path == "/" ? "/" : place->path + "/")) {
        failed(source + " cannot be copied into itself, " + target);
        co_return Ok{};
    }
    auto made = co_await makeRemoteDir(to, there->name, a.mode & 07777, ownerOf(a.uid, a.gid));
    if (!made) {
        failed(made.error());
        co_return Ok{};
    }
    late_.push_back({*made, "", a.mode & 07777, a.atime, a.mtime});
    to.dir = *made;
    to.path = there->path;
    co_await treeWithin(from, to, 0, false);
    co_return Ok{};
}

Task<> Copier::finishDirs() {
    // Deepest first, so that setting the times of what is above comes last.
    for (std::size_t i = late_.size(); i > 0; i--) {
        const LateTimes& l = late_[i - 1];
        if (!l.local.empty()) {
            const timespec times[2] = {timeOf(l.atime), timeOf(l.mtime)};
            (void)!::utimensat(AT_FDCWD, l.local.c_str(), times, 0);
            (void)!::chmod(l.local.c_str(), l.mode);
        } else if (!hopeless()) {
            co_await jobs_.acquire();
            tasks_.spawn(finishDir(i - 1));
        }
    }
    co_await tasks_.all();
    co_return Ok{};
}

Task<> Copier::finishDir(std::size_t n) {
    shard::SetAttr set;
    set.inode = late_[n].inode;
    set.atime = late_[n].atime;
    set.mtime = late_[n].mtime;
    auto done = co_await client_.metadata.setAttr(set);
    if (!done) failed(done.error());
    jobs_.release();
    co_return Ok{};
}

} // namespace skua::cli
