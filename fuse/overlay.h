// Overlay: the bytes of a file that were written here and are not committed yet, by their place in it.
//
//   offset  0        4096            1 MiB         3 MiB
//           | bytes  | (not ours)    | zero        | sent     |        extents: disjoint, in order
//
// Later writes win. Bytes that block services have already may be let go of: such an extent is `sent`, and its
// Source reads them back. Every extent remembers the number of the last write that touched it, so that a commit
// which took a picture at number n forgets only what is not newer. Pure, but for where memory comes from.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <vector>
#include "core/async/buffer.h"
#include "core/async/task.h"
#include "core/base/result.h"

namespace skua::fuse {

// Where bytes of a file can be had that are not here any more, by their place in the file.
class Source {
public:
    virtual ~Source() = default;
    virtual Task<Result<std::vector<Buffer>>> read(u64 offset, u64 length) = 0; // all of it
};

class Overlay {
public:
    using Allocate = std::function<Result<Buffer>(std::size_t)>;
    struct Extent {
        u64 length = 0;
        Buffer bytes;                     // may have room for more than `length`; empty: zeros, or sent
        u64 number = 0;                   // of the last write
        std::shared_ptr<Source> source{}; // sent
        bool held() const { return !bytes.empty(); }
        bool sent() const { return source != nullptr; }
        bool zero() const { return !held() && !sent(); }
    };
    explicit Overlay(Allocate allocate) : allocate_(std::move(allocate)) {}

    // NoSpace: nothing was changed beyond what was written before memory ran out.
    Result<> write(u64 offset, std::span<const u8> bytes);
    void zero(u64 offset, u64 length);
    // Nothing is left at or behind `size`.
    void truncate(u64 size);
    // [from, to), all of it data, is with `source` from now on.
    void send(u64 from, u64 to, std::shared_ptr<Source> source);
    // The same back: `bytes` as long as the sent extent at `offset`.
    void restore(u64 offset, Buffer bytes);
    bool anySent() const;
    // What a commit made of picture `number` has brought to the servers.
    void forget(u64 number);
    void clear();

    bool empty() const { return extents_.empty(); }
    u64 number() const { return number_; }
    u64 bytes() const { return bytes_; } // with data, sent ones too
    const std::map<u64, Extent>& extents() const { return extents_; }
    // How far data reaches without a gap from `offset` on; `offset` itself if there is none.
    u64 contiguous(u64 offset, u64 most) const;

    // Calls with(from, to, extent or null) for all of [from, to), in order.
    template <class F>
    void each(u64 from, u64 to, F with) const {
        auto it = extents_.upper_bound(from);
        if (it != extents_.begin()) --it;
        for (u64 at = from; at < to;) {
            while (it != extents_.end() && it->first + it->second.length <= at) ++it;
            if (it == extents_.end() || it->first >= to) return with(at, to, static_cast<const Extent*>(nullptr), u64{0});
            if (it->first > at) {
                with(at, it->first, static_cast<const Extent*>(nullptr), u64{0});
                at = it->first;
            }
            const u64 end = std::min(to, it->first + it->second.length);
            with(at, end, &it->second, at - it->first);
            at = end;
        }
    }

private:
    void cutOut(u64 from, u64 to);

    Allocate allocate_;
    std::map<u64, Extent> extents_;
    u64 number_ = 0, bytes_ = 0;
};

} // namespace skua::fuse
