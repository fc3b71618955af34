#include "client/cli/progress.h"

#include <unistd.h>
#include <algorithm>
#include <cstdio>
#include <string>
#include "client/cli/command.h"

namespace skua::cli {

Progress::Progress(Clock& clock) : clock_(clock), started_(clock.now()), terminal_(isatty(2)) {}

double Progress::seconds() const { return static_cast<double>(clock_.now().value - started_.value) / 1e9; }

void Progress::start() {
    if (terminal_) tasks_.spawn(show());
}

Task<> Progress::stop() {
    stop_.set();
    co_await tasks_.all();
    if (shown_) std::fprintf(stderr, "\r\033[K");
    co_return Ok{};
}

Task<> Progress::show() {
    for (u64 wait = kSecond;; wait = kSecond / 4) {
        auto stopped = stop_.wait(clock_, wait);
        const bool end = co_await stopped;
        if (end) break;
        shown_ = true;
        line();
    }
    co_return Ok{};
}

void Progress::line() const {
    const double rate = static_cast<double>(bytes) / std::max(seconds(), 0.001);
    std::string text;
    if (bytes_total > 0) {
        const double part = std::min(1.0, static_cast<double>(bytes) / static_cast<double>(bytes_total));
        std::string bar(24, '-');
        std::fill_n(bar.begin(), static_cast<std::ptrdiff_t>(part * 24), '#');
        const u64 left = rate > 0 ? static_cast<u64>(static_cast<double>(bytes_total - std::min(bytes, bytes_total)) / rate) : 0;
        char tail[48];
        std::snprintf(tail, sizeof tail, " %3.0f%%  %llu:%02llu left", part * 100, static_cast<unsigned long long>(left / 60),
                      static_cast<unsigned long long>(left % 60));
        text = "[" + bar + "]" + tail + "  ";
    }
    text += humanBytes(bytes) + ", " + std::to_string(files) + " files, " + humanBytes(static_cast<u64>(rate)) + "/s";
    std::fprintf(stderr, "\r%s\033[K", text.c_str());
    std::fflush(stderr);
}

} // namespace skua::cli
