// A process as its pid file remembers it, and whether that very process still lives.
//
//   D/run/NAME.pid:   PID STARTED BOOT        STARTED: field 22 of /proc/PID/stat, ticks since boot
//                                             BOOT: /proc/sys/kernel/random/boot_id (not in files of before 0.1.0)
//
// A pid is given to another program later; pid, start and boot together are not. Blocking calls, Linux only.
#pragma once

#include <string>
#include "core/base/result.h"

namespace skua::cli {

struct ProcessMark {
    int pid = 0;
    u64 started = 0;
    std::string boot;

    static ProcessMark of(int pid); // started is 0 if there is no such process (any more): then it is gone
    static ProcessMark parse(const std::string& text);
    std::string text() const;
};

u64 startTimeOf(int pid); // field 22 of /proc/PID/stat; 0: no such process

// kGone: nothing of it holds a file, a port or a lock; it may be a zombie that nobody has waited for. That includes "the pid
// is another program's by now".
// kEnding: it does nothing any more but end (killed, exiting), or has been told to end and has not looked yet. Its locks and
// ports may still be held.
enum class Life { kGone, kEnding, kRuns };
Life lifeOf(const ProcessMark& mark);

// To that very process, never to one that has its pid by now. NotFound: it is gone.
Result<> signalTo(const ProcessMark& mark, int number);

// Holds `path` (made if need be) locked until it is destroyed; the kernel lets go when the process ends. Busy after limit_ms.
class FileLock {
public:
    static Result<FileLock> take(const std::string& path, u64 limit_ms);
    FileLock(FileLock&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
    FileLock& operator=(FileLock&&) = delete;
    ~FileLock();

private:
    explicit FileLock(int fd) : fd_(fd) {}
    int fd_;
};

// Who holds the lock of a data folder (its LOCK has the holder's pid); 0: nobody, or there is none. The lock is tried, so a
// process that starts in this very moment would find it taken: ask only while nobody else starts it.
int holderOf(const std::string& folder);

} // namespace skua::cli
