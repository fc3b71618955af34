#include "client/cli/command.h"

#include <fnmatch.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <nlohmann/json.hpp>

namespace skua::cli {

std::string Commands::groupHelp(const std::string& name) const {
    if (name == "cluster") return "Clusters on this machine";
    if (name == "policy") return "How what is below a directory is stored";
    if (name == "bench") return "Measures";
    if (name == "xattr") return "Extended attributes";
    if (name == "internal") return "For building and packaging";
    return "For those who run a cluster";
}

Flags& Commands::add(const std::string& name, const std::string& help, const std::string& example, std::function<int()> run) {
    Flags* parent = &root_;
    std::string own = name;
    if (const auto space = name.find(' '); space != name.npos) {
        const std::string group = name.substr(0, space);
        own = name.substr(space + 1);
        parent = nullptr;
        for (auto& [known, flags] : groups_)
            if (known == group) parent = flags;
        if (!parent) {
            parent = &root_.command(group, groupHelp(group));
            parent->requireCommand();
            groups_.emplace_back(group, parent);
        }
    }
    Flags& flags = parent->command(own, help);
    if (!example.empty()) flags.example(example);
    if (!name.starts_with("cluster ") && !name.starts_with("internal "))
        flags.option("--config", settings.config, "Configuration file of the cluster");
    all_.push_back({name, help, example, &flags, std::move(run)});
    return flags;
}

int Commands::run() {
    for (const Command& c : all_)
        if (c.flags->chosen()) return c.run();
    return usage("which command? see skua --help");
}

namespace {
// One line a message, whatever names are in it: control characters as \ooo.
std::string oneLine(const std::string& message) {
    std::string out;
    char text[8];
    for (const char c : message) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x20 && byte != 0x7f) {
            out += c;
            continue;
        }
        std::snprintf(text, sizeof text, "\\%03o", byte);
        out += text;
    }
    return out;
}
} // namespace

int fail(const std::string& message) {
    std::fprintf(stderr, "skua: %s\n", oneLine(message).c_str());
    return kFailed;
}

std::string told(const Error& error) {
    const std::size_t colon = error.detail.rfind(": ");
    if (colon == std::string::npos) return error.message();
    std::string last = error.detail.substr(colon + 2);
    for (char& c : last) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const bool vague = error.code == Code::Io || error.code == Code::Busy;
    return vague || last.starts_with(text(error.code)) ? error.detail : error.message();
}

