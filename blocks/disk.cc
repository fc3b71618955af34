#include "blocks/disk.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <map>
#include "core/base/config.h"
#include "core/base/random.h"
#include "core/base/version.h"
#include "core/data/rows.h"

namespace skua::blocks {
namespace {

constexpr const char* kKind = "skua-blocks";

Error failed(const std::string& what, int error) { return Error(fromErrno(error), what + ": " + std::strerror(error)); }

std::string textOf(const DiskFormat& f) {
    return std::string("kind = ") + kKind + "\nversion = " + std::to_string(kFormat) + "\ncluster = " + toHex(f.cluster.value) +
           "\nuuid = " + toHex(f.uuid) + "\nservice = " + std::to_string(f.service.value) +
           "\nincarnation = " + std::to_string(f.incarnation.value) + "\ncapacity = " + std::to_string(f.capacity) +
           "\nsegment = " + std::to_string(f.segment) + "\n";
}

std::map<std::string, std::string> valuesOf(const std::string& text) {
    std::map<std::string, std::string> out;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        const std::string line = text.substr(at, end - at);
        if (const auto mid = line.find(" = "); mid != line.npos) out[line.substr(0, mid)] = line.substr(mid + 3);
        at = end + 1;
    }
    return out;
}

template <class T>
bool number(const std::string& text, T& to) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), to);
    return error == std::errc{} && end == text.data() + text.size() && !text.empty();
}

Result<DiskFormat> parse(const std::string& path, const std::string& text) {
    auto values = valuesOf(text);
    if (values["kind"] != kKind) return Error(Code::Invalid, path + " is of a \"" + values["kind"] + "\", not of a " + kKind);
    if (values["version"] != std::to_string(kFormat))
        return Error(Code::Invalid,
                     path + " has format " + values["version"] + ", this build knows format " + std::to_string(kFormat));
    DiskFormat f;
    const auto cluster = fromHex(values["cluster"]), uuid = fromHex(values["uuid"]);
    if (!cluster || !uuid || !number(values["service"], f.service.value) || !number(values["incarnation"], f.incarnation.value) ||
        !number(values["capacity"], f.capacity) || !number(values["segment"], f.segment) || f.segment < 2 * kMaxBlock / 2 ||
        f.segment > 1ull << 32)
        return Error(Code::Corrupt, path + " does not read as a disk's FORMAT");
    f.cluster = {*cluster};
    f.uuid = *uuid;
    return f;
}

Result<std::string> readFile(int fd, const std::string& path) {
    std::string text(4096, '\0');
    const ssize_t n = ::pread(fd, text.data(), text.size(), 0);
    if (n < 0) return failed(path, errno);
    text.resize(static_cast<std::size_t>(n));
    return text;
}

Result<> syncFolder(const std::string& dir) {
    const int fd = ::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return failed(dir, errno);
    const int r = ::fsync(fd);
    const int error = errno;
    ::close(fd);
    if (r < 0) return failed(dir, error);
    return Ok{};
}

// Durable, whole or not at all.
Result<> writeFile(const std::string& dir, const std::string& name, const std::string& text) {
    const std::string path = dir + "/" + name, temporary = path + ".new";
    const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) return failed(temporary, errno);
    const bool good = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(fd) == 0;
    const int error = errno;
    ::close(fd);
    if (!good) return failed(temporary, error);
    if (::rename(temporary.c_str(), path.c_str()) < 0) return failed(path, errno);
    return syncFolder(dir);
}

std::string holderOf(int fd) {
    // The lock file holds its owner's pid, for people.
    char text[32] = {};
    const ssize_t n = ::pread(fd, text, sizeof text - 1, 0);
    return n > 0 ? std::string(", pid ") + text : "";
}

// DIR/LOCK: FORMAT itself is replaced when it changes, so it cannot be what is locked.
Result<int> lockFolder(const std::string& dir) {
    const std::string path = dir + "/LOCK";
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) return failed(path, errno);
    if (::flock(fd, LOCK_EX | LOCK_NB) < 0) {
        const Error e(Code::Busy, dir + " is in use by another process" + holderOf(fd));
        ::close(fd);
        return e;
    }
    const std::string pid = std::to_string(::getpid());
    if (::ftruncate(fd, 0) < 0 || ::pwrite(fd, pid.data(), pid.size(), 0) < 0) {
        const Error e = failed(path, errno);
        ::close(fd);
        return e;
    }
    return fd;
}

} // namespace

