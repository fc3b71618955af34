#include "core/async/ring.h"

#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace skua {

namespace {

constexpr int kMaxFaith = 16;
constexpr u64 kWindowNs = 4 * kMillisecond;
constexpr unsigned kBusyTurns = 16;     // of a window: only then is spinning tried
constexpr unsigned kTryAgainAfter = 64; // waits without spinning, then one more try

u64 readClock(clockid_t which) {
    timespec t;
    clock_gettime(which, &t);
    return static_cast<u64>(t.tv_sec) * kSecond + static_cast<u64>(t.tv_nsec);
}

__kernel_timespec toTimespec(u64 ns) {
    return {.tv_sec = static_cast<long long>(ns / kSecond), .tv_nsec = static_cast<long long>(ns % kSecond)};
}

void relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

// A coroutine that nobody holds: its frame goes when it ends.
struct Detached {
    struct promise_type {
        Detached get_return_object() { return {}; }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() {}
        void unhandled_exception() { std::terminate(); }
    };
};

Detached runRoot(Task<> task, std::size_t& roots) {
    roots++;
    (void)co_await std::move(task);
    roots--;
}

} // namespace

Error kernelError(int negative_errno, std::string_view what) {
    const int e = -negative_errno;
    std::string detail(what);
    if (!detail.empty()) detail += ": ";
    switch (e) {
        case ECANCELED:
        case ETIME:
        case ETIMEDOUT: return Error(Code::Unavailable, detail + "no answer in time");
        case ECONNREFUSED:
        case ECONNRESET:
        case ECONNABORTED:
        case EPIPE:
        case ENOTCONN:
        case EHOSTUNREACH:
        case ENETUNREACH:
        case EHOSTDOWN:
        case ENETDOWN:
        case EADDRNOTAVAIL: return Error(Code::Unavailable, detail + std::strerror(e));
        case ENOSPC: return Error(Code::NoSpace, detail + std::strerror(e));
        case EDQUOT: return Error(Code::OverQuota, detail + std::strerror(e));
        case EROFS: return Error(Code::ReadOnly, detail + std::strerror(e));
        case ENOENT: return Error(Code::NotFound, detail + std::strerror(e));
        case EACCES:
        case EPERM: return Error(Code::Denied, detail + std::strerror(e));
        default: return Error(Code::Io, detail + std::strerror(e));
    }
}

void Operation::await_suspend(std::coroutine_handle<> h) noexcept {
    waiter_ = h;
    under_way_ = true;
    const bool limited = limit_ns_ != 0;
    io_uring_sqe* e = ring_.entry(limited ? 2 : 1);
    std::memcpy(static_cast<void*>(e), &sqe_, sizeof(io_uring_sqe));
    io_uring_sqe_set_data(e, static_cast<Completion*>(this));
    if (!limited) return;
    e->flags |= IOSQE_IO_LINK;
    limit_ = toTimespec(limit_ns_);
    e = ring_.entry();
    io_uring_prep_link_timeout(e, &limit_, 0);
    io_uring_sqe_set_data(e, nullptr);
}

void DurableWrite::await_suspend(std::coroutine_handle<> h) noexcept {
    waiter_ = h;
    left_ = 2;
    write_.whole = sync_.whole = this;
    io_uring_sqe* e = ring_.entry(2);
    io_uring_prep_write(e, fd_, from_, static_cast<unsigned>(size_), at_);
    e->flags |= IOSQE_IO_LINK; // a write that fails or is short cancels the sync
    io_uring_sqe_set_data(e, static_cast<Completion*>(&write_));
    e = ring_.entry();
    io_uring_prep_fsync(e, fd_, IORING_FSYNC_DATASYNC);
    io_uring_sqe_set_data(e, static_cast<Completion*>(&sync_));
}

