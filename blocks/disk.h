// Disk: the folder of one block service: whose it is, and that nobody else has it open.
//
//   DIR/FORMAT     kind = skua-blocks          refused if it is something else's
//                  version = 1                 refused if it is another
//                  cluster = 0123456789abcdef  refused if it is another's
//                  uuid = 0123456789abcdef     drawn by format(); by it the registry knows a repeat
//                  service = 7                 0 until the registry has given a number
//                  incarnation = 1
//                  capacity = 107374182400     bytes
//                  segment = 67108864          bytes of a segment file
//
// An empty folder is never taken for a new disk: format() makes one, and nothing else does. All calls
// block; thread-safety: none.
#pragma once

#include <string>
#include "core/base/result.h"

namespace skua::blocks {

struct DiskFormat {
    ClusterId cluster;
    u64 uuid = 0;
    BlockServiceId service;
    Incarnation incarnation;
    u64 capacity = 0, segment = 0;
};

inline constexpr u64 kLeastCapacity = 128u << 20;

// Bytes of a segment file on a disk of this capacity.
u64 segmentBytesFor(u64 capacity);

class Disk {
public:
    // Makes DIR (which may exist and be empty) a disk of this cluster. Exists: it is one already, or holds
    // other things. capacity 0: all that the file system has.
    static Result<> format(const std::string& dir, ClusterId cluster, u64 capacity);
    // Takes the lock. The messages name both sides: what was expected, and what is there.
    static Result<Disk> open(const std::string& dir, ClusterId cluster);
    // The same of any cluster, for `inspect`.
    static Result<Disk> openAny(const std::string& dir);

    Disk(Disk&& o) noexcept : dir_(std::move(o.dir_)), format_(o.format_), lock_(std::exchange(o.lock_, -1)) {}
    ~Disk();

    const std::string& dir() const { return dir_; }
    const DiskFormat& info() const { return format_; }
    // What the registry said; durable when it returns.
    Result<> setIdentity(BlockServiceId service, Incarnation incarnation);

private:
    Disk(std::string dir, DiskFormat format, int lock) : dir_(std::move(dir)), format_(format), lock_(lock) {}
    std::string dir_;
    DiskFormat format_;
    int lock_;
};

} // namespace skua::blocks
