#include "raft/data_dir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include "core/base/config.h"
#include "core/base/random.h"
#include "core/base/version.h"

namespace skua::raft {

namespace {

Error problem(const std::string& path, const std::string& what) { return Error(Code::Io, path + ": " + what); }

Result<> writeDurably(const std::string& path, const std::string& text) {
    const std::string temporary = path + ".new";
    const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) return problem(temporary, std::strerror(errno));
    const bool fine = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && fsync(fd) == 0;
    ::close(fd);
    if (!fine || std::rename(temporary.c_str(), path.c_str()) != 0) return problem(path, std::strerror(errno));
    const int dir = ::open(std::filesystem::path(path).parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir >= 0) {
        (void)fsync(dir);
        ::close(dir);
    }
    return Ok{};
}

} // namespace

Result<DataDir> DataDir::open(const std::string& path, const std::string& kind, const std::string& name, ClusterId cluster) {
    std::error_code ec;
    std::filesystem::create_directories(path, ec);
    if (ec) return problem(path, ec.message());
    const std::string lock_path = path + "/LOCK";
    const int lock = ::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (lock < 0) return problem(lock_path, std::strerror(errno));
    DataDir dir(path, lock);
    if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
        char pid[32] = {};
        (void)!pread(lock, pid, sizeof pid - 1, 0);
        return Error(Code::Busy, path + " is in use by process " + std::string(pid).substr(0, std::string(pid).find('\n')));
    }
    const std::string pid = std::to_string(getpid()) + "\n";
    // Over what is there: on a full disk a new block cannot be had.
    if (pwrite(lock, pid.data(), pid.size(), 0) < 0 || ftruncate(lock, static_cast<off_t>(pid.size())) != 0)
        return problem(lock_path, std::strerror(errno));

    const std::string format_path = path + "/FORMAT";
    if (!std::filesystem::exists(format_path)) {
        if (std::filesystem::exists(path + "/log") || std::filesystem::exists(path + "/rows"))
            return problem(path, "it has data but no FORMAT file: this is not what we left there");
        u64 log = 0;
        while (log == 0) log = randomFromKernel();
        Config fresh;
        fresh.set("kind", kind);
        fresh.set("format", std::to_string(kFormat));
        fresh.set("cluster", toHex(cluster.value));
        fresh.set("name", name);
        fresh.set("log", toHex(log));
        TRY_OK(writeDurably(format_path, fresh.text()));
    }
    TRY(const Config format, Config::load(format_path));
    auto same = [&](const char* key, const std::string& want) -> Result<> {
        const std::string have = format.get(key);
        if (have == want) return Ok{};
        return Error(Code::Invalid, path + " has " + key + " " + have + ", this process is of " + want);
    };
    TRY_OK(same("kind", kind));
    TRY_OK(same("format", std::to_string(kFormat)));
    TRY_OK(same("cluster", toHex(cluster.value)));
    TRY_OK(same("name", name));
    TRY(dir.log_, fromHex(format.get("log")));
    return dir;
}

Result<> DataDir::setAside() {
    TRY(Config format, Config::load(path_ + "/FORMAT"));
    u64 fresh = 0;
    while (fresh == 0) fresh = randomFromKernel();
    format.set("log", toHex(fresh));
    // The new id first: emptied under the old one, it would forget what it promised under that.
    TRY_OK(writeDurably(path_ + "/FORMAT", format.text()));
    log_ = fresh;
    std::error_code ec;
    const std::string aside = path_ + "/suspect";
    std::filesystem::remove_all(aside, ec);
    std::filesystem::create_directories(aside, ec);
    for (const char* name : {"log", "rows"}) {
        std::filesystem::rename(path_ + "/" + name, aside + "/" + name, ec);
        if (ec) return problem(path_ + "/" + name, "cannot be moved to " + aside + ": " + ec.message());
    }
    return Ok{};
}

DataDir::~DataDir() {
    if (lock_ >= 0) ::close(lock_);
}

} // namespace skua::raft
