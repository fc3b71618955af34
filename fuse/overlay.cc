#include "fuse/overlay.h"

#include <algorithm>
#include <cstring>

namespace skua::fuse {

namespace {
constexpr u64 kSmall = 4096, kLarge = 1u << 20;
} // namespace

Result<> Overlay::write(u64 offset, std::span<const u8> bytes) {
    if (bytes.empty()) return Ok{};
    number_++;
    while (!bytes.empty()) {
        auto it = extents_.upper_bound(offset);
        auto before = it == extents_.begin() ? extents_.end() : std::prev(it);
        // Into bytes that are ours already.
        if (before != extents_.end() && offset < before->first + before->second.length && before->second.held()) {
            Extent& e = before->second;
            const u64 at = offset - before->first, n = std::min<u64>(bytes.size(), e.length - at);
            std::memcpy(e.bytes.data() + at, bytes.data(), n);
            e.number = number_;
            offset += n;
            bytes = bytes.subspan(n);
            continue;
        }
        // Behind them, where there is room.
        u64 previous = 0;
        if (before != extents_.end() && offset == before->first + before->second.length && before->second.held()) {
            Extent& e = before->second;
            previous = e.length;
            if (const u64 room = e.bytes.size() - e.length; room > 0) {
                const u64 n = std::min<u64>(bytes.size(), room);
                cutOut(offset, offset + n);
                std::memcpy(e.bytes.data() + e.length, bytes.data(), n);
                e.length += n;
                e.number = number_;
                bytes_ += n;
                offset += n;
                bytes = bytes.subspan(n);
                continue;
            }
        }
        // A new extent, up to the next bytes that are ours. A growing file is given ever more room.
        u64 n = bytes.size();
        auto next = extents_.lower_bound(offset);
        while (next != extents_.end() && !next->second.held()) ++next;
        u64 room = std::clamp<u64>(std::max<u64>(n, previous * 2), std::min<u64>(n, kSmall), kLarge);
        if (next != extents_.end()) {
            n = std::min(n, next->first - offset);
            room = std::min(room, next->first - offset);
        }
        n = std::min(n, room);
        TRY(Buffer buffer, allocate_(room));
        cutOut(offset, offset + n);
        std::memcpy(buffer.data(), bytes.data(), n);
        extents_[offset] = Extent{n, std::move(buffer), number_, nullptr};
        bytes_ += n;
        offset += n;
        bytes = bytes.subspan(n);
    }
    return Ok{};
}

void Overlay::zero(u64 offset, u64 length) {
    if (length == 0) return;
    number_++;
    cutOut(offset, offset + length);
    extents_[offset] = Extent{length, Buffer(), number_, nullptr};
}

void Overlay::truncate(u64 size) {
    number_++;
    cutOut(size, ~0ull);
}

void Overlay::send(u64 from, u64 to, std::shared_ptr<Source> source) {
    if (from >= to) return;
    cutOut(from, to);
    extents_[from] = Extent{to - from, Buffer(), number_, std::move(source)};
    bytes_ += to - from;
}

void Overlay::restore(u64 offset, Buffer bytes) {
    auto it = extents_.find(offset);
    if (it == extents_.end() || !it->second.sent() || it->second.length != bytes.size()) return;
    it->second.bytes = std::move(bytes);
    it->second.source.reset();
}

bool Overlay::anySent() const {
    return std::any_of(extents_.begin(), extents_.end(), [](const auto& e) { return e.second.sent(); });
}

void Overlay::forget(u64 number) {
    for (auto it = extents_.begin(); it != extents_.end();) {
        if (it->second.number > number) {
            ++it;
            continue;
        }
        if (!it->second.zero()) bytes_ -= it->second.length;
        it = extents_.erase(it);
    }
}

void Overlay::clear() {
    extents_.clear();
    bytes_ = 0;
    number_++;
}

void Overlay::cutOut(u64 from, u64 to) {
    if (from >= to) return;
    auto it = extents_.upper_bound(from);
    if (it != extents_.begin()) --it;
    while (it != extents_.end() && it->first < to) {
        const u64 begin = it->first, end = begin + it->second.length;
        if (end <= from) {
            ++it;
            continue;
        }
        Extent e = it->second;
        it = extents_.erase(it);
        if (!e.zero()) bytes_ -= std::min(end, to) - std::max(begin, from);
        if (begin < from) {
            Extent left = e;
            left.length = from - begin;
            if (left.held()) left.bytes = e.bytes.slice(0, left.length); // the room behind it is not its own any more
            extents_[begin] = std::move(left);
        }
        if (end > to) {
            Extent right = e;
            right.length = end - to;
            if (right.held()) right.bytes = e.bytes.slice(to - begin, e.bytes.size() - (to - begin));
            it = std::next(extents_.insert_or_assign(to, std::move(right)).first);
        }
    }
}

u64 Overlay::contiguous(u64 offset, u64 most) const {
    auto it = extents_.upper_bound(offset);
    if (it == extents_.begin()) return offset;
    --it;
    u64 at = offset;
    while (it != extents_.end() && it->first <= at && at < it->first + it->second.length && !it->second.zero() && at < most) {
        at = it->first + it->second.length;
        ++it;
    }
    return std::min(at, most);
}

} // namespace skua::fuse
