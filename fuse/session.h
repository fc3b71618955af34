// Session: a mounted file system whose requests travel over io_uring or /dev/fuse; libfuse 3.14, which has
// never heard of io_uring, mounts, parses options, decodes and dispatches.
//
//   kernel ── INIT, FORGET, INTERRUPT ── /dev/fuse ──┐
//          ── all else of CPU 0 ──────── Queue 0 ────┼─ fuse_session_process_buf ─ fuse_lowlevel_ops
//          ── all else of CPU 1 ──────── Queue 1 ────┘     fuse_reply_*() ─ custom writev ─ back there
//
// Where the kernel does not offer io_uring, one queue reads all of it from /dev/fuse instead; the file
// system cannot tell. One thread: that of the ring, which has no other work than this and the client's.
#pragma once

#ifndef FUSE_USE_VERSION
#define FUSE_USE_VERSION 312
#endif
#include <fuse3/fuse_lowlevel.h>
#include <array>
#include <memory>
#include <string>
#include <vector>
#include "core/async/sync.h"
#include "core/base/result.h"
#include "fuse/queue.h"

namespace skua::fuse {

struct SessionOptions {
    bool io_uring = true; // false: /dev/fuse even where the kernel offers more
    unsigned depth = 64;  // requests in flight per queue; memory is used as it is touched
};

class Session {
public:
    // Mounts, and answers INIT. `user` is what fuse_req_userdata() gives to the operations. Serves as soon as
    // the ring runs. The Error says what to do.
    static Result<std::unique_ptr<Session>> make(Ring& ring, fuse_args& args, const fuse_lowlevel_ops& ops, void* user,
                                                 const std::string& mountpoint, SessionOptions options);
    // After finished(). Unmounts if that has not happened.
    ~Session();
    Session(const Session&) = delete;

    bool overIoUring() const { return overIoUring_; }
    fuse_session* raw() { return se_; }
    bool directIo() const { return directIo_; } // files that are open so can be mapped too
    const char* transport() const { return overIoUring_ ? "io_uring" : "dev_fuse"; }

    // Set when the kernel has hung up: no request comes any more.
    Event& ended() { return ended_; }
    // Set when it has, and every request was answered.
    Event& finished() { return finished_; }
    // Requests that the file system has not answered.
    unsigned handled() const;
    // How often the kernel asked for what: "lookup=3 create=1".
    std::string asked() const;

    // Takes the mount point away at once; `ended` comes when its last user has gone. On a thread that does
    // not serve: the kernel may send requests (dirty pages) and wait for them.
    void unmount();

private:
    friend Queue;
    Session(Ring& ring, void* user, std::string mountpoint, SessionOptions options)
        : ring_(ring), user_(user), mountpoint_(std::move(mountpoint)), options_(options) {}
    Result<> mount(fuse_args& args, const fuse_lowlevel_ops& ops);
    Result<> init();
    static ssize_t writeReply(int, iovec* iov, int count, void* self);
    ssize_t answerInit(fuse_out_header header, const iovec& body);
    void interrupt(const Queue::Interrupt& i);
    void hungUp();
    void queueFinished();

    Ring& ring_;
    void* const user_;
    const std::string mountpoint_;
    const SessionOptions options_;
    fuse_session* se_ = nullptr;
    int device_ = -1; // ours, so that libfuse closing its own at unmount() changes nothing
    bool overIoUring_ = false, offersKillPriv_ = false, directIo_ = false;
    u64 initUnique_ = 0;
    std::size_t payload_ = 0; // the largest that a request or a reply can be, less its header
    std::vector<std::unique_ptr<Queue>> queues_;
    std::vector<Queue::Interrupt> early_; // came before their requests did; the latest few
    std::array<u64, 64> asked_{};         // by opcode
    Event ended_, finished_;
};

} // namespace skua::fuse