Result<std::unique_ptr<Ring>> Ring::make(RingOptions options) {
    std::unique_ptr<Ring> ring(new Ring(options));
    io_uring_params p{};
    p.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_CQSIZE;
    p.cq_entries = options.entries * 4;
    if (options.sqe128) p.flags |= IORING_SETUP_SQE128;
    const int r = io_uring_queue_init_params(options.entries, &ring->ring_, &p);
    if (r == -EPERM || r == -EACCES)
        return Error(Code::NotPermitted,
                     "io_uring is refused: the container's seccomp profile forbids io_uring: "
                     "--security-opt seccomp=unconfined (or sysctl kernel.io_uring_disabled=0)");
    if (r == -ENOSYS || r == -EINVAL)
        return Error(Code::NotSupported,
                     "io_uring: this kernel is too old or hides it; Linux 6.1 or later is needed "
                     "(in a container: --security-opt seccomp=unconfined)");
    if (r == -ENOMEM) return Error(Code::NoSpace, "io_uring: no memory for a ring; raise the memlock limit (ulimit -l)");
    if (r < 0) return kernelError(r, "io_uring_setup");
    ring->open_ = true;
    ring->bellFd_ = eventfd(0, EFD_CLOEXEC);
    if (ring->bellFd_ < 0) return kernelError(-errno, "eventfd");
    ring->listen();
    return ring;
}

std::unique_ptr<Ring> Ring::makeOrExit(RingOptions options) {
    auto ring = make(options);
    if (!ring) {
        std::fprintf(stderr, "%s\n", ring.error().detail.c_str());
        std::exit(1);
    }
    return std::move(*ring);
}

Ring::~Ring() {
    if (!open_) return;
    // The kernel may still write into the buffers of abandoned frames: take that back first.
    io_uring_sync_cancel_reg all{};
    all.fd = -1;
    all.flags = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL;
    all.timeout = {.tv_sec = 1, .tv_nsec = 0};
    io_uring_register_sync_cancel(&ring_, &all);
    io_uring_queue_exit(&ring_);
    if (bellFd_ >= 0) ::close(bellFd_);
    ReadyQueue::queue.clear(); // of this thread's only ring
}

// --- operations -------------------------------------------------------------------------------------

