#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include "blocks/tools.h"
#include "core/async/buffer.h"
#include "core/async/sync.h"
#include "core/base/random.h"
#include "core/data/rows.h"

namespace skua::blocks {
namespace {

constexpr u32 kDepth = 8;

struct Run {
    Ring& ring;
    int fd;
    u64 bytes;
    bool write;
    std::vector<Buffer> buffers;
    u64 next = 0;
    Result<> result = Ok{};
};

Task<> lane(Run& run, u32 number) {
    while (run.result && run.next < run.bytes) {
        const u64 at = run.next;
        run.next += kMaxPiece;
        u8* const bytes = run.buffers[number].data();
        Operation op = run.write ? run.ring.write(run.fd, bytes, kMaxPiece, at) : run.ring.read(run.fd, bytes, kMaxPiece, at);
        const auto n = co_await op;
        if (!n) run.result = n.error();
        else if (*n != static_cast<int>(kMaxPiece)) run.result = Error(Code::NoSpace, "a short transfer");
    }
    co_return Ok{};
}

Task<Result<u64>> pass(Run& run) {
    run.next = 0;
    const u64 started = run.ring.now().value;
    TaskGroup lanes;
    for (u32 i = 0; i < kDepth; i++) lanes.spawn(lane(run, i));
    co_await lanes.all();
    CO_TRY_OK(run.result);
    if (run.write) {
        auto sync = run.ring.sync(run.fd);
        CO_TRY_OK(co_await sync);
    }
    co_return std::max<u64>(run.ring.now().value - started, 1);
}

Task<Result<u64>> syncs(Run& run, u64 for_ns) {
    const u64 started = run.ring.now().value;
    u64 count = 0;
    while (run.ring.now().value < started + for_ns) {
        auto write = run.ring.writeAndSync(run.fd, run.buffers[0].data(), kPage, count * kPage % run.bytes);
        CO_TRY_OK(co_await write);
        count++;
    }
    co_return count;
}

Task<Result<DiskFigures>> measure(Run& run, u64 sync_ns) {
    DiskFigures out;
    CO_TRY(const u64 laid_out, co_await pass(run)); // fresh space: not what is measured
    (void)laid_out;
    CO_TRY(const u64 first, co_await pass(run));
    CO_TRY(const u64 second, co_await pass(run));
    out.write_mb_s = static_cast<double>(run.bytes) * 1e3 / static_cast<double>(std::min(first, second));
    run.write = false;
    CO_TRY(const u64 read, co_await pass(run));
    CO_TRY(const u64 again, co_await pass(run));
    out.read_mb_s = static_cast<double>(run.bytes) * 1e3 / static_cast<double>(std::min(read, again));
    CO_TRY(const u64 count, co_await syncs(run, sync_ns));
    out.syncs_per_s = static_cast<double>(count) * 1e9 / static_cast<double>(std::max<u64>(sync_ns, 1));
    co_return out;
}

} // namespace

Result<DiskFigures> measureDisk(Ring& ring, const std::string& path, u64 bytes, u64 sync_ns) {
    struct stat at{};
    if (::stat(path.c_str(), &at) < 0)
        return Error(fromErrno(errno), path + ": " + std::strerror(errno) + "; give a folder of the disk");
    if (!S_ISDIR(at.st_mode)) return Error(Code::NotDirectory, path + " is no folder: give one, on the disk to be measured");
    if (bytes < kMaxPiece) return Error(Code::Invalid, "at least 1 MiB is needed to measure with");
    const std::string file = path + "/.skua-bench-" + std::to_string(::getpid());
    bool direct = true;
    int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_DIRECT, 0600);
    if (fd < 0 && errno == EINVAL) {
        direct = false;
        fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    }
    if (fd < 0) return Error(fromErrno(errno), file + ": " + std::strerror(errno));
    ::unlink(file.c_str()); // gone with the fd, whatever happens
    Run run{ring, fd, bytes / kMaxPiece * kMaxPiece, true, {}, 0, Ok{}};
    BufferPool pool(kMaxPiece, kDepth);
    Random rng(1);
    for (u32 i = 0; i < kDepth; i++) {
        run.buffers.push_back(pool.take());
        for (u32 b = 0; b < kMaxPiece; b += 8) {
            const u64 word = rng.next();
            std::memcpy(run.buffers[i].data() + b, &word, 8);
        }
    }
    auto figures = runBlocking(ring, measure(run, sync_ns));
    ::close(fd);
    if (figures) figures->direct = direct;
    return figures;
}

} // namespace skua::blocks
