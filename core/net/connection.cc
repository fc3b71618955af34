#include "core/net/connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <algorithm>

namespace skua::net {

namespace {
constexpr std::size_t kStagedBody = 4096;    // larger bodies are not copied together
constexpr std::size_t kVectorsPerCall = 512; // of IOV_MAX
constexpr std::size_t kKeepStaged = 256u << 10;
constexpr u8 kZeros[kFrameAlign] = {};
} // namespace

void tuneSocket(int fd, bool loopback) {
    auto set = [fd](int level, int name, int value) { setsockopt(fd, level, name, &value, sizeof value); };
    set(IPPROTO_TCP, TCP_NODELAY, 1);
    set(IPPROTO_TCP, TCP_NOTSENT_LOWAT, 128 << 10);
    set(SOL_SOCKET, SO_KEEPALIVE, 1);
    set(IPPROTO_TCP, TCP_KEEPIDLE, 10);
    set(IPPROTO_TCP, TCP_KEEPINTVL, 5);
    set(IPPROTO_TCP, TCP_KEEPCNT, 3);
    set(IPPROTO_TCP, TCP_USER_TIMEOUT, 30'000);                            // ms: sent, and nobody acknowledges
    if (loopback) setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5); // 1.3 to 1.6 x BBR there
}

Connection::Connection(Ring& ring, int fd, Peer peer, Listener& listener)
    : ring_(ring), fd_(fd), peer_(std::move(peer)), listener_(listener) {}

Connection::~Connection() {
    CHECK(!sending_ && !running_);
    if (soon_) ring_.removeGuest(*this);
    if (fd_ >= 0) ::close(fd_);
}

void Connection::close(Error why) {
    if (!open_) return;
    open_ = false;
    why_ = why.code == Code::Ok ? Error(Code::Unavailable, "closed") : std::move(why);
    ::shutdown(fd_, SHUT_RDWR); // what is under way on it completes now
    progress_.pulse();
}

Task<Error> Connection::run() {
    running_ = true;
    while (open_) {
        if (paused()) {
            Event::Waiter less = progress_.wait();
            (void)co_await less;
            const auto ok = parser_.arrived(0, *this); // what had already been received
            if (!ok) close(ok.error());
            continue;
        }
        const std::span<u8> room = parser_.room();
        Operation op = ring_.recv(fd_, room.data(), room.size(), parser_.wantsAll() ? MSG_WAITALL : 0);
        (void)co_await op;
        if (op.result() <= 0) {
            if (op.result() == -EINTR) continue;
            close(op.result() == 0 ? Error(Code::Unavailable, "the other side closed the connection") : kernelError(op.result()));
            break;
        }
        const auto ok = parser_.arrived(static_cast<std::size_t>(op.result()), *this);
        if (!ok) close(ok.error());
    }
    while (sending_) {
        Event::Waiter sent = progress_.wait();
        (void)co_await sent;
    }
    filling_.clear();
    if (soon_) ring_.removeGuest(*this);
    soon_ = false;
    ::close(fd_);
    fd_ = -1;
    running_ = false;
    co_return why_;
}

Result<> Connection::received(const FrameHeader& header, Message&& message) {
    if (!open_) return Ok{}; // closed by what came before it in the same bytes
    return listener_.received(*this, header, std::move(message));
}

void Connection::answered(std::size_t bytes) {
    const bool was = paused();
    outstanding_--;
    held_ -= bytes;
    if (was && !paused()) progress_.pulse();
}

// --- sending ----------------------------------------------------------------------------------------

void Connection::Batch::stage(const void* from, std::size_t size) {
    if (size == 0) return;
    if (pieces.empty() || pieces.back().at != nullptr) pieces.push_back({nullptr, staged.size(), 0});
    staged.append(static_cast<const char*>(from), size);
    pieces.back().size += size;
    bytes += size;
}

void Connection::Batch::refer(const void* from, std::size_t size) {
    pieces.push_back({static_cast<const u8*>(from), 0, size});
    bytes += size;
}

void Connection::Batch::clear() {
    pieces.clear();
    bodies.clear();
    payloads.clear();
    bytes = 0;
    if (staged.capacity() > kKeepStaged) staged = std::string();
    staged.clear();
}

u64 Connection::send(Kind kind, u8 flags, u64 call, std::string&& body, Buffer payload) {
    if (!open_) return 0;
    CHECK(body.size() <= kMaxBody && payload.size() <= kMaxPayload);
    u8 header[kFrameHeader];
    writeHeader({kind, flags, call, static_cast<u32>(body.size()), static_cast<u32>(payload.size()), bodySum(body)}, header);
    const std::size_t before = filling_.bytes, body_size = body.size();
    filling_.stage(header, sizeof header);
    if (body_size <= kStagedBody) filling_.stage(body.data(), body_size);
    else {
        filling_.bodies.push_back(std::move(body)); // too long for a string's own room: its bytes stay put
        filling_.refer(filling_.bodies.back().data(), body_size);
    }
    filling_.stage(kZeros, padded(body_size) - body_size);
    if (!payload.empty()) {
        filling_.refer(payload.data(), payload.size());
        filling_.stage(kZeros, padded(payload.size()) - payload.size());
        filling_.payloads.push_back(std::move(payload));
    }
    queued_ += filling_.bytes - before;
    if (!sending_ && !soon_) {
        soon_ = true;
        ring_.prepareSoon(*this);
    }
    return fillingBatch_;
}

void Connection::prepare() {
    soon_ = false;
    if (sending_ || !open_ || filling_.pieces.empty()) return;
    std::swap(filling_, leaving_);
    startedBatch_ = fillingBatch_++;
    vectors_.clear();
    for (const Piece& p : leaving_.pieces)
        vectors_.push_back(
            {p.at ? const_cast<u8*>(p.at) : reinterpret_cast<u8*>(leaving_.staged.data()) + p.staged_from, p.size});
    firstVector_ = 0;
    sending_ = true;
    sendRest();
}

void Connection::sendRest() {
    header_.msg_iov = &vectors_[firstVector_];
    header_.msg_iovlen = std::min(vectors_.size() - firstVector_, kVectorsPerCall);
    io_uring_sqe* e = ring_.entry();
    io_uring_prep_sendmsg(e, fd_, &header_, MSG_NOSIGNAL | MSG_WAITALL);
    io_uring_sqe_set_data(e, static_cast<Completion*>(this));
}

void Connection::complete(int result) {
    if (result > 0) {
        auto n = static_cast<std::size_t>(result);
        queued_ -= n;
        while (n > 0) {
            iovec& v = vectors_[firstVector_];
            const std::size_t part = std::min(n, v.iov_len);
            v.iov_base = static_cast<u8*>(v.iov_base) + part;
            v.iov_len -= part;
            n -= part;
            if (v.iov_len == 0) firstVector_++;
        }
        if (firstVector_ < vectors_.size() && open_) return sendRest();
    } else if (result != -EINTR && result != -EAGAIN) {
        close(kernelError(result == 0 ? -EPIPE : result));
    } else if (open_) {
        return sendRest();
    }
    sending_ = false;
    leaving_.clear();
    if (open_ && !filling_.pieces.empty() && !soon_) {
        soon_ = true;
        ring_.prepareSoon(*this);
    }
    progress_.pulse();
}

} // namespace skua::net
