#include "core/async/signals.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <csignal>

namespace skua {

namespace {
sigset_t ours() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    return set;
}
} // namespace

Signals::Signals(Ring& ring) : ring_(ring) {
    const sigset_t set = ours();
    CHECK(pthread_sigmask(SIG_BLOCK, &set, nullptr) == 0);
    std::signal(SIGPIPE, SIG_IGN);
    fd_ = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    CHECK(fd_ >= 0);
}

Signals::~Signals() { ::close(fd_); }

Task<int> Signals::wait() {
    signalfd_siginfo info{};
    for (;;) {
        Operation ready = ring_.poll(fd_, POLLIN);
        (void)co_await ready;
        if (ready.result() < 0) co_return -1;
        if (::read(fd_, &info, sizeof info) == sizeof info) break;
    }
    const sigset_t set = ours();
    // The next one has its default action, even where a shell started us in the background with SIGINT ignored.
    std::signal(SIGINT, SIG_DFL);
    std::signal(SIGTERM, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
    co_return static_cast<int>(info.ssi_signo);
}

void Signals::dismiss() { ring_.cancelNow(fd_); }

} // namespace skua
