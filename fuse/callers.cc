#include "fuse/callers.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>

namespace skua::fuse::callers {

namespace {
std::string procPath(pid_t pid, const char* what) { return "/proc/" + std::to_string(pid) + what; }

// Up to 8 KiB of it; "" if it cannot be read.
std::string contents(const std::string& path) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return "";
    char buffer[8192];
    const ssize_t n = read(fd, buffer, sizeof buffer);
    close(fd);
    return n > 0 ? std::string(buffer, static_cast<std::size_t>(n)) : "";
}

u64 numberBehind(const std::string& text, const char* key, int base) {
    const std::size_t at = text.find(key);
    return at == text.npos ? 0 : std::strtoull(text.c_str() + at + std::strlen(key), nullptr, base);
}
} // namespace

bool sameGroup(pid_t a, pid_t b) {
    if (a == b || a == 0 || b == 0) return true;
    return access((procPath(a, "/task/") + std::to_string(b)).c_str(), F_OK) == 0;
}

bool ended(pid_t pid) {
    if (pid == 0) return true;
    const std::string stat = contents(procPath(pid, "/stat"));
    const std::size_t at = stat.rfind(") ");
    return at == stat.npos || stat[at + 2] == 'Z' || stat[at + 2] == 'X';
}

bool hasDescriptor(pid_t pid, u64 ino) {
    if (pid == 0) return false;
    const std::string folder = procPath(pid, "/fdinfo");
    DIR* dir = opendir(folder.c_str());
    if (!dir) return false;
    bool found = false;
    while (const dirent* entry = readdir(dir)) {
        if (entry->d_name[0] == '.') continue;
        const std::string info = contents(folder + "/" + entry->d_name);
        if (numberBehind(info, "\nino:\t", 10) != ino) continue;
        found = true;
        break;
    }
    closedir(dir);
    return found;
}

bool fatalSignalPending(pid_t pid) {
    if (pid == 0) return false;
    const std::string status = contents(procPath(pid, "/status"));
    if (status.empty()) return true;
    // A signal that ends a process is pending as SIGKILL in each of its threads.
    const u64 pending = numberBehind(status, "\nSigPnd:\t", 16) | numberBehind(status, "\nShdPnd:\t", 16);
    return pending & 1ull << (SIGKILL - 1);
}

bool killed(pid_t pid) {
    const std::string stat = contents(procPath(pid, "/stat"));
    const std::size_t at = stat.rfind(") ");
    if (at == stat.npos) return false;
    // Field 52, exit_code; the one behind the name is the third.
    const char* p = stat.c_str() + at + 2;
    for (int field = 3; field < 52 && *p; field++) {
        p = std::strchr(p, ' ');
        if (!p) return false;
        p++;
    }
    return (std::strtol(p, nullptr, 10) & 0x7f) != 0;
}

} // namespace skua::fuse::callers
