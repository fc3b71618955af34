// Slots: which places of a disk are free. Pure, in memory; the index says after a restart what is taken.
//
// Size classes are two per doubling from 16 to 64 KiB of data, then four per doubling to 16 MiB; a slot is
// larger by the sums that follow the data. A segment is a file of slots of one class. A slot goes round:
//
//   free --allocate()--> taken --release()--> free          written by then: "ready" from now on
//   free --beginFill()--> filling --endFill()--> free       zeros were written ahead of need
//
// Overwriting what was written once is twice as fast as fresh space (limits.md), so ready slots go first.
// A segment without taken slots can change its class. Thread-safety: none.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <vector>
#include "core/data/rows.h"

namespace skua::blocks {

inline constexpr u32 kSmallClasses = 4, kClasses = kSmallClasses + 33;
// Bytes of data of class c, 0..kClasses-1.
constexpr u32 classData(u32 c) {
    if (c < kSmallClasses) return (2 + c % 2) * (8u << 10) << c / 2;
    c -= kSmallClasses;
    return (4 + c % 4) * (16u << 10) << c / 4;
}
static_assert(classData(0) == 16u << 10 && classData(kSmallClasses) == 64u << 10 && classData(kClasses - 1) == kMaxBlock);
u32 classOf(u32 bytes);                       // the smallest that takes them; 1 <= bytes <= kMaxBlock
std::optional<u32> classWith(u32 data_bytes); // the one of exactly this size: what a row names
u32 slotBytes(u32 c);

inline constexpr u32 kLargeSlot = 1u << 20; // data

struct Place {
    u32 segment = 0, slot = 0;
    friend auto operator<=>(const Place&, const Place&) = default;
};

class Slots {
public:
    explicit Slots(u64 segment_bytes) : segmentBytes_(segment_bytes) {}

    // `written`: every slot of it was written once.
    void addSegment(u32 segment, u32 size_class, bool written);
    void dropSegment(u32 segment); // an empty one
    bool has(u32 segment) const { return segments_.contains(segment); }
    u32 slotsOf(u32 size_class) const { return static_cast<u32>(segmentBytes_ / slotBytes(size_class)); }
    // After a restart. False: there is no such slot, or it is taken: two rows name it.
    bool take(Place place);

    // A ready slot of the class if there is one, else any.
    std::optional<Place> allocate(u32 size_class);
    // In the smallest larger class (less than twice as large) that has a free slot.
    std::optional<Place> allocateLarger(u32 size_class);
    void release(Place place);          // `taken`; it has been written
    void releaseUnwritten(Place place); // `taken`; nothing was written to it

    std::optional<Place> beginFill(u32 size_class); // a free slot that was never written
    void endFill(Place place, bool written);
    bool allWritten(u32 segment) const;

    // A segment all of whose slots are free; ready ones first. With its new class nothing else changes:
    // its bytes were written.
    std::optional<u32> emptySegment() const;
    void changeClass(u32 segment, u32 size_class);

    u64 offsetOf(Place place) const;
    u32 classOfSegment(u32 segment) const;
    u64 readyBytes(u32 size_class) const; // data that fits into ready slots
    bool everUsed(u32 size_class) const { return classes_[size_class].used; }
    u64 freeBytes() const { return freeBytes_; } // in free slots
    // Of those, in empty segments and in slots of at least kLargeSlot: where long files still find room.
    u64 freeForLarge() const { return freeForLarge_; }
    std::size_t segments() const { return segments_.size(); }
    std::size_t emptySegments() const { return empty_.size(); }
    u64 segmentBytes() const { return segmentBytes_; }

private:
    enum class State : u8 { kFree, kTaken, kFilling };
    struct Segment {
        u32 size_class = 0;
        std::vector<State> state;
        std::vector<bool> written;
        u32 free = 0, ready = 0; // free ones; free ones that were written
        u32 unwritten = 0;       // of any state
    };
    struct Class {
        std::set<u32> with_ready, with_free; // segments, lowest first
        u64 ready = 0;                       // slots
        bool used = false;                   // something was allocated since the start
    };
    std::optional<u32> find(const Segment& s, bool written) const;
    void setState(u32 segment, u32 slot, State state);
    void setWritten(Segment& s, u32 slot);
    void remember(u32 segment, const Segment& s);
    void forget(u32 segment, const Segment& s);
    u64 forLarge(const Segment& s) const;

    u64 segmentBytes_;
    std::map<u32, Segment> segments_;
    Class classes_[kClasses];
    std::set<u32> empty_;
    u64 freeBytes_ = 0, freeForLarge_ = 0;
};

} // namespace skua::blocks
