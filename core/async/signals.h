// Signals: SIGTERM and SIGINT as something to await. The first one is told, the second ends the process.
//
// Make it first in main(), before there are threads: it blocks both signals for all of them. Ignores
// SIGPIPE too. One per process.
#pragma once

#include "core/async/ring.h"

namespace skua {

class Signals {
public:
    explicit Signals(Ring& ring);
    ~Signals();
    Signals(const Signals&) = delete;
    // The number of the first signal (SIGTERM or SIGINT); -1 if dismiss() came first. From then on they
    // act as by default: the next ends the process at once.
    Task<int> wait();
    // Ends wait(): for programs that finish by themselves.
    void dismiss();

private:
    Ring& ring_;
    int fd_ = -1;
};

} // namespace skua