u64 segmentBytesFor(u64 capacity) {
    if (capacity >= 100ull << 30) return 257u << 20; // 64 slots of 4 MiB and their sums
    if (capacity >= 1ull << 30) return (64u << 20) + (512u << 10);
    return 17u << 20; // one largest block and its sums
}

Result<> Disk::format(const std::string& dir, ClusterId cluster, u64 capacity) {
    std::error_code error;
    std::filesystem::create_directories(dir, error);
    if (error) return Error(fromErrno(error.value()), dir + ": " + error.message());
    const std::string path = dir + "/FORMAT";
    if (std::filesystem::exists(path, error)) {
        const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
        if (fd < 0) return failed(path, errno);
        const auto text = readFile(fd, path);
        ::close(fd);
        TRY_OK(text);
        auto values = valuesOf(*text);
        return Error(Code::Exists, dir + " is a disk already: kind " + values["kind"] + ", cluster " + values["cluster"] +
                                       ", service " + values["service"]);
    }
    for (const auto& entry : std::filesystem::directory_iterator(dir, error)) {
        const std::string name = entry.path().filename();
        if (name != "lost+found" && name != "LOCK" && name != "FORMAT.new")
            return Error(Code::NotEmpty, dir + " holds other things (" + name + "); a disk begins as an empty folder");
    }
    if (error) return Error(fromErrno(error.value()), dir + ": " + error.message());
    struct statvfs space{};
    if (::statvfs(dir.c_str(), &space) < 0) return failed(dir, errno);
    const u64 all = static_cast<u64>(space.f_blocks) * space.f_frsize;
    if (capacity == 0) capacity = all;
    if (capacity > all)
        return Error(Code::Invalid, dir + ": a capacity of " + std::to_string(capacity) +
                                        " bytes is more than its file system has, " + std::to_string(all) + " bytes");
    if (capacity < kLeastCapacity)
        return Error(Code::Invalid,
                     dir + ": a capacity of " + std::to_string(capacity) + " bytes is too small; at least 128 MiB");
    DiskFormat f;
    f.cluster = cluster;
    do { f.uuid = randomFromKernel(); } while (f.uuid == 0);
    f.capacity = capacity;
    f.segment = segmentBytesFor(capacity);
    TRY(const int lock, lockFolder(dir));
    const auto written = writeFile(dir, "FORMAT", textOf(f));
    ::close(lock);
    return written;
}

Result<Disk> Disk::openAny(const std::string& dir) {
    const std::string path = dir + "/FORMAT";
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return Error(
            Code::NotFound,
            dir + " is no disk of a block service (no FORMAT in it): is it mounted? To make one: skua-blocks format " + dir);
    if (fd < 0) return failed(path, errno);
    const auto text = readFile(fd, path);
    ::close(fd);
    TRY_OK(text);
    TRY(const DiskFormat f, parse(path, *text));
    TRY(const int lock, lockFolder(dir));
    return Disk(dir, f, lock);
}

Result<Disk> Disk::open(const std::string& dir, ClusterId cluster) {
    TRY(Disk disk, openAny(dir));
    if (disk.info().cluster != cluster)
        return Error(Code::Invalid,
                     dir + " belongs to cluster " + toHex(disk.info().cluster.value) + ", not to " + toHex(cluster.value));
    return disk;
}

Disk::~Disk() {
    if (lock_ >= 0) ::close(lock_);
}

Result<> Disk::setIdentity(BlockServiceId service, Incarnation incarnation) {
    if (format_.service == service && format_.incarnation == incarnation) return Ok{};
    DiskFormat f = format_;
    f.service = service;
    f.incarnation = incarnation;
    TRY_OK(writeFile(dir_, "FORMAT", textOf(f)));
    format_ = f;
    return Ok{};
}

} // namespace skua::blocks
