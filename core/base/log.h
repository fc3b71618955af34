// The log: one line an event, `what key=value key=value`, with the names of the code.
//
//   log::info("opened dir={} entries={}", dir, n);
//   static log::OncePerSecond often; if (often.allow()) log::warn("refused peer={}{}", peer, often.skipped());
//
// To stderr from the start; start() sends it to a file, 5 x 16 MiB. Never write keys, receipts or file
// contents; names only with debug(). Lines are cut at 4 KiB, control characters shown as '?'. Any thread.
#pragma once

#include <fmt/core.h>
#include <atomic>
#include <string>
#include "core/base/result.h"

namespace skua::log {

enum class Level : u8 { kDebug, kInfo, kWarn, kError };

struct Options {
    std::string path{}; // empty: stderr
    Level level = Level::kInfo;
    std::string name{}; // of the process, on every line of stderr; empty: none
};
// Once, in main(). Makes the folder of `path`.
Result<> start(const Options& options);
// "debug", "info", "warn", "error".
Result<Level> levelOf(std::string_view name);

namespace detail {
inline std::atomic<Level> level{Level::kInfo};
void write(Level level, std::string line);
} // namespace detail
inline bool enabled(Level level) { return level >= detail::level.load(std::memory_order_relaxed); }
inline void setLevel(Level level) { detail::level = level; }

template <class... A>
void debug(fmt::format_string<A...> f, A&&... a) {
    if (enabled(Level::kDebug)) detail::write(Level::kDebug, fmt::vformat(f, fmt::make_format_args(a...)));
}
template <class... A>
void info(fmt::format_string<A...> f, A&&... a) {
    if (enabled(Level::kInfo)) detail::write(Level::kInfo, fmt::vformat(f, fmt::make_format_args(a...)));
}
template <class... A>
void warn(fmt::format_string<A...> f, A&&... a) {
    if (enabled(Level::kWarn)) detail::write(Level::kWarn, fmt::vformat(f, fmt::make_format_args(a...)));
}
template <class... A>
void error(fmt::format_string<A...> f, A&&... a) {
    if (enabled(Level::kError)) detail::write(Level::kError, fmt::vformat(f, fmt::make_format_args(a...)));
}

// At most one line a second from one place, and how many were left out since.
class OncePerSecond {
public:
    bool allow();
    std::string skipped(); // "" or " skipped=12": since the last line that was allowed

private:
    std::atomic<u64> next_{0}, left_{0}, told_{0};
};

} // namespace skua::log
