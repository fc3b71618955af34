// Copier, trees out of skua, and within it.
#include <sys/stat.h>
#include <cerrno>
#include <cstring>
#include "client/cli/copier.h"

namespace skua::cli {

namespace {
constexpr u32 kMaxDepth = 1024;
}

Task<> Copier::treeOut(RemoteDir from, std::string local, u32 depth, bool lane) {
    auto all = co_await listed(from);
    if (!all) failed(all.error());
    if (depth > kMaxDepth) failed(from.path + " is nested too deeply");
    if (all && depth <= kMaxDepth) {
        for (const client::Listed& e : *all) {
            if (hopeless()) break;
            if (!e.attributes) continue; // it vanished meanwhile
            const std::string path = local + "/" + e.name, source = client::joinPath(from.path, e.name);
            const Attributes a = *e.attributes;
            if (!e.inode.isDirectory()) {
                co_await jobs_.acquire();
                tasks_.spawn(fileOut(a, source, path, true));
                continue;
            }
            if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
                failed(path + ": " + std::strerror(errno));
                continue;
            }
            late_.push_back({InodeId{}, path, a.mode & 07777, a.atime, a.mtime});
            RemoteDir below;
            below.dir = e.inode;
            below.path = source;
            if (lanes_.free() > 0) {
                co_await lanes_.acquire();
                tasks_.spawn(treeOut(below, path, depth + 1, true));
            } else {
                co_await treeOut(below, path, depth + 1, false);
            }
        }
    }
    if (lane) lanes_.release();
    co_return Ok{};
}

Task<> Copier::treeWithin(RemoteDir from, RemoteDir to, u32 depth, bool lane) {
    auto all = co_await listed(from);
    if (!all) failed(all.error());
    if (depth > kMaxDepth) failed(from.path + " is nested too deeply");
    if (all && depth <= kMaxDepth) {
        for (const client::Listed& e : *all) {
            if (hopeless()) break;
            if (!e.attributes) continue;
            const std::string source = client::joinPath(from.path, e.name);
            const Attributes a = *e.attributes;
            if (!e.inode.isDirectory()) {
                co_await jobs_.acquire();
                tasks_.spawn(fileWithin(a, source, to, e.name, true));
                continue;
            }
            auto made = co_await makeRemoteDir(to, e.name, a.mode & 07777, ownerOf(a.uid, a.gid));
            if (!made) {
                failed(made.error());
                continue;
            }
            late_.push_back({*made, "", a.mode & 07777, a.atime, a.mtime});
            RemoteDir below, into;
            below.dir = e.inode;
            below.path = source;
            into.dir = *made;
            into.path = client::joinPath(to.path, e.name);
            if (lanes_.free() > 0) {
                co_await lanes_.acquire();
                tasks_.spawn(treeWithin(below, into, depth + 1, true));
            } else {
                co_await treeWithin(below, into, depth + 1, false);
            }
        }
    }
    if (lane) lanes_.release();
    co_return Ok{};
}

} // namespace skua::cli
