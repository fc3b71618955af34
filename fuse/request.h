// Request: one of the kernel's requests, to be answered exactly once, then or later.
//
// Each answering function says whether the kernel took it: false, and the caller had gone (or was told EINTR
// because it is being killed); who gave it a handle or a lookup takes that back. One that is destroyed
// unanswered answers EIO. Only a caller that is about to die is interrupted, as on a hard NFS mount: programs
// do not expect EINTR from files.
#pragma once

#include <memory>
#include <string_view>
#include <vector>
#include "core/async/buffer.h"
#include "fuse/session.h"

namespace skua::fuse {

class Mount;

class Request {
public:
    Request(Mount& mount, fuse_req_t req);
    Request(Request&&) noexcept = default;
    Request& operator=(Request&&) = delete;
    ~Request();

    bool fail(int errnum);
    bool fail(const Error& error);
    bool ok() { return fail(0); }
    bool entry(const fuse_entry_param& e);
    bool create(const fuse_entry_param& e, const fuse_file_info& fi);
    bool attr(const struct stat& st, double timeout);
    bool open(const fuse_file_info& fi);
    bool wrote(std::size_t bytes);
    bool bytes(std::string_view bytes);
    bool buffers(const std::vector<Buffer>& buffers);
    bool link(const std::string& target);
    bool space(const struct statvfs& space);
    bool xattrSize(std::size_t bytes);
    bool position(u64 offset);

    fuse_req_t raw() const;
    bool answered() const { return !state_->req; } // its bytes are gone
    pid_t pid() const { return pid_; }
    uid_t uid() const { return uid_; }
    gid_t gid() const { return gid_; }

    // What is known of it until it is answered; the watch over interrupted ones looks at it.
    struct InFlight : std::enable_shared_from_this<InFlight> {
        Mount* mount = nullptr;
        fuse_req_t req = nullptr; // null: answered
        pid_t pid = 0;
    };

private:
    fuse_req_t take(); // null: it was answered already
    std::shared_ptr<InFlight> state_;
    pid_t pid_;
    uid_t uid_;
    gid_t gid_;
};

} // namespace skua::fuse
