#include "fuse/memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include "core/base/log.h"

namespace skua::fuse {

namespace {
constexpr std::size_t kPooled = 1u << 20, kPooledKept = 256;
constexpr std::size_t kWindow = 64u << 20;
constexpr long kFuseMagic = 0x65735546;

// Never on a file system in user space: that might be ourselves.
std::string spillFolder() {
    const char* const candidates[] = {std::getenv("TMPDIR"), "/var/tmp", "/tmp"};
    for (const char* candidate : candidates) {
        struct statfs about;
        if (candidate && statfs(candidate, &about) == 0 && static_cast<long>(about.f_type) != kFuseMagic) return candidate;
    }
    return "/tmp";
}
} // namespace

struct Memory::Window {
    ~Window() {
        if (at) munmap(at, size);
        if (fd >= 0) close(fd);
    }
    int fd = -1;
    u8* at = nullptr;
    std::size_t size = 0, given = 0;
};

Memory::Memory(u64 limit) : limit_(limit), pool_(kPooled, kPooledKept) {}

Result<Buffer> Memory::allocate(std::size_t size) {
    if (account_->used + size > limit_) return spill(size);
    struct Share {
        std::shared_ptr<Account> account;
        Buffer buffer;
        u64 bytes;
        ~Share() { account->used -= bytes; }
    };
    Buffer buffer = size == kPooled ? pool_.take() : Buffer::allocate(size);
    account_->used += size;
    u8* data = buffer.data();
    return Buffer(std::shared_ptr<Share>(new Share{account_, std::move(buffer), size}), data, size);
}

Result<Buffer> Memory::spill(std::size_t size) {
    const std::size_t rounded = (size + 4095) / 4096 * 4096;
    if (!window_ || window_->size - window_->given < rounded) {
        window_.reset();
        auto window = std::make_shared<Window>();
        const std::string folder = spillFolder();
        window->fd = open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        if (window->fd < 0) {
            std::string name = folder + "/skua-fuse-XXXXXX";
            window->fd = mkostemp(name.data(), O_CLOEXEC);
            if (window->fd >= 0) unlink(name.c_str());
        }
        window->size = std::max(kWindow, rounded);
        // All of it now: a full disk must be an error here, not a SIGBUS later.
        const int e = window->fd < 0 ? errno : posix_fallocate(window->fd, 0, static_cast<off_t>(window->size));
        void* at = e ? MAP_FAILED : mmap(nullptr, window->size, PROT_READ | PROT_WRITE, MAP_SHARED, window->fd, 0);
        if (at == MAP_FAILED) {
            static log::OncePerSecond often;
            if (often.allow())
                log::warn("no room for unwritten bytes folder={} error={}{}", folder, std::strerror(e ? e : errno),
                          often.skipped());
            return Error(Code::NoSpace, folder + ": no room for bytes that are not committed yet; set TMPDIR");
        }
        window->at = static_cast<u8*>(at);
        window_ = std::move(window);
    }
    struct Share {
        std::shared_ptr<Account> account;
        std::shared_ptr<Window> window;
        u64 bytes;
        ~Share() { account->spilled -= bytes; }
    };
    u8* data = window_->at + window_->given;
    window_->given += rounded;
    account_->spilled += size;
    return Buffer(std::shared_ptr<Share>(new Share{account_, window_, size}), data, size);
}

} // namespace skua::fuse