Operation Ring::accept(int fd, sockaddr* from, socklen_t* size, u64 limit_ns) {
    io_uring_sqe e;
    io_uring_prep_accept(&e, fd, from, size, SOCK_CLOEXEC);
    return Operation(*this, limit_ns, e);
}
Operation Ring::connect(int fd, const sockaddr* to, socklen_t size, u64 limit_ns) {
    io_uring_sqe e;
    io_uring_prep_connect(&e, fd, to, size);
    return Operation(*this, limit_ns, e);
}
Operation Ring::recv(int fd, void* into, std::size_t size, int flags, u64 limit_ns) {
    io_uring_sqe e;
    io_uring_prep_recv(&e, fd, into, size, flags);
    return Operation(*this, limit_ns, e);
}
Operation Ring::send(int fd, const void* from, std::size_t size, int flags, u64 limit_ns) {
    io_uring_sqe e;
    io_uring_prep_send(&e, fd, from, size, flags | MSG_NOSIGNAL);
    return Operation(*this, limit_ns, e);
}
Operation Ring::sendmsg(int fd, const msghdr* message, int flags, u64 limit_ns) {
    io_uring_sqe e;
    io_uring_prep_sendmsg(&e, fd, message, static_cast<unsigned>(flags | MSG_NOSIGNAL));
    return Operation(*this, limit_ns, e);
}
Operation Ring::read(int fd, void* into, std::size_t size, u64 at, u64 limit_ns) {
    io_uring_sqe e;
    io_uring_prep_read(&e, fd, into, static_cast<unsigned>(size), at);
    return Operation(*this, limit_ns, e);
}
Operation Ring::write(int fd, const void* from, std::size_t size, u64 at, u64 limit_ns) {
    io_uring_sqe e;
    io_uring_prep_write(&e, fd, from, static_cast<unsigned>(size), at);
    return Operation(*this, limit_ns, e);
}
Operation Ring::readv(int fd, std::span<const iovec> into, u64 at, u64 limit_ns) {
    io_uring_sqe e;
    io_uring_prep_readv(&e, fd, into.data(), static_cast<unsigned>(into.size()), at);
    return Operation(*this, limit_ns, e);
}
Operation Ring::writeThrough(int fd, const void* from, std::size_t size, u64 at) {
    io_uring_sqe e;
    io_uring_prep_write(&e, fd, from, static_cast<unsigned>(size), at);
    e.rw_flags = RWF_DSYNC;
    return Operation(*this, 0, e);
}
Operation Ring::writev(int fd, std::span<const iovec> from, u64 at, u64 limit_ns) {
    io_uring_sqe e;
    io_uring_prep_writev(&e, fd, from.data(), static_cast<unsigned>(from.size()), at);
    return Operation(*this, limit_ns, e);
}
Operation Ring::sync(int fd, bool data_only) {
    io_uring_sqe e;
    io_uring_prep_fsync(&e, fd, data_only ? IORING_FSYNC_DATASYNC : 0);
    return Operation(*this, 0, e);
}
DurableWrite Ring::writeAndSync(int fd, const void* from, std::size_t size, u64 at) {
    return DurableWrite(*this, fd, from, size, at);
}
Operation Ring::poll(int fd, short events, u64 limit_ns) {
    io_uring_sqe e;
    io_uring_prep_poll_add(&e, fd, static_cast<unsigned>(static_cast<unsigned short>(events)));
    return Operation(*this, limit_ns, e);
}
Operation Ring::cancel(int fd) {
    io_uring_sqe e;
    io_uring_prep_cancel_fd(&e, fd, IORING_ASYNC_CANCEL_ALL);
    return Operation(*this, 0, e);
}
void Ring::cancelNow(int fd) {
    io_uring_sqe* e = entry();
    io_uring_prep_cancel_fd(e, fd, IORING_ASYNC_CANCEL_ALL);
    io_uring_sqe_set_data(e, nullptr);
}

// --- running ----------------------------------------------------------------------------------------

Monotonic Ring::now() { return {readClock(CLOCK_BOOTTIME)}; }
Wall Ring::wall() { return {readClock(CLOCK_REALTIME)}; }

io_uring_sqe* Ring::entry(unsigned n_together) {
    while (io_uring_sq_space_left(&ring_) < n_together) {
        const int r = io_uring_submit(&ring_);
        CHECK(r >= 0 || r == -EINTR || r == -EAGAIN || r == -EBUSY);
        if (r < 0) io_uring_get_events(&ring_);
    }
    return io_uring_get_sqe(&ring_);
}

void Ring::spawn(Task<> root) { runRoot(std::move(root), roots_); }

void Ring::run() {
    for (;;) {
        ReadyQueue::drain();
        if (stopped_ || roots_ == 0) break;
        turn();
    }
    stopped_ = false;
}

void Ring::runUntil(const bool& done) {
    for (;;) {
        ReadyQueue::drain();
        if (done) return;
        turn();
    }
}

void Ring::turn() {
    stats_.turns++;
    fireTimers();
    submit(ReadyQueue::empty());
    if (const unsigned n = reap()) {
        stats_.completions += n;
        if (options_.spin_ns) noteWork();
    }
}

// Who hears a heartbeat now and then must not spin after it: the answer's own completion would always pay for that.
void Ring::noteWork() {
    lastWork_ = now().value;
    if (lastWork_ >= window_ + kWindowNs) {
        busyBefore_ = busy_ && lastWork_ < window_ + 2 * kWindowNs;
        window_ = lastWork_;
        inWindow_ = 0;
        busy_ = false;
    }
    busy_ = ++inWindow_ >= kBusyTurns;
}

