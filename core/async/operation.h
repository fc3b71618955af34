// Operation: one thing asked of the kernel, to co_await. Made by a Ring (ring.h).
//
//   CO_TRY(int n, co_await ring.recv(fd, into, size));                  errors as Error
//   Operation op = ring.recv(fd, into, size); (void)co_await op;        op.result(): bytes or -errno
//
// It lives in the awaiting frame and its address is what the kernel knows it by: nothing is allocated,
// and neither it nor its buffers may go away while it is under way (checked).
#pragma once

#include <liburing.h>
#include <coroutine>
#include "core/async/completion.h"
#include "core/async/task.h"
#include "core/base/result.h"

namespace skua {

class Ring;

// The Error for -errno of the kernel: Unavailable where the other side is away or time ran out, NoSpace,
// NotFound and so on where a caller acts on it, else Io. The detail has `what` and the kernel's words.
Error kernelError(int negative_errno, std::string_view what = {});

class [[nodiscard]] Operation final : Completion {
public:
    Operation(const Operation&) = delete;
    ~Operation() { CHECK(!under_way_); }

    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> h) noexcept;
    Result<int> await_resume() const {
        if (result_ >= 0) [[likely]]
            return result_;
        return kernelError(result_);
    }
    // Afterwards: what the kernel said. -ECANCELED: cancelled, or its time ran out.
    int result() const { return result_; }
    bool timedOut() const { return result_ == -ECANCELED && limit_ns_ != 0; }

private:
    friend Ring;
    Operation(Ring& ring, u64 limit_ns, const io_uring_sqe& sqe) : ring_(ring), limit_ns_(limit_ns), sqe_(sqe) {}
    void complete(int result) override {
        result_ = result;
        under_way_ = false;
        ReadyQueue::push(waiter_);
    }
    Ring& ring_;
    u64 limit_ns_;
    io_uring_sqe sqe_;          // copied into the queue when awaited
    __kernel_timespec limit_{}; // lives as long as the linked timeout
    std::coroutine_handle<> waiter_;
    int result_ = 0;
    bool under_way_ = false;
};

// A write and, linked behind it, fdatasync: one trip to the kernel. The bytes written once both are
// done; short writes are errors (the sync is then not made).
class [[nodiscard]] DurableWrite final {
public:
    DurableWrite(const DurableWrite&) = delete;
    ~DurableWrite() { CHECK(left_ == 0); }
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> h) noexcept;
    Result<int> await_resume() const {
        if (write_.result < 0) return kernelError(write_.result, "write");
        if (static_cast<std::size_t>(write_.result) != size_) return kernelError(-ENOSPC, "short write");
        if (sync_.result < 0) return kernelError(sync_.result, "fdatasync");
        return write_.result;
    }

private:
    friend Ring;
    struct Part final : Completion {
        DurableWrite* whole = nullptr;
        int result = 0;
        void complete(int r) override {
            result = r;
            if (--whole->left_ == 0) ReadyQueue::push(whole->waiter_);
        }
    };
    DurableWrite(Ring& ring, int fd, const void* from, std::size_t size, u64 at)
        : ring_(ring), fd_(fd), from_(from), size_(size), at_(at) {}
    Ring& ring_;
    int fd_;
    const void* from_;
    std::size_t size_;
    u64 at_;
    std::coroutine_handle<> waiter_;
    Part write_, sync_;
    int left_ = 0;
};

} // namespace skua
