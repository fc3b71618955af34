#include "core/base/log.h"

#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <chrono>
#include <filesystem>

namespace skua::log {

namespace {

constexpr std::size_t kMaxLine = 4096, kFileBytes = 16u << 20, kFiles = 5;

std::shared_ptr<spdlog::logger> toStderr(const std::string& name) {
    auto l = std::make_shared<spdlog::logger>("skua", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    l->set_pattern("%Y-%m-%dT%H:%M:%S.%e %l " + (name.empty() ? "" : name + ": ") + "%v");
    l->set_level(spdlog::level::trace);
    return l;
}

// Set before there are other threads, never freed: threads may log while the process exits.
std::shared_ptr<spdlog::logger>& current() {
    static auto* logger = new std::shared_ptr<spdlog::logger>(toStderr(""));
    return *logger;
}

u64 steadyNow() {
    return static_cast<u64>(std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count());
}

} // namespace

Result<> start(const Options& options) {
    detail::level = options.level;
    if (options.path.empty()) {
        current() = toStderr(options.name);
        return Ok{};
    }
    try {
        if (const auto folder = std::filesystem::path(options.path).parent_path(); !folder.empty())
            std::filesystem::create_directories(folder);
        auto l = std::make_shared<spdlog::logger>(
            "skua", std::make_shared<spdlog::sinks::rotating_file_sink_mt>(options.path, kFileBytes, kFiles - 1));
        l->set_pattern("%Y-%m-%dT%H:%M:%S.%e %l %v");
        l->set_level(spdlog::level::trace);
        l->flush_on(spdlog::level::trace); // lines are events, not traffic: each reaches the file
        current() = std::move(l);
    } catch (const std::exception& e) { return Error(Code::Io, "log " + options.path + ": " + e.what()); }
    return Ok{};
}

Result<Level> levelOf(std::string_view name) {
    if (name == "debug") return Level::kDebug;
    if (name == "info") return Level::kInfo;
    if (name == "warn") return Level::kWarn;
    if (name == "error") return Level::kError;
    return Error(Code::Invalid, "log level '" + std::string(name) + "': one of debug, info, warn, error");
}

void detail::write(Level level, std::string line) {
    if (line.size() > kMaxLine) line.resize(kMaxLine);
    for (char& c : line)
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?'; // nobody writes lines of their own into our log
    static constexpr spdlog::level::level_enum kLevels[] = {spdlog::level::debug, spdlog::level::info, spdlog::level::warn,
                                                            spdlog::level::err};
    current()->log(kLevels[static_cast<u8>(level)], spdlog::string_view_t(line));
}

bool OncePerSecond::allow() {
    const u64 t = steadyNow();
    u64 next = next_.load(std::memory_order_relaxed);
    if (t < next || !next_.compare_exchange_strong(next, t + 1'000'000'000)) {
        left_.fetch_add(1, std::memory_order_relaxed);
        return false;
    }
    told_ = left_.exchange(0);
    return true;
}

std::string OncePerSecond::skipped() {
    const u64 n = told_.exchange(0);
    return n ? " skipped=" + std::to_string(n) : "";
}

} // namespace skua::log