void Ring::submit(bool wait) {
    for (Guest* g : guests_) g->prepare();
    // One guest may make another speak (a server's answers fill a connection): that leaves in this submission
    // too. Two that go on for ever get their turn again, without sleeping in between.
    for (int round = 0; round < 8 && !soon_.empty(); round++) {
        std::swap(soon_, calling_);
        for (Guest* g : calling_) g->prepare();
        calling_.clear();
    }
    if (!soon_.empty() || !ReadyQueue::empty()) wait = false;

    const bool kernel_has_work = io_uring_smp_load_acquire(ring_.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
    if (!wait || io_uring_cq_ready(&ring_) > 0) {
        if (io_uring_sq_ready(&ring_) > 0) (void)io_uring_submit_and_get_events(&ring_);
        else if (kernel_has_work) io_uring_get_events(&ring_);
        return;
    }
    u64 deadline = 0;
    if (!timers_.empty()) deadline = at(**timers_.begin()).value;
    if (options_.spin_ns) {
        if (!busy_ && !busyBefore_) untried_ = 0;
        else if (faith_ > 0 || ++untried_ >= kTryAgainAfter) {
            untried_ = 0;
            if (io_uring_sq_ready(&ring_) > 0) (void)io_uring_submit_and_get_events(&ring_);
            u64 until = lastWork_ + options_.spin_ns;
            if (deadline && deadline < until) until = deadline;
            if (spin(until)) return;
        }
    }
    stats_.sleeps++;
    io_uring_cqe* first = nullptr;
    __kernel_timespec limit{};
    if (deadline) {
        const u64 t = now().value;
        limit = toTimespec(deadline > t ? deadline - t : 0);
    }
    const int r = io_uring_submit_and_wait_timeout(&ring_, &first, 1, deadline ? &limit : nullptr, nullptr);
    CHECK(r >= 0 || r == -ETIME || r == -EINTR || r == -EAGAIN || r == -EBUSY);
}

// True: something has completed.
bool Ring::spin(u64 until) {
    stats_.spins++;
    do {
        if (io_uring_cq_ready(&ring_) == 0 && (io_uring_smp_load_acquire(ring_.sq.kflags) & IORING_SQ_TASKRUN))
            io_uring_get_events(&ring_);
        if (io_uring_cq_ready(&ring_) > 0) {
            stats_.spins_paid++;
            faith_ = std::min(faith_ + 2, kMaxFaith);
            return true;
        }
        for (int i = 0; i < 8; i++) relax();
    } while (now().value < until);
    faith_ = std::max(faith_ - 1, 0);
    return false;
}

unsigned Ring::reap() {
    io_uring_cqe* cqe;
    unsigned head, seen = 0;
    io_uring_for_each_cqe(&ring_, head, cqe) {
        seen++;
        if (auto* c = static_cast<Completion*>(io_uring_cqe_get_data(cqe))) c->complete(cqe->res);
    }
    io_uring_cq_advance(&ring_, seen);
    return seen;
}

void Ring::fireTimers() {
    if (timers_.empty()) return;
    const Monotonic t = now();
    while (!timers_.empty() && at(**timers_.begin()) <= t) {
        Timer* first = *timers_.begin();
        timers_.erase(timers_.begin());
        setFired(*first);
        first->fire();
    }
}

// --- other threads ----------------------------------------------------------------------------------

void Ring::listen() {
    io_uring_sqe* e = entry();
    io_uring_prep_read(e, bellFd_, &bell_.count, sizeof bell_.count, 0);
    io_uring_sqe_set_data(e, static_cast<Completion*>(&bell_));
}

void Ring::post(std::function<void()> f) {
    bool first;
    {
        std::lock_guard hold(lock_);
        first = posted_.empty();
        posted_.push_back(std::move(f));
    }
    const u64 one = 1;
    if (first) CHECK(::write(bellFd_, &one, sizeof one) == sizeof one);
}

void Ring::takePosted() {
    listen();
    std::vector<std::function<void()>> all;
    {
        std::lock_guard hold(lock_);
        all.swap(posted_);
    }
    for (auto& f : all) f();
}

} // namespace skua
