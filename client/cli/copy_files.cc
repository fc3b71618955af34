// Copier, one file out of skua, or within it.
#include <fcntl.h>
#include <unistd.h>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include "client/cli/copier.h"
#include "client/cli/copy_out.h"
#include "client/cli/interrupt.h"
#include "client/cli/local_source.h"
#include "core/base/random.h"

namespace skua::cli {

namespace {

Error localError(const std::string& path) { return Error(fromErrno(errno), path + ": " + std::strerror(errno)); }

Error differs(const std::string& path) { return Error(Code::Corrupt, path + ": what was read back is not what was written"); }

// "/d/.name.skua-1f3a", of a name that may be as long as names get.
std::string temporaryFor(const std::string& local) {
    const auto slash = local.rfind('/');
    const std::string dir = slash == local.npos ? "" : local.substr(0, slash + 1),
                      name = slash == local.npos ? local : local.substr(slash + 1);
    char tail[16];
    std::snprintf(tail, sizeof tail, ".skua-%04x", static_cast<unsigned>(randomFromKernel() & 0xffff));
    return dir + "." + name.substr(0, 240) + tail;
}

} // namespace

Task<Result<>> Copier::checkRemote(InodeId inode, std::string path, std::array<u64, 2> sum) {
    auto reader = co_await fs_.open(inode);
    if (!reader) co_return client::withPath(reader.error(), path);
    Sum back;
    auto read = co_await sumOf(**reader, back);
    if (!read) co_return client::withPath(read.error(), path);
    if (back.value() != sum) co_return differs(path);
    co_return Ok{};
}

Task<> Copier::fileOut(Attributes a, std::string source, std::string local, bool permit) {
    auto done = co_await fileOutNow(a, source, local);
    if (!done) failed(done.error());
    if (permit) jobs_.release();
    co_return Ok{};
}

Task<Result<>> Copier::fileOutNow(Attributes a, std::string source, std::string local) {
    if (local == "-") {
        CO_TRY_OK(co_await streamOut(a, source, local));
        co_return Ok{};
    }
    struct stat there;
    const bool exists = lstat(local.c_str(), &there) == 0;
    if (S_ISLNK(a.mode)) {
        auto target = co_await client_.metadata.readLink(a.inode);
        if (!target) co_return client::withPath(target.error(), source);
        if (exists && !S_ISDIR(there.st_mode)) ::unlink(local.c_str());
        if (::symlink(target->c_str(), local.c_str()) != 0) co_return localError(local);
        const timespec times[2] = {timeOf(a.atime), timeOf(a.mtime)};
        (void)!::utimensat(AT_FDCWD, local.c_str(), times, AT_SYMLINK_NOFOLLOW);
        if (root_) (void)!::lchown(local.c_str(), a.uid, a.gid);
        progress_.files++;
        co_return Ok{};
    }
    if (!S_ISREG(a.mode)) {
        if (exists && !S_ISDIR(there.st_mode)) ::unlink(local.c_str());
        if (::mknod(local.c_str(), a.mode, a.device) != 0) co_return localError(local);
        progress_.files++;
        co_return Ok{};
    }
    if (exists && S_ISDIR(there.st_mode)) co_return Error(Code::IsDirectory, local);
    std::string at = local;
    if (exists && S_ISLNK(there.st_mode)) { // as cp: what it leads to is written
        char real[PATH_MAX];
        if (!::realpath(local.c_str(), real)) co_return localError(local);
        at = real;
        if (::stat(real, &there) != 0) co_return localError(local);
    }
    if (exists && !S_ISREG(there.st_mode)) {
        CO_TRY_OK(co_await streamOut(a, source, at));
        co_return Ok{};
    }
    if (options_.update && exists && static_cast<u64>(there.st_size) == a.size && wallOf(there.st_mtim).value >= a.mtime.value) {
        skipped_++;
        progress_.bytes += a.size;
        co_return Ok{};
    }
    CO_TRY_OK(co_await regularOut(a, source, at, there, exists));
    co_return Ok{};
}

// Devices, FIFOs and stdout: in place, in order.
Task<Result<>> Copier::streamOut(Attributes a, std::string source, std::string local) {
    auto reader = co_await fs_.open(a.inode);
    if (!reader) co_return client::withPath(reader.error(), source);
    const int fd = local == "-" ? ::dup(1) : ::open(local.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd < 0) co_return localError(local);
    OutOptions out;
    out.fd = fd;
    out.counter = &progress_.bytes;
    auto copied = co_await copyOut(process_.ring(), **reader, out);
    ::close(fd);
    if (!copied) co_return client::withPath(copied.error(), source + " to " + local);
    progress_.files++;
    co_return Ok{};
}

// Under another name first; with its own when it is whole.
Task<Result<>> Copier::regularOut(Attributes a, std::string source, std::string local, struct stat there, bool exists) {
    auto reader = co_await fs_.open(a.inode);
    if (!reader) co_return client::withPath(reader.error(), source);
    std::unique_ptr<Temporary> temporary;
    int fd = -1;
    for (int attempt = 0; attempt < 16 && fd < 0; attempt++) {
        temporary = std::make_unique<Temporary>(temporaryFor(local));
        fd = ::open(temporary->path().c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0 && errno != EEXIST) break;
    }
    if (fd < 0) {
        temporary->keep(); // it is not ours
        co_return localError(local);
    }
    Sum sum;
    OutOptions out;
    out.fd = fd;
    out.positioned = true;
    out.counter = &progress_.bytes;
    if (options_.verify) out.sum = &sum;
    auto copied = co_await copyOut(process_.ring(), **reader, out);
    Result<> done = Ok{};
    if (!copied) done = client::withPath(copied.error(), source + " to " + local);
    if (done && options_.verify) {
        (void)::lseek(fd, 0, SEEK_SET);
        LocalSource back(process_.ring(), buffers_, fd, true);
        for (;;) {
            auto some = co_await back.next();
            if (!some) done = client::withPath(some.error(), local);
            if (!some || (some->bytes.empty() && some->hole == 0)) break;
        }
        co_await back.close();
        if (done && back.sum.value() != sum.value()) done = differs(local);
    }
    if (done) {
        // The owner first: changing it may drop set-user-id bits.
        if (root_) (void)!::fchown(fd, a.uid, a.gid);
        else if (exists && there.st_uid == geteuid()) (void)!::fchown(fd, there.st_uid, there.st_gid);
        const Attributes& now = (*reader)->attributes();
        const timespec times[2] = {timeOf(now.atime), timeOf(now.mtime)};
        if (::fchmod(fd, now.mode & 07777) != 0 || ::futimens(fd, times) != 0) done = localError(local);
    }
    if (::close(fd) != 0 && done) done = localError(local);
    if (done && ::rename(temporary->path().c_str(), local.c_str()) != 0) done = localError(local);
    if (!done) co_return done.error();
    temporary->keep();
    progress_.files++;
    co_return Ok{};
}

// --- within skua -------------------------------------------------------------------------------------------

Task<> Copier::fileWithin(Attributes a, std::string source, RemoteDir to, std::string name, bool permit) {
    auto done = co_await fileWithinNow(a, source, to, name);
    if (!done) failed(done.error());
    if (permit) jobs_.release();
    co_return Ok{};
}

Task<Result<>> Copier::fileWithinNow(Attributes a, std::string source, RemoteDir to, std::string name) {
    const std::string path = client::joinPath(to.path, name);
    const client::Owner owner = ownerOf(a.uid, a.gid);
    if (!S_ISREG(a.mode)) {
        Other other;
        if (S_ISLNK(a.mode)) {
            auto target = co_await client_.metadata.readLink(a.inode);
            if (!target) co_return client::withPath(target.error(), source);
            other.target = *target;
        }
        other.mode = a.mode;
        other.device = a.device;
        other.owner = owner;
        other.atime = a.atime;
        other.mtime = a.mtime;
        CO_TRY_OK(co_await makeOther(other, to, name));
        progress_.files++;
        co_return Ok{};
    }
    if (options_.update) {
        auto there = co_await client_.metadata.lookup(to.dir, name);
        if (there && there->attributes.size == a.size && there->attributes.mtime >= a.mtime) {
            skipped_++;
            progress_.bytes += a.size;
            co_return Ok{};
        }
    }
    auto reader = co_await fs_.open(a.inode);
    if (!reader) co_return client::withPath(reader.error(), source);
    client::PutOptions put;
    put.mode = a.mode;
    put.owner = owner;
    put.atime = a.atime;
    put.mtime = a.mtime;
    client::ReaderSource bytes(**reader);
    auto made = co_await fs_.putFileAt(to.dir, name, put, bytes);
    if (!made) co_return client::withPath(made.error(), path);
    progress_.files++;
    progress_.bytes += made->size;
    if (options_.verify) {
        Sum sum;
        auto again = co_await sumOf(**reader, sum);
        if (!again) co_return client::withPath(again.error(), source);
        CO_TRY_OK(co_await checkRemote(made->inode, path, sum.value()));
    }
    co_return Ok{};
}

} // namespace skua::cli
