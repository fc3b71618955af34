// The closed set of errors, each mapped onto one errno.
//
// A new code only when some caller acts differently on it. Numbers are on the wire and in logs of
// answers: never reused. The text is for people; `detail` of an Error names the object.
#pragma once

#include <string>
#include <string_view>
#include "core/base/fields.h"
#include "core/base/types.h"

namespace skua {

//       number, name, errno, text
#define SKUA_ERRORS(X)                                                           \
    X(1, NotFound, ENOENT, "no such file or directory")                          \
    X(2, Exists, EEXIST, "already exists")                                       \
    X(3, NotDirectory, ENOTDIR, "not a directory")                               \
    X(4, IsDirectory, EISDIR, "is a directory")                                  \
    X(5, NotEmpty, ENOTEMPTY, "directory not empty")                             \
    X(6, Invalid, EINVAL, "invalid argument")                                    \
    X(7, NameTooLong, ENAMETOOLONG, "name too long")                             \
    X(8, NoAttribute, ENODATA, "no such attribute")                              \
    X(9, TooManyLinks, EMLINK, "too many links")                                 \
    X(10, NotSupported, EOPNOTSUPP, "not supported")                             \
    X(11, NotPermitted, EPERM, "operation not permitted")                        \
    X(12, Denied, EACCES, "permission denied")                                   \
    X(13, ReadOnly, EROFS, "read-only")                                          \
    X(14, CrossDevice, EXDEV, "cannot cross this boundary")                      \
    X(15, Busy, EAGAIN, "too busy to look at it; not done")                      \
    X(16, Locked, EAGAIN, "a transaction holds this name for a moment")          \
    X(17, Conflict, EAGAIN, "somebody else changed it meanwhile")                \
    X(18, Stale, ESTALE, "no longer current")                                    \
    X(19, Expired, EIO, "came too late")                                         \
    X(20, OutcomeUnknown, EIO, "no answer in time: it may have happened or not") \
    X(21, NoSpace, ENOSPC, "no space left")                                      \
    X(22, OverQuota, EDQUOT, "over quota")                                       \
    X(23, TooLarge, EFBIG, "too large")                                          \
    X(24, NotLeader, EAGAIN, "this replica does not lead; ask another")          \
    X(25, Unavailable, EAGAIN, "cannot be reached")                              \
    X(26, Corrupt, EIO, "bytes are not what was written")                        \
    X(27, Io, EIO, "input/output error")

enum class Code : u16 {
    Ok = 0,
#define X(number, name, errnum, text) name = number,
    SKUA_ERRORS(X)
#undef X
};

std::string_view name(Code code); // "NotFound"
std::string_view text(Code code); // "no such file or directory"
int toErrno(Code code);           // ENOENT; EIO for a number this build does not know
Code fromErrno(int errnum);       // the closest code; Io where there is none

inline constexpr std::size_t kMaxDetail = 200;

// Why there is no value. `detail` comes from where the reason is known, be it another process.
struct Error {
    Code code = Code::Ok;
    ServerId leader;    // NotLeader: who to ask, if known
    InodeId inode;      // Exists: what has the name
    std::string detail; // at most kMaxDetail bytes: the object, and what to do
    FIELDS(code, leader, inode, detail)

    Error() = default;
    Error(Code c) : code(c) {}
    Error(Code c, std::string_view d) : code(c), detail(d.substr(0, kMaxDetail)) {}
    static Error exists(InodeId what) {
        Error e(Code::Exists);
        e.inode = what;
        return e;
    }
    static Error notLeader(ServerId who) {
        Error e(Code::NotLeader);
        e.leader = who;
        return e;
    }

    // "no such file or directory: the detail"
    std::string message() const;
};

} // namespace skua
