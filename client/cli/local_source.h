// LocalSource: the bytes of a local file or pipe for the client library: some MiB read ahead by io_uring, holes
// as holes. Keeps the sum of what it gave.
//
//   LocalSource source(ring, buffers, fd, size);  ...  putFile(..., source);  co_await source.close();
//
// close() before it dies, always: reads may be under way. The descriptor stays the caller's.
#pragma once

#include <deque>
#include <memory>
#include "client/cli/sum.h"
#include "client/files.h"
#include "core/async/ring.h"

namespace skua::cli {

inline constexpr std::size_t kLocalBuffer = 2u << 20; // of the pool that is handed in

class LocalSource final : public client::Source {
public:
    // `size` as fstat said; 0, a pipe or a terminal: until there is no more.
    LocalSource(Ring& ring, BufferPool& buffers, int fd, bool with_sum = false);
    Task<Result<Some>> next() override;
    // A regular file without holes whose sum nobody wants.
    Direct direct() override;
    void taken(u64 bytes) override;
    Task<> close();

    u64 given() const { return given_bytes_; }
    u64* counter = nullptr; // is raised by what is given, for progress
    Sum sum;                // of what was given, if asked for

private:
    struct Slot {
        u64 at = 0, hole = 0;
        std::size_t want = 0, got = 0;
        Buffer buffer;
        bool done = false;
        Result<> result = Ok{};
        Event ready;
    };
    void topUp();
    Task<> readSlot(Slot* slot);

    Ring& ring_;
    BufferPool& buffers_;
    const int fd_;
    const bool with_sum_;
    bool positioned_ = false, sparse_ = false, ended_ = false, reading_ = false;
    u64 size_ = 0, next_ = 0, given_bytes_ = 0;
    std::deque<std::unique_ptr<Slot>> slots_;
    std::unique_ptr<Slot> current_; // whose bytes the caller has
    TaskGroup reads_;
};

} // namespace skua::cli
