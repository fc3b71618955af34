#include "fuse/operations.h"

#include "fuse/mount.h"

namespace skua::fuse {

namespace {

constexpr unsigned kReadAhead = 1u << 20;
constexpr unsigned kMaxBackground = 128;

void onInit(void* user, fuse_conn_info* connection) {
    const Mount& mount = *static_cast<Mount*>(user);
    const unsigned wanted = FUSE_CAP_ASYNC_READ | FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_READDIRPLUS |
                            FUSE_CAP_ASYNC_DIO | FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_CACHE_SYMLINKS;
    // Never READDIRPLUS_AUTO: attributes come with the names anyway, and `ls -l` reads all names before it looks.
    const unsigned never = FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
                           FUSE_CAP_POSIX_ACL | FUSE_CAP_FLOCK_LOCKS | FUSE_CAP_POSIX_LOCKS | FUSE_CAP_WRITEBACK_CACHE |
                           FUSE_CAP_HANDLE_KILLPRIV | FUSE_CAP_EXPORT_SUPPORT;
    connection->want &= ~never;
    connection->want |= wanted & connection->capable;
    if (mount.options.writeback) connection->want |= FUSE_CAP_WRITEBACK_CACHE & connection->capable;
    connection->max_readahead = kReadAhead;
    connection->max_background = kMaxBackground;
    connection->congestion_threshold = kMaxBackground * 3 / 4;
    connection->time_gran = 1;
}

fuse_lowlevel_ops table() {
    fuse_lowlevel_ops ops{};
    ops.init = onInit;
    ops.lookup = onLookup;
    ops.forget = onForget;
    ops.forget_multi = onForgetMany;
    ops.getattr = onGetattr;
    ops.setattr = onSetattr;
    ops.readlink = onReadlink;
    ops.mknod = onMknod;
    ops.mkdir = onMkdir;
    ops.unlink = onUnlink;
    ops.rmdir = onRmdir;
    ops.symlink = onSymlink;
    ops.rename = onRename;
    ops.link = onLink;
    ops.create = onCreate;
    ops.open = onOpen;
    ops.read = onRead;
    ops.write = onWrite;
    ops.flush = onFlush;
    ops.release = onRelease;
    ops.fsync = onFsync;
    ops.fallocate = onFallocate;
    ops.lseek = onLseek;
    ops.opendir = onOpendir;
    ops.readdir = onReaddir;
    ops.readdirplus = onReaddirplus;
    ops.releasedir = onReleasedir;
    ops.fsyncdir = onFsyncdir;
    ops.statfs = onStatfs;
    ops.getxattr = onGetxattr;
    ops.setxattr = onSetxattr;
    ops.listxattr = onListxattr;
    ops.removexattr = onRemovexattr;
    return ops;
}

} // namespace

const fuse_lowlevel_ops& operations() {
    static const fuse_lowlevel_ops ops = table();
    return ops;
}

} // namespace skua::fuse
