// STATFS: what df shows, after redundancy.
#include <sys/statvfs.h>
#include "client/files.h"
#include "fuse/mount.h"
#include "fuse/operations.h"

namespace skua::fuse {

namespace {
constexpr u64 kBlock = 4096;

Task<> statfs(Mount& mount, Request request) {
    client::FileSystem fs(mount.client);
    auto space = co_await fs.space();
    if (!space) {
        request.fail(space.error());
        co_return Ok{};
    }
    struct statvfs st{};
    st.f_bsize = st.f_frsize = kBlock;
    st.f_blocks = space->capacity_logical / kBlock;
    st.f_bfree = st.f_bavail = space->free_logical / kBlock;
    constexpr u64 kInodes = 1ull << 40; // as many as one likes
    st.f_files = kInodes;
    st.f_ffree = st.f_favail = kInodes - std::min(kInodes, space->inodes);
    st.f_namemax = kMaxName;
    request.space(st);
    co_return Ok{};
}
} // namespace

void onStatfs(fuse_req_t req, fuse_ino_t) {
    Mount& mount = Mount::of(req);
    mount.start(statfs(mount, Request(mount, req)));
}

} // namespace skua::fuse
