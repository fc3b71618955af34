#include "fuse/request.h"

#include <sys/uio.h>
#include <cerrno>
#include "fuse/mount.h"

namespace skua::fuse {

Request::Request(Mount& mount, fuse_req_t req) : state_(std::make_shared<InFlight>()) {
    const fuse_ctx* context = fuse_req_ctx(req);
    pid_ = context->pid;
    uid_ = context->uid;
    gid_ = context->gid;
    state_->mount = &mount;
    state_->req = req;
    state_->pid = pid_;
    struct Told {
        // With libfuse's locks held: it is looked at later.
        static void interrupted(fuse_req_t, void* about) {
            auto* flight = static_cast<InFlight*>(about);
            flight->mount->interrupted(flight->shared_from_this());
        }
    };
    fuse_req_interrupt_func(req, Told::interrupted, state_.get());
}

Request::~Request() {
    if (state_ && state_->req) fail(EIO);
}

fuse_req_t Request::raw() const { return state_->req; }

fuse_req_t Request::take() { return std::exchange(state_->req, nullptr); }

bool Request::fail(int errnum) {
    fuse_req_t req = take();
    return req && fuse_reply_err(req, errnum) == 0;
}
bool Request::fail(const Error& error) {
    switch (error.code) {
        case Code::Unavailable: return fail(ETIMEDOUT);
        case Code::Locked:
        case Code::Conflict:
        case Code::Busy: return fail(EBUSY);
        default: return fail(toErrno(error.code));
    }
}
bool Request::entry(const fuse_entry_param& e) {
    fuse_req_t req = take();
    return req && fuse_reply_entry(req, &e) == 0;
}
bool Request::create(const fuse_entry_param& e, const fuse_file_info& fi) {
    fuse_req_t req = take();
    return req && fuse_reply_create(req, &e, &fi) == 0;
}
bool Request::attr(const struct stat& st, double timeout) {
    fuse_req_t req = take();
    return req && fuse_reply_attr(req, &st, timeout) == 0;
}
bool Request::open(const fuse_file_info& fi) {
    fuse_req_t req = take();
    return req && fuse_reply_open(req, &fi) == 0;
}
bool Request::wrote(std::size_t bytes) {
    fuse_req_t req = take();
    return req && fuse_reply_write(req, bytes) == 0;
}
bool Request::bytes(std::string_view bytes) {
    fuse_req_t req = take();
    return req && fuse_reply_buf(req, bytes.data(), bytes.size()) == 0;
}
bool Request::buffers(const std::vector<Buffer>& buffers) {
    fuse_req_t req = take();
    if (!req) return false;
    constexpr std::size_t kMostParts = 1000; // of one writev to /dev/fuse
    if (buffers.size() > kMostParts) {
        std::string joined;
        for (const Buffer& b : buffers) joined.append(b.view());
        return fuse_reply_buf(req, joined.data(), joined.size()) == 0;
    }
    std::vector<iovec> parts;
    parts.reserve(buffers.size());
    for (const Buffer& b : buffers) parts.push_back({b.data(), b.size()});
    return fuse_reply_iov(req, parts.data(), static_cast<int>(parts.size())) == 0;
}
bool Request::link(const std::string& target) {
    fuse_req_t req = take();
    return req && fuse_reply_readlink(req, target.c_str()) == 0;
}
bool Request::space(const struct statvfs& space) {
    fuse_req_t req = take();
    return req && fuse_reply_statfs(req, &space) == 0;
}
bool Request::xattrSize(std::size_t bytes) {
    fuse_req_t req = take();
    return req && fuse_reply_xattr(req, bytes) == 0;
}
bool Request::position(u64 offset) {
    fuse_req_t req = take();
    return req && fuse_reply_lseek(req, static_cast<off_t>(offset)) == 0;
}

} // namespace skua::fuse
