// Ring: one thread, one io_uring, one clock; every operation is something to co_await (operation.h).
//
//   auto ring = Ring::makeOrExit({.spin_ns = 30 * kMicrosecond});
//   ring->spawn(serve(*ring));          a root: nobody awaits it
//   ring->run();                        until every root has finished, or stop()
//
// Belongs to the thread that made it; only post() may be called from others. Buffers and addresses that
// an operation was given outlive it. `limit_ns` 0 is "never"; else the kernel cancels the operation when
// it has passed, and Unavailable comes back (raw: -ECANCELED). now() is CLOCK_BOOTTIME.
//
// With spin_ns the ring looks for completions for that long after there was work before it lets the
// thread sleep (waking a core costs about 50 µs, limits.md), while there is much to do, and unlearns it
// while that does not pay.
#pragma once

#include <liburing.h>
#include <sys/socket.h>
#include <algorithm>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <vector>
#include "core/async/clock.h"
#include "core/async/operation.h"

struct iovec;

namespace skua {

struct RingOptions {
    unsigned entries = 512; // of the submission queue; a full one is submitted and goes on
    bool sqe128 = false;    // FUSE over io_uring needs it
    u64 spin_ns = 0;        // servers: 30 µs; 0 sleeps at once
};

class Ring final : public Clock {
public:
    // Fails where io_uring is refused; the message says what to do about it.
    static Result<std::unique_ptr<Ring>> make(RingOptions options = {});
    static std::unique_ptr<Ring> makeOrExit(RingOptions options = {}); // prints the message, exit(1)
    // Cancels what is under way and waits for it. Roots that have not finished are abandoned.
    ~Ring();
    Ring(const Ring&) = delete;

    // --- sockets: the int is an fd or bytes --------------------------------------------------------
    Operation accept(int fd, sockaddr* from = nullptr, socklen_t* size = nullptr, u64 limit_ns = 0);
    Operation connect(int fd, const sockaddr* to, socklen_t size, u64 limit_ns = 0);
    Operation recv(int fd, void* into, std::size_t size, int flags = 0, u64 limit_ns = 0); // MSG_WAITALL: all of it
    Operation send(int fd, const void* from, std::size_t size, int flags = 0, u64 limit_ns = 0);
    Operation sendmsg(int fd, const msghdr* message, int flags = 0, u64 limit_ns = 0);
    // --- files: the int is bytes, perhaps fewer than asked -----------------------------------------
    Operation read(int fd, void* into, std::size_t size, u64 at, u64 limit_ns = 0);
    Operation write(int fd, const void* from, std::size_t size, u64 at, u64 limit_ns = 0);
    // Done when the bytes are durable (RWF_DSYNC): quicker than a write and a sync behind it, the kernel does both in one go.
    Operation writeThrough(int fd, const void* from, std::size_t size, u64 at);
    Operation readv(int fd, std::span<const iovec> into, u64 at, u64 limit_ns = 0);
    Operation writev(int fd, std::span<const iovec> from, u64 at, u64 limit_ns = 0);
    Operation sync(int fd, bool data_only = true);
    DurableWrite writeAndSync(int fd, const void* from, std::size_t size, u64 at);
    // --- others ------------------------------------------------------------------------------------
    Operation poll(int fd, short events, u64 limit_ns = 0);
    Operation cancel(int fd); // all that is under way on it; the int is how many (ENOENT: none)
    // The same without waiting: what is cancelled completes with -ECANCELED.
    void cancelNow(int fd);

    // --- running -----------------------------------------------------------------------------------
    void spawn(Task<> root); // starts it now, on this stack, up to its first wait
    void run();
    void runUntil(const bool& done); // until `done` is true; roots may still run
    void stop() { stopped_ = true; } // run() returns after this turn; call again to go on
    std::size_t roots() const { return roots_; }
    // Any thread: runs `f` on the ring's thread, soon. The ring must outlive it.
    void post(std::function<void()> f);

    Monotonic now() override;
    Wall wall() override;

    // --- guests ------------------------------------------------------------------------------------
    io_uring& raw() { return ring_; }
    void addGuest(Guest& guest) { guests_.push_back(&guest); }
    void removeGuest(Guest& guest) {
        std::erase(guests_, &guest);
        std::erase(soon_, &guest);
    }
    // `guest.prepare()` once, before the next submission: what is said meanwhile goes out together.
    void prepareSoon(Guest& guest) { soon_.push_back(&guest); }
    // `n` free entries that are submitted together; submits first if there is no room.
    io_uring_sqe* entry(unsigned n_together = 1);

    struct Stats {
        u64 turns = 0, sleeps = 0, spins = 0, spins_paid = 0, completions = 0;
    };
    const Stats& stats() const { return stats_; }

private:
    struct Earlier {
        bool operator()(const Timer* a, const Timer* b) const {
            return at(*a) != at(*b) ? at(*a) < at(*b) : order(*a) < order(*b);
        }
    };
    struct Bell final : Completion { // rung by post()
        explicit Bell(Ring& r) : ring(r) {}
        void complete(int) override { ring.takePosted(); }
        Ring& ring;
        u64 count = 0;
    };
    explicit Ring(RingOptions options) : options_(options) {}
    void insert(Timer& t) override { timers_.insert(&t); }
    void remove(Timer& t) override { timers_.erase(&t); }
    void turn(); // one round: run what is ready, submit, wait, reap
    void submit(bool wait);
    unsigned reap();
    bool spin(u64 until);
    void noteWork();
    void fireTimers();
    void listen();
    void takePosted();

    RingOptions options_;
    io_uring ring_{};
    bool open_ = false, stopped_ = false;
    std::size_t roots_ = 0;
    std::set<Timer*, Earlier> timers_;
    std::vector<Guest*> guests_, soon_, calling_;
    Stats stats_;
    u64 lastWork_ = 0; // when completions were last seen
    int faith_ = 8;    // in spinning: earned and lost by trying
    unsigned untried_ = 0;
    u64 window_ = 0; // its begin; turns with completions in it
    unsigned inWindow_ = 0;
    bool busy_ = false, busyBefore_ = false;

    int bellFd_ = -1;
    Bell bell_{*this};
    std::mutex lock_;
    std::vector<std::function<void()>> posted_; // guarded by lock_
};

// Runs the ring until `task` is done, and gives its value: the blocking facade of tools and tests.
template <class T>
T runBlocking(Ring& ring, Task<T> task) {
    std::optional<T> value;
    bool done = false;
    struct Root {
        static Task<> run(Task<T> inner, std::optional<T>& to, bool& finished) {
            to = co_await std::move(inner);
            finished = true;
            co_return Ok{};
        }
    };
    ring.spawn(Root::run(std::move(task), value, done));
    ring.runUntil(done);
    return std::move(*value);
}

} // namespace skua
