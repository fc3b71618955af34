// Queue: one CPU's requests over io_uring, or all of them over /dev/fuse, as a guest on the driver's ring.
//
//   Queue queue(session, number);       from the first submission on it serves
//   ... ring.run() ...                  until queue.finished()
//
// All queues of a session share one ring (made with sqe128) and its thread: a request is handled there and
// answered there, then or any time later. Until then its names and WRITE's bytes stay where they are. It
// neither allocates nor submits while it serves.
#pragma once

#include <list>
#include <vector>
#include "core/async/ring.h"
#include "fuse/abi.h"

namespace skua::fuse {

class Session;

class Queue final : public Guest {
public:
    Queue(Session& session, u16 number);
    ~Queue(); // after finished()
    Queue(const Queue&) = delete;

    void prepare() override;

    // The kernel has hung up. Requests not yet answered must still be, though nobody will know.
    bool ended() const { return ended_; }
    // It has, and nobody has anything of ours: no buffer, no place in the ring.
    bool finished() const { return ended_ && lent_ + handled_ == 0 && !polling_ && !watching_; }
    // Requests that the file system has not answered.
    unsigned handled() const { return handled_; }

private:
    friend Session;
    struct Entry;
    struct Interrupt {
        u64 unique, request;
    };
    // A request enters libfuse with its entry's address in place of the kernel's `unique`: every reply
    // says by itself where it belongs. The kernel counts from 0 and never gets as far as this bit.
    static constexpr u64 kOurs = 1ull << 63;
    static ssize_t reply(u64 unique, iovec* iov, int count);
    template <auto Member>
    struct Call final : Completion {
        explicit Call(Queue& q) : queue(q) {}
        void complete(int result) override { (queue.*Member)(result); }
        Queue& queue;
    };

    void hangUp();
    void deviceReady(int);
    void deviceGone(int);
    bool interrupt(const Interrupt& i); // false: the request is not here
    void poll(Completion& then, unsigned events, bool& armed);
    void checkFinished();

    Session& session_;
    const u16 number_;
    void* memory_ = nullptr;
    std::size_t memorySize_ = 0;
    std::list<Entry> entries_;
    std::vector<Entry*> toLend_;      // registered or committed at the next prepare()
    std::vector<Entry*> idle_;        // ready for a request from /dev/fuse
    unsigned lent_ = 0, handled_ = 0; // entries that are the kernel's, the file system's
    bool ended_ = false, polling_ = false, watching_ = false, told_ = false;
    Call<&Queue::deviceReady> deviceReady_{*this};
    Call<&Queue::deviceGone> deviceGone_{*this};
};

} // namespace skua::fuse
