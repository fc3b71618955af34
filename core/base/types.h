// The integers of the system, each with its own type where two of them mean different things.
//
// A strong id is a struct with one member `value`; it compares and hashes by value, is encoded as its
// integer, and never converts by accident. Thread-safety: values.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace skua {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using i32 = std::int32_t;
using i64 = std::int64_t;

#define STRONG_ID(Name, Representation)                                        \
    struct Name {                                                              \
        using strong_id = void;                                                \
        Representation value{};                                                \
        friend constexpr auto operator<=>(const Name&, const Name&) = default; \
    }

template <class T>
concept StrongId = requires(T t) {
    typename T::strong_id;
    t.value;
};

STRONG_ID(ShardId, u16);        // 0 .. shards-1; fixed when a cluster is formatted
STRONG_ID(ReservationId, u32);  // counted by a shard's log; 0 is none
STRONG_ID(BlockServiceId, u32); // one disk; 0 is "no service" (a block left out at the commit)
STRONG_ID(ServerId, u32);       // one metadata or block process's registration; 0 is none
STRONG_ID(ClientId, u64);       // drawn when a client starts; 0 is "no client" (server to server)
STRONG_ID(RequestId, u64);      // counts up per client from 1; 0 is "not remembered"
STRONG_ID(TxnId, u64);          // counts up in the coordinator's log; 0 is none
STRONG_ID(GroupId, u32);        // a replicated group: see below
STRONG_ID(Term, u64);
STRONG_ID(Index, u64);      // 1 is a log's first entry
STRONG_ID(Generation, u64); // counts the edits of one content
STRONG_ID(ClusterId, u64);
STRONG_ID(Incarnation, u32); // fences an older process of the same disk

// Which role's machine a group runs, and which one: registry 0, coordinator 0, shard s.
enum class GroupKind : u8 { kRegistry = 0, kCoordinator = 1, kShard = 2 };
constexpr GroupId groupOf(GroupKind kind, u16 number = 0) { return {static_cast<u32>(kind) << 16 | number}; }
constexpr GroupId groupOf(ShardId shard) { return groupOf(GroupKind::kShard, shard.value); }
constexpr GroupKind kindOf(GroupId g) { return static_cast<GroupKind>(g.value >> 16 & 0xff); }
constexpr u16 numberOf(GroupId g) { return static_cast<u16>(g.value); }
inline constexpr GroupId kRegistryGroup = groupOf(GroupKind::kRegistry);
inline constexpr GroupId kCoordinatorGroup = groupOf(GroupKind::kCoordinator);

// What an id names, in its two top bits below the sign.
enum class InodeType : u8 { kContent = 0, kDirectory = 1, kFile = 2, kSpecial = 3 };

// type:2 (bits 62,61) · counter:45 (bits 60..16) · shard:16 (bits 15..0); bit 63 is zero. 0 is none.
struct InodeId {
    using strong_id = void;
    u64 value{};
    static constexpr InodeId make(InodeType type, u64 counter, ShardId shard) {
        return {static_cast<u64>(type) << 61 | (counter & kMaxCounter) << 16 | shard.value};
    }
    static constexpr u64 kMaxCounter = (1ull << 45) - 1;
    constexpr InodeType type() const { return static_cast<InodeType>(value >> 61 & 3); }
    constexpr u64 counter() const { return value >> 16 & kMaxCounter; }
    constexpr ShardId shard() const { return {static_cast<u16>(value)}; }
    constexpr bool isDirectory() const { return type() == InodeType::kDirectory; }
    constexpr bool isFile() const { return type() == InodeType::kFile; }
    constexpr bool none() const { return value == 0; }
    // Bit 63 is zero and the type is one that an inode can have.
    constexpr bool wellFormed() const { return value >> 63 == 0 && type() != InodeType::kContent; }
    friend constexpr auto operator<=>(const InodeId&, const InodeId&) = default;
};
inline constexpr InodeId kRoot = InodeId::make(InodeType::kDirectory, 0, ShardId{0});

// One list of spans, in the shard of its inode. The shape of an InodeId with type 0; 0 is none.
struct ContentId {
    using strong_id = void;
    u64 value{};
    static constexpr ContentId make(u64 counter, ShardId shard) { return {(counter & InodeId::kMaxCounter) << 16 | shard.value}; }
    constexpr u64 counter() const { return value >> 16 & InodeId::kMaxCounter; }
    constexpr ShardId shard() const { return {static_cast<u16>(value)}; }
    constexpr bool none() const { return value == 0; }
    constexpr bool wellFormed() const { return value >> 61 == 0; }
    friend constexpr auto operator<=>(const ContentId&, const ContentId&) = default;
};

// --- time: two kinds, never mixed (metadata.md, "Time") -------------------------------------------

// Nanoseconds since 1970, strictly increasing within a group's log. For people and retention.
STRONG_ID(Wall, u64);
// Nanoseconds of a group's own age: what its leaders' monotonic clocks have counted. Safety rests on it alone.
STRONG_ID(Age, u64);
// Nanoseconds of this machine's monotonic clock (CLOCK_BOOTTIME), or of the simulator's.
STRONG_ID(Monotonic, u64);

inline constexpr u64 kMicrosecond = 1'000, kMillisecond = 1'000'000, kSecond = 1'000'000'000, kMinute = 60 * kSecond,
                     kHour = 60 * kMinute, kDay = 24 * kHour;

} // namespace skua

template <skua::StrongId T>
struct std::hash<T> {
    std::size_t operator()(const T& v) const noexcept {
        // Fibonacci hashing: ids differ in their middle bits, tables look at the low ones.
        return static_cast<std::size_t>(static_cast<std::uint64_t>(v.value) * 0x9E3779B97F4A7C15ull >> 7);
    }
};
