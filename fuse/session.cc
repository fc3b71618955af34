#include "fuse/session.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include "core/base/log.h"

namespace skua::fuse {
using namespace abi;

namespace {

constexpr std::size_t kMaxEarly = 64;
constexpr u32 kHandleKillPrivV2 = 1u << 28;
constexpr u32 kDirectIoAllowMmap = 1u << (36 - 32); // in flags2; Linux 6.6

// Queue numbers are CPU numbers, and the kernel waits for as many queues as there may ever be CPUs.
u16 possibleCpus() {
    unsigned first = 0, last = 0;
    if (std::FILE* f = std::fopen("/sys/devices/system/cpu/possible", "r")) {
        if (std::fscanf(f, "%u-%u", &first, &last) == 1) last = first;
        std::fclose(f);
    }
    return static_cast<u16>(last + 1);
}

Error systemError(const char* what) { return Error(Code::Io, std::string(what) + ": " + std::strerror(errno)); }

} // namespace

Result<std::unique_ptr<Session>> Session::make(Ring& ring, fuse_args& args, const fuse_lowlevel_ops& ops, void* user,
                                               const std::string& mountpoint, SessionOptions options) {
    std::unique_ptr<Session> session(new Session(ring, user, mountpoint, options));
    TRY_OK(session->mount(args, ops));
    TRY_OK(session->init());
    // No request comes before every queue has been prepared and submitted once.
    const u16 queues = session->overIoUring_ ? possibleCpus() : u16{1};
    for (u16 n = 0; n < queues; n++) session->queues_.push_back(std::make_unique<Queue>(*session, n));
    return session;
}

Result<> Session::mount(fuse_args& args, const fuse_lowlevel_ops& ops) {
    if (access("/dev/fuse", R_OK | W_OK) != 0)
        return Error(Code::NotSupported, "/dev/fuse cannot be used here (" + std::string(std::strerror(errno)) +
                                             "); in a container: docker run --device /dev/fuse --cap-add SYS_ADMIN");
    if (!(se_ = fuse_session_new(&args, &ops, sizeof ops, user_))) return Error(Code::Invalid, "an option that is not known");
    if (fuse_session_mount(se_, mountpoint_.c_str())) {
        fuse_session_destroy(se_);
        se_ = nullptr;
        return Error(Code::Denied, mountpoint_ +
                                       " could not be mounted (see above); in a container: "
                                       "docker run --device /dev/fuse --cap-add SYS_ADMIN");
    }
    device_ = fcntl(fuse_session_fd(se_), F_DUPFD_CLOEXEC, 3);
    if (device_ < 0) return systemError("dup of /dev/fuse");
    fcntl(device_, F_SETFL, O_NONBLOCK);
    fuse_custom_io io{};
    io.writev = writeReply;
    io.read = [](int, void*, size_t, void*) -> ssize_t { std::abort(); }; // demanded, but we read
    fuse_session_custom_io(se_, &io, fuse_session_fd(se_));
    return Ok{};
}

Session::~Session() {
    queues_.clear();
    if (!se_) return;
    unmount();
    fuse_session_destroy(se_);
    if (device_ >= 0) close(device_);
}

void Session::unmount() {
    fuse_session_unmount(se_);
    // libfuse takes a connection that was aborted for one that was unmounted, and leaves a dead mount.
    struct stat st;
    if (stat(mountpoint_.c_str(), &st) && errno == ENOTCONN) umount2(mountpoint_.c_str(), MNT_DETACH);
}

// Of this thread: the session whose INIT is being answered (writeReply gets libfuse's userdata).
static thread_local Session* initialising = nullptr;
static thread_local Session* serving = nullptr;

Result<> Session::init() {
    std::vector<std::byte> request(FUSE_MIN_READ_BUFFER);
    pollfd ready{};
    ready.fd = device_;
    ready.events = POLLIN;
    if (::poll(&ready, 1, 10'000) <= 0) return Error(Code::Unavailable, "the kernel sent no INIT within 10 s");
    const ssize_t n = ::read(device_, request.data(), request.size());
    if (n < 0) return systemError("read of /dev/fuse");
    const auto& header = *reinterpret_cast<const fuse_in_header*>(request.data());
    const auto& in = *reinterpret_cast<const fuse_init_in*>(&header + 1);
    if (header.opcode != FUSE_INIT) return Error(Code::Io, "the kernel's first request is not INIT");
    overIoUring_ = options_.io_uring && (in.flags & FUSE_INIT_EXT) && (in.flags2 & kOverIoUring);
    offersKillPriv_ = in.flags & kHandleKillPrivV2;
    directIo_ = (in.flags & FUSE_INIT_EXT) && (in.flags2 & kDirectIoAllowMmap);
    initUnique_ = header.unique;
    fuse_buf buffer{};
    buffer.size = static_cast<std::size_t>(n);
    buffer.mem = request.data();
    buffer.fd = -1;
    initialising = serving = this;
    fuse_session_process_buf(se_, &buffer);
    initialising = nullptr;
    if (!payload_) return Error(Code::Io, "INIT failed: the kernel speaks another FUSE");
    return Ok{};
}

// What libfuse answers, and what it has never heard of: io_uring, that writes take away setuid here (else
// the kernel asks for security.capability before every write), and mmap of files that are open for direct I/O.
ssize_t Session::answerInit(fuse_out_header header, const iovec& body) {
    fuse_init_out out{};
    std::memcpy(&out, body.iov_base, std::min(body.iov_len, sizeof out));
    if (overIoUring_) {
        out.flags |= FUSE_INIT_EXT;
        out.flags2 |= kOverIoUring;
    }
    if (directIo_) {
        out.flags |= FUSE_INIT_EXT;
        out.flags2 |= kDirectIoAllowMmap;
    }
    if (offersKillPriv_) out.flags |= kHandleKillPrivV2;
    const std::size_t pages = out.flags & FUSE_MAX_PAGES ? out.max_pages : 32;
    payload_ = std::max(
        {std::size_t{FUSE_MIN_READ_BUFFER}, std::size_t{out.max_write}, pages * static_cast<std::size_t>(getpagesize())});
    header.len = sizeof header + sizeof out;
    iovec iov[] = {{&header, sizeof header}, {&out, sizeof out}};
    return ::writev(device_, iov, 2);
}

// Where libfuse's replies arrive: those of entries, that of INIT, and what it tells the kernel unasked.
ssize_t Session::writeReply(int, iovec* iov, int count, void*) {
    const auto& out = *static_cast<const fuse_out_header*>(iov[0].iov_base);
    if (out.unique & Queue::kOurs) return Queue::reply(out.unique, iov, count);
    if (initialising && out.unique == initialising->initUnique_ && count == 2) return initialising->answerInit(out, iov[1]);
    return ::writev(serving->device_, iov, count);
}

// It may come on another queue than its request, perhaps before it.
void Session::interrupt(const Queue::Interrupt& i) {
    for (auto& q : queues_)
        if (q->interrupt(i)) return;
    if (early_.size() == kMaxEarly) early_.erase(early_.begin());
    early_.push_back(i);
}

unsigned Session::handled() const {
    unsigned all = 0;
    for (auto& q : queues_) all += q->handled();
    return all;
}

std::string Session::asked() const {
    static constexpr const char* kNames[] = {
        nullptr,       "lookup", "forget",  "getattr",   "setattr",     "readlink",   "symlink",  nullptr,
        "mknod",       "mkdir",  "unlink",  "rmdir",     "rename",      "link",       "open",     "read",
        "write",       "statfs", "release", nullptr,     "fsync",       "setxattr",   "getxattr", "listxattr",
        "removexattr", "flush",  "init",    "opendir",   "readdir",     "releasedir", "fsyncdir", "getlk",
        "setlk",       "setlkw", "access",  "create",    "interrupt",   "bmap",       "destroy",  "ioctl",
        "poll",        nullptr,  "forgets", "fallocate", "readdirplus", "rename2",    "lseek",    "copy_file_range"};
    std::string text;
    for (std::size_t op = 0; op < asked_.size(); op++) {
        if (asked_[op] == 0) continue;
        const char* name = op < std::size(kNames) ? kNames[op] : nullptr;
        text +=
            (text.empty() ? "" : " ") + (name ? std::string(name) : "op" + std::to_string(op)) + "=" + std::to_string(asked_[op]);
    }
    return text;
}

void Session::hungUp() {
    bool all = true;
    for (auto& q : queues_) all = all && q->ended();
    if (all) ended_.set();
}

void Session::queueFinished() {
    for (auto& q : queues_)
        if (!q->finished()) return;
    finished_.set();
}

} // namespace skua::fuse