int fail(const Error& error) { return fail(told(error)); }
int usage(const std::string& message) {
    std::fprintf(stderr, "skua: %s\n", oneLine(message).c_str());
    return kUsage;
}
void flushOutput(bool fine) {
    if (std::fflush(stdout) == 0 && fine) return;
    if (errno != EPIPE) std::fprintf(stderr, "skua: standard output: %s\n", std::strerror(errno));
    std::_Exit(kFailed);
}
void print(const std::string& text) {
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) flushOutput(false);
}
void print(const char* text) { print(std::string(text)); }
void print(const nlohmann::json& value) { print(value.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n"); }

int withProcess(const Settings& settings, const std::function<int(client::Process&)>& work) {
    client::ProcessOptions options;
    options.config = settings.config;
    options.waiting = [](const std::string& why) { std::fprintf(stderr, "skua: waiting for the cluster: %s\n", why.c_str()); };
    auto process = client::Process::make(std::move(options));
    if (!process) {
        const Error& e = process.error();
        if (e.code != Code::NotFound) return fail(e);
        return fail(e.detail + (e.detail.find("cluster up") == std::string::npos
                                    ? "; `skua cluster up` makes a cluster on this machine"
                                    : ""));
    }
    return work(**process);
}

int withClient(const Settings& settings, const std::function<Task<Result<>>(Client&)>& work) {
    return withProcess(settings, [&](client::Process& process) {
        auto done = process.run(work(process.client()));
        flushOutput();
        return done ? kFine : fail(done.error());
    });
}

int withClientCode(const Settings& settings, const std::function<Task<int>(Client&)>& work) {
    return withProcess(settings, [&](client::Process& process) {
        const int code = process.run(work(process.client()));
        flushOutput();
        return code;
    });
}

bool matches(const std::string& pattern, const std::string& name) { return fnmatch(pattern.c_str(), name.c_str(), 0) == 0; }

Result<u64> parseBytes(const std::string& text) {
    char* end = nullptr;
    const double n = std::strtod(text.c_str(), &end);
    std::string unit(end);
    for (const char* tail : {"iB", "B"})
        if (unit.ends_with(tail)) unit.resize(unit.size() - std::string_view(tail).size());
    const std::string units = "KMGTPE";
    const auto at =
        unit.size() == 1 ? units.find(static_cast<char>(std::toupper(static_cast<unsigned char>(unit[0])))) : units.npos;
    if (end == text.c_str() || !(n >= 0) || (!unit.empty() && at == units.npos))
        return Error(Code::Invalid, "\"" + text + "\" is no number of bytes: write 4096, 64K or 1.5G");
    const double factor = unit.empty() ? 1 : static_cast<double>(1ull << (10 * (at + 1)));
    if (n * factor >= 1.8e19) return Error(Code::Invalid, "\"" + text + "\" is too large");
    return static_cast<u64>(n * factor);
}

Result<u64> parseDuration(const std::string& text) {
    char* end = nullptr;
    const double n = std::strtod(text.c_str(), &end);
    const std::string unit(end);
    const u64 factor = unit.empty() || unit == "s" ? kSecond
                       : unit == "m"               ? kMinute
                       : unit == "h"               ? kHour
                       : unit == "d"               ? kDay
                                                   : 0;
    if (end == text.c_str() || !(n >= 0) || factor == 0 || n * static_cast<double>(factor) > 9e18)
        return Error(Code::Invalid, "\"" + text + "\" is no length of time: write 90, 5m, 12h or 7d");
    return static_cast<u64>(n * static_cast<double>(factor));
}

bool isRemote(const std::string& text) { return text.starts_with("skua:"); }

Result<std::string> remotePath(const std::string& text) {
    std::string path = isRemote(text) ? text.substr(5) : text;
    if (path.empty() && isRemote(text)) path = "/";
    if (path.empty() || path[0] != '/')
        return Error(Code::Invalid, "\"" + text + "\" is no path in skua: write /dir/file or skua:/dir/file");
    return path;
}

client::Owner ourOwner() {
    client::Owner owner;
    owner.uid = getuid();
    owner.gid = getgid();
    return owner;
}

std::string humanBytes(u64 bytes) {
    const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double n = static_cast<double>(bytes);
    int unit = 0;
    for (; n >= 1024 && unit < 6; unit++) n /= 1024;
    char text[32];
    std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", n, units[unit]);
    return text;
}

std::string humanTime(Wall wall) {
    const std::time_t seconds = static_cast<std::time_t>(wall.value / kSecond);
    std::tm tm{};
    localtime_r(&seconds, &tm);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%d %H:%M", &tm);
    return text;
}

std::string modeText(u32 mode) {
    std::string s = "?rwxrwxrwx";
    switch (mode & S_IFMT) {
        case S_IFDIR: s[0] = 'd'; break;
        case S_IFLNK: s[0] = 'l'; break;
        case S_IFIFO: s[0] = 'p'; break;
        case S_IFSOCK: s[0] = 's'; break;
        case S_IFCHR: s[0] = 'c'; break;
        case S_IFBLK: s[0] = 'b'; break;
        default: s[0] = '-';
    }
    for (int i = 0; i < 9; i++)
        if (!(mode >> (8 - i) & 1)) s[static_cast<std::size_t>(i + 1)] = '-';
    if (mode & S_ISUID) s[3] = mode & S_IXUSR ? 's' : 'S';
    if (mode & S_ISGID) s[6] = mode & S_IXGRP ? 's' : 'S';
    if (mode & S_ISVTX) s[9] = mode & S_IXOTH ? 't' : 'T';
    return s;
}

nlohmann::json toJson(const Attributes& a) {
    return {{"inode", a.inode.value},
            {"mode", a.mode},
            {"uid", a.uid},
            {"gid", a.gid},
            {"nlink", a.nlink},
            {"size", a.size},
            {"stored", a.stored},
            {"atime_ns", a.atime.value},
            {"mtime_ns", a.mtime.value},
            {"ctime_ns", a.ctime.value},
            {"birth_ns", a.birth.value},
            {"content", a.content.value},
            {"generation", a.generation.value},
            {"entries", a.entries}};
}

Wall wallNow() {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    return {static_cast<u64>(now.tv_sec) * kSecond + static_cast<u64>(now.tv_nsec)};
}

} // namespace skua::cli
