// Progress: one line on a terminal, rewritten, for what takes over a second: bytes, files, rate, time left.
#pragma once

#include "core/async/sync.h"
#include "core/base/types.h"

namespace skua::cli {

class Progress {
public:
    explicit Progress(Clock& clock); // shows nothing unless stderr is a terminal
    void start();
    Task<> stop(); // and wipes the line

    u64 bytes = 0, files = 0;
    u64 bytes_total = 0; // 0: not known
    double seconds() const;

private:
    Task<> show();
    void line() const;
    Clock& clock_;
    Monotonic started_;
    bool terminal_ = false, shown_ = false;
    Event stop_;
    TaskGroup tasks_;
};

} // namespace skua::cli
