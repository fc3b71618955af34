#include "client/cli/copy_out.h"

#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>

namespace skua::cli {

namespace {

constexpr u64 kStep = 4u << 20;    // asked of the reader at a time
constexpr u64 kWrites = 4;         // under way
constexpr u64 kSmall = 256u << 10; // files up to that are written without the ring

struct Out {
    Out(Ring& r, const OutOptions& o) : ring(r), options(o) {}
    Ring& ring;
    const OutOptions options;
    Semaphore permits{kWrites};
    TaskGroup writes;
    Result<> result = Ok{};
};

Task<> writePieces(Out& out, u64 at, std::vector<Buffer> pieces) {
    std::vector<iovec> left;
    for (const Buffer& b : pieces) left.push_back({b.data(), b.size()});
    std::size_t first = 0;
    while (first < left.size() && out.result) {
        const std::span<const iovec> some(left.data() + first, std::min<std::size_t>(left.size() - first, 512));
        const u64 where = out.options.positioned ? at : ~0ull;
        auto write = out.ring.writev(out.options.fd, some, where);
        (void)co_await write;
        if (write.result() == -EPIPE) ::_exit(1); // whoever read us has enough
        if (write.result() <= 0) {
            out.result = write.result() == 0 ? Error(Code::NoSpace) : kernelError(write.result(), "writing");
            break;
        }
        std::size_t n = static_cast<std::size_t>(write.result());
        at += n;
        while (n > 0) {
            const std::size_t part = std::min(n, left[first].iov_len);
            left[first].iov_base = static_cast<u8*>(left[first].iov_base) + part;
            left[first].iov_len -= part;
            n -= part;
            if (left[first].iov_len == 0) first++;
        }
    }
    if (out.options.positioned) out.permits.release();
    co_return Ok{};
}

// Into the page cache at once: for a small file that is far cheaper than a worker of the kernel's ring.
Result<> writeNow(int fd, u64 at, const std::vector<Buffer>& pieces) {
    for (const Buffer& b : pieces) {
        const ssize_t n = ::pwrite(fd, b.data(), b.size(), static_cast<off_t>(at));
        if (n != static_cast<ssize_t>(b.size())) return n < 0 ? kernelError(-errno, "writing") : Error(Code::NoSpace, "writing");
        at += b.size();
    }
    return Ok{};
}

Task<Result<u64>> copy(Out& out, client::FileReader& reader) {
    const OutOptions& o = out.options;
    u64 at = 0;
    while (at < reader.size() && out.result) {
        u64 some = kStep;
        // Holes are passed over where a file can have them.
        if (o.positioned) {
            auto data = co_await reader.seekData(at);
            if (!data && data.code() != Code::NoAttribute) co_return data.error();
            const u64 next = data ? *data : reader.size();
            if (o.sum) o.sum->addZeros(next - at);
            if (o.counter) *o.counter += next - at;
            at = next;
            if (at >= reader.size()) break;
            CO_TRY(const u64 hole, co_await reader.seekHole(at));
            some = std::min(kStep, hole - at);
        }
        CO_TRY(std::vector<Buffer> pieces, co_await reader.pieces(at, some));
        u64 bytes = 0;
        for (const Buffer& b : pieces) {
            if (o.sum) o.sum->add(b.span());
            bytes += b.size();
        }
        if (bytes == 0) co_return Error(Code::Corrupt, "the file ends before its size");
        if (o.fd >= 0 && o.positioned && reader.size() <= kSmall) {
            CO_TRY_OK(writeNow(o.fd, at, pieces));
        } else if (o.fd >= 0 && o.positioned) {
            co_await out.permits.acquire();
            out.writes.spawn(writePieces(out, at, std::move(pieces)));
        } else if (o.fd >= 0) {
            co_await writePieces(out, at, std::move(pieces));
        }
        at += bytes;
        if (o.counter) *o.counter += bytes;
    }
    co_return at;
}

} // namespace

Task<Result<u64>> copyOut(Ring& ring, client::FileReader& reader, OutOptions options) {
    Out out(ring, options);
    auto copied = co_await copy(out, reader);
    co_await out.writes.all();
    if (!copied) co_return copied.error();
    CO_TRY_OK(out.result);
    struct stat now;
    const bool short_of = options.positioned && ::fstat(options.fd, &now) == 0 &&
                          static_cast<u64>(now.st_size) != reader.size(); // a hole at the end
    if (short_of && ::ftruncate(options.fd, static_cast<off_t>(reader.size())) != 0)
        co_return kernelError(-errno, "setting the size");
    co_return *copied;
}

Task<Result<u64>> sumOf(client::FileReader& reader, Sum& sum) {
    u64 at = 0;
    while (at < reader.size()) {
        CO_TRY(std::vector<Buffer> pieces, co_await reader.pieces(at, kStep));
        const u64 before = at;
        for (const Buffer& b : pieces) {
            sum.add(b.span());
            at += b.size();
        }
        if (at == before) co_return Error(Code::Corrupt, "the file ends before its size");
    }
    co_return at;
}

} // namespace skua::cli
