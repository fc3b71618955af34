// What the kernel and a driver say to each other over io_uring (FUSE protocol 7.42, Linux 6.14).
//
// Debian 12's <linux/fuse.h> is 7.38: it has every structure but these. Declared from the documented
// interface; the sizes are checked below.
//
// A ring entry is two buffers of ours, registered once (REGISTER), then lent to the kernel and given
// back with a request in them; COMMIT_AND_FETCH lends them again, with the reply in them:
//
//   buffer    at   size   a request (the kernel writes)        its reply (we write)
//   header     0    128   fuse_in_header, 40 bytes             fuse_out_header, 16 bytes
//            128    128   the operation's own struct, if any   -
//            256     32   EntryInfo: commit id, payload size   EntryInfo: payload size
//   payload    0      *   names, or the bytes of a WRITE       all that follows fuse_out_header
//
//   * at least what the INIT reply promised: max(8192, max_write, max_pages * page size)
//
// The SQE is 128 bytes (IORING_SETUP_SQE128): IORING_OP_URING_CMD on the /dev/fuse fd, cmd_op one of
// the two below, CommandArgs in `cmd`; REGISTER also has addr = iovec[2]{header, payload}, len = 2.
// Its CQE says 0: a request is in the buffers; -ENOTCONN or another error: the entry is ours again.
#pragma once

#include <linux/fuse.h>
#include <cstddef>
#include "core/base/types.h"

namespace skua::fuse::abi {

inline constexpr u32 kOverIoUring = 1u << (41 - 32); // in flags2 of INIT, offered and accepted
inline constexpr u32 kRegister = 1, kCommitAndFetch = 2;

struct EntryInfo {
    u64 flags;    // none yet
    u64 commitId; // of the request; goes back in CommandArgs
    u32 payloadSize;
    u32 padding;
    u64 reserved;
};
struct EntryHeader {
    alignas(8) std::byte inOut[128];
    alignas(8) std::byte operation[128];
    EntryInfo info;
};
struct CommandArgs {
    u64 flags;    // none yet
    u64 commitId; // 0 for REGISTER
    u16 queue;    // the CPU whose requests these are, below the number of possible CPUs
    u8 padding[6];
};
static_assert(sizeof(EntryInfo) == 32 && sizeof(EntryHeader) == 288 && sizeof(CommandArgs) == 24);
static_assert(offsetof(EntryHeader, info) == 256 && offsetof(CommandArgs, queue) == 16);

} // namespace skua::fuse::abi
