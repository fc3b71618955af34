#include "blocks/slots.h"

#include <algorithm>
#include "blocks/schema.h"
#include "core/base/check.h"

namespace skua::blocks {

u32 classOf(u32 bytes) {
    CHECK(bytes >= 1 && bytes <= kMaxBlock);
    u32 c = 0;
    while (classData(c) < bytes) c++;
    return c;
}

std::optional<u32> classWith(u32 data_bytes) {
    for (u32 c = 0; c < kClasses; c++)
        if (classData(c) == data_bytes) return c;
    return std::nullopt;
}

u32 slotBytes(u32 c) { return classData(c) + sumsBytes(classData(c) / kPage); }

// What the sets and totals say of a segment; called around every change of it.
void Slots::remember(u32 segment, const Segment& s) {
    Class& c = classes_[s.size_class];
    if (s.free) c.with_free.insert(segment);
    if (s.ready) c.with_ready.insert(segment);
    if (s.free == s.state.size()) empty_.insert(segment);
    c.ready += s.ready;
    freeBytes_ += static_cast<u64>(s.free) * slotBytes(s.size_class);
    freeForLarge_ += forLarge(s);
}

void Slots::forget(u32 segment, const Segment& s) {
    Class& c = classes_[s.size_class];
    c.with_free.erase(segment);
    c.with_ready.erase(segment);
    empty_.erase(segment);
    c.ready -= s.ready;
    freeBytes_ -= static_cast<u64>(s.free) * slotBytes(s.size_class);
    freeForLarge_ -= forLarge(s);
}

u64 Slots::forLarge(const Segment& s) const {
    if (s.free != s.state.size() && classData(s.size_class) < kLargeSlot) return 0;
    return static_cast<u64>(s.free) * slotBytes(s.size_class);
}

void Slots::addSegment(u32 segment, u32 size_class, bool written) {
    CHECK(size_class < kClasses && !segments_.contains(segment));
    Segment s;
    s.size_class = size_class;
    const u32 n = slotsOf(size_class);
    s.state.assign(n, State::kFree);
    s.written.assign(n, written);
    s.free = n;
    s.ready = written ? n : 0;
    s.unwritten = written ? 0 : n;
    remember(segment, segments_.emplace(segment, std::move(s)).first->second);
}

void Slots::dropSegment(u32 segment) {
    const auto it = segments_.find(segment);
    CHECK(it != segments_.end() && it->second.free == it->second.state.size());
    forget(segment, it->second);
    segments_.erase(it);
}

void Slots::setState(u32 segment, u32 slot, State state) {
    Segment& s = segments_.at(segment);
    CHECK(slot < s.state.size() && s.state[slot] != state);
    const bool was = s.state[slot] == State::kFree, is = state == State::kFree;
    forget(segment, s);
    s.state[slot] = state;
    if (was && !is) {
        s.free--;
        s.ready -= s.written[slot];
    } else if (!was && is) {
        s.free++;
        s.ready += s.written[slot];
    }
    remember(segment, s);
}

void Slots::setWritten(Segment& s, u32 slot) {
    CHECK(s.state[slot] != State::kFree); // so that `ready` need not change
    if (!s.written[slot]) s.unwritten--;
    s.written[slot] = true;
}

bool Slots::take(Place p) {
    const auto it = segments_.find(p.segment);
    if (it == segments_.end() || p.slot >= it->second.state.size() || it->second.state[p.slot] != State::kFree) return false;
    setState(p.segment, p.slot, State::kTaken);
    setWritten(it->second, p.slot);
    return true;
}

std::optional<u32> Slots::find(const Segment& s, bool written) const {
    for (u32 i = 0; i < s.state.size(); i++)
        if (s.state[i] == State::kFree && s.written[i] == written) return i;
    return std::nullopt;
}

std::optional<Place> Slots::allocate(u32 size_class) {
    Class& c = classes_[size_class];
    c.used = true;
    const bool ready = !c.with_ready.empty();
    if (!ready && c.with_free.empty()) return std::nullopt;
    const u32 segment = ready ? *c.with_ready.begin() : *c.with_free.begin();
    const Place p{segment, *find(segments_.at(segment), ready)};
    setState(p.segment, p.slot, State::kTaken);
    return p;
}

std::optional<Place> Slots::allocateLarger(u32 size_class) {
    for (u32 c = size_class + 1; c < kClasses && classData(c) < 2 * classData(size_class); c++)
        if (!classes_[c].with_free.empty()) return allocate(c);
    return std::nullopt;
}

void Slots::release(Place p) {
    Segment& s = segments_.at(p.segment);
    CHECK(s.state.at(p.slot) == State::kTaken);
    setWritten(s, p.slot);
    setState(p.segment, p.slot, State::kFree);
}

void Slots::releaseUnwritten(Place p) {
    CHECK(segments_.at(p.segment).state.at(p.slot) == State::kTaken);
    setState(p.segment, p.slot, State::kFree);
}

std::optional<Place> Slots::beginFill(u32 size_class) {
    for (const u32 segment : classes_[size_class].with_free) {
        const Segment& s = segments_.at(segment);
        if (s.free == s.ready) continue;
        const Place p{segment, *find(s, false)};
        setState(p.segment, p.slot, State::kFilling);
        return p;
    }
    return std::nullopt;
}

void Slots::endFill(Place p, bool written) {
    Segment& s = segments_.at(p.segment);
    CHECK(s.state.at(p.slot) == State::kFilling);
    if (written) setWritten(s, p.slot);
    setState(p.segment, p.slot, State::kFree);
}

bool Slots::allWritten(u32 segment) const { return segments_.at(segment).unwritten == 0; }

std::optional<u32> Slots::emptySegment() const {
    if (empty_.empty()) return std::nullopt;
    for (const u32 segment : empty_)
        if (segments_.at(segment).unwritten == 0) return segment;
    return *empty_.begin();
}

void Slots::changeClass(u32 segment, u32 size_class) {
    const bool written = allWritten(segment);
    dropSegment(segment);
    addSegment(segment, size_class, written);
}

u64 Slots::offsetOf(Place p) const { return static_cast<u64>(p.slot) * slotBytes(segments_.at(p.segment).size_class); }

u32 Slots::classOfSegment(u32 segment) const { return segments_.at(segment).size_class; }

u64 Slots::readyBytes(u32 size_class) const { return classes_[size_class].ready * classData(size_class); }

} // namespace skua::blocks
