// The wire codec: turns any struct that lists its FIELDS into bytes and back.
//
//   integers, enums, strong ids   little-endian, fixed width
//   bool                          one byte, 0 or 1
//   std::array<u8, N>             N raw bytes
//   std::string                   u16 length, then the bytes     (names, targets, details)
//   Bytes                         u32 length, then the bytes     (inline contents; at most kMaxBytes)
//   std::vector<T>                u32 count, then the elements   (at most kMaxElements)
//   std::optional<T>              u8 0 or 1, then the value
//   a struct with FIELDS          its fields, in the order listed
//   std::variant of messages      u8 tag (each alternative's kTag), then the alternative
//
// encode() sizes first, then writes without bounds checks; a string over its limit is a broken promise
// (CHECK): whoever fills a message checks sizes before. decode() never reads past its input and
// returns false on a short, long or malformed one; a hostile count buys no memory. decodeRow() lets a
// row end early at the boundary of a top-level field: the rest keep their defaults (rows only grow).
// Thread-safety: free functions on their arguments only.
#pragma once

#include <array>
#include <bit>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>
#include "core/base/check.h"
#include "core/base/fields.h"
#include "core/base/types.h"

namespace skua {

// A byte string that may be longer than a name: inline contents, xattr values, nested messages.
struct Bytes {
    std::string value;
    friend bool operator==(const Bytes&, const Bytes&) = default;
};

namespace wire {

static_assert(std::endian::native == std::endian::little, "the wire format is the host's layout");

inline constexpr std::size_t kMaxString = 65'535, kMaxBytes = 8u << 20, kMaxElements = 1u << 20;

template <class T>
concept Scalar = std::is_integral_v<T> || std::is_enum_v<T>;
template <class T>
struct IsByteArray : std::false_type {};
template <std::size_t N>
struct IsByteArray<std::array<u8, N>> : std::true_type {};
template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};
template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};
template <class T>
struct IsVariant : std::false_type {};
template <class... T>
struct IsVariant<std::variant<T...>> : std::true_type {};

template <class T>
concept ByteArray = IsByteArray<T>::value;
template <class T>
concept Vector = IsVector<T>::value;
template <class T>
concept Optional = IsOptional<T>::value;
template <class T>
concept Variant = IsVariant<T>::value;

template <class T>
constexpr std::size_t fixedSize();
template <class... F>
constexpr std::size_t fixedSizeOfAll() {
    if constexpr ((true && ... && (fixedSize<F>() != 0))) return (0 + ... + fixedSize<F>());
    else return 0;
}
// Bytes that every value of T takes, or 0 where it depends on the value.
template <class T>
constexpr std::size_t fixedSize() {
    if constexpr (Scalar<T>) return sizeof(T);
    else if constexpr (StrongId<T>) return sizeof(T::value);
    else if constexpr (ByteArray<T>) return sizeof(T);
    else if constexpr (Fielded<T>)
        return decltype(std::declval<T&>().fields([](auto&... f) {
            return std::integral_constant<std::size_t, fixedSizeOfAll<std::remove_cvref_t<decltype(f)>...>()>{};
        }))::value;
    else return 0;
}
// bool and structs that hold one cannot be copied in unchecked.
template <class T>
constexpr bool needsChecking() {
    if constexpr (std::is_same_v<T, bool>) return true;
    else if constexpr (Fielded<T>)
        return decltype(std::declval<T&>().fields([](auto&... f) {
            return std::bool_constant<(false || ... || needsChecking<std::remove_cvref_t<decltype(f)>>())>{};
        }))::value;
    else return false;
}

// --- size -----------------------------------------------------------------------------------------

template <class T>
constexpr std::size_t sizeOf(const T& v) {
    if constexpr (fixedSize<T>() != 0) return fixedSize<T>();
    else if constexpr (std::is_same_v<T, std::string>) return 2 + v.size();
    else if constexpr (std::is_same_v<T, Bytes>) return 4 + v.value.size();
    else if constexpr (Vector<T>) {
        using E = typename T::value_type;
        if constexpr (fixedSize<E>() != 0) return 4 + v.size() * fixedSize<E>();
        std::size_t n = 4;
        for (const auto& e : v) n += sizeOf(e);
        return n;
    } else if constexpr (Optional<T>) return 1 + (v ? sizeOf(*v) : 0);
    else if constexpr (Variant<T>) return 1 + std::visit([](const auto& m) { return sizeOf(m); }, v);
    else return v.fields([](const auto&... f) { return (std::size_t{0} + ... + sizeOf(f)); });
}

// --- encode: writes v at p, which has room for it; returns the position after it -------------------

template <class T>
inline u8* put(u8* p, const T& v) {
    if constexpr (Scalar<T>) {
        std::memcpy(p, &v, sizeof v);
        return p + sizeof v;
    } else if constexpr (StrongId<T>) return put(p, v.value);
    else if constexpr (ByteArray<T>) {
        std::memcpy(p, v.data(), v.size());
        return p + v.size();
    } else if constexpr (std::is_same_v<T, std::string>) {
        CHECK(v.size() <= kMaxString);
        p = put(p, static_cast<u16>(v.size()));
        std::memcpy(p, v.data(), v.size());
        return p + v.size();
    } else if constexpr (std::is_same_v<T, Bytes>) {
        CHECK(v.value.size() <= kMaxBytes);
        p = put(p, static_cast<u32>(v.value.size()));
        std::memcpy(p, v.value.data(), v.value.size());
        return p + v.value.size();
    } else if constexpr (Vector<T>) {
        CHECK(v.size() <= kMaxElements);
        p = put(p, static_cast<u32>(v.size()));
        for (const auto& e : v) p = put(p, e);
        return p;
    } else if constexpr (Optional<T>) {
        *p++ = v.has_value();
        return v ? put(p, *v) : p;
    } else if constexpr (Variant<T>) {
        return std::visit(
            [p](const auto& m) {
                *p = std::remove_cvref_t<decltype(m)>::kTag;
                return put(p + 1, m);
            },
            v);
    } else {
        v.fields([&p](const auto&... f) { ((p = put(p, f)), ...); });
        return p;
    }
}

// Appends v's bytes to `out`.
template <class T>
void encode(const T& v, std::string& out) {
    const std::size_t at = out.size();
    out.resize(at + sizeOf(v));
    put(reinterpret_cast<u8*>(out.data()) + at, v);
}
template <class T>
std::string encode(const T& v) {
    std::string out;
    encode(v, out);
    return out;
}

// --- decode: reads v from [p, end); returns the position after it, or nullptr -----------------------

template <class T>
inline const u8* get(const u8* p, const u8* end, T& v);

template <class... M>
const u8* getVariant(const u8* p, const u8* end, u8 tag, std::variant<M...>& v) {
    const u8* after = nullptr;
    (void)((M::kTag == tag && (after = get(p, end, v.template emplace<M>()), true)) || ...);
    return after;
}

// Reads a value whose size is known and whose bytes all are values, after the caller found them there.
template <class T>
inline const u8* getFixed(const u8* p, T& v) {
    if constexpr (Scalar<T>) std::memcpy(&v, p, sizeof v);
    else if constexpr (StrongId<T>) std::memcpy(&v.value, p, sizeof v.value);
    else if constexpr (ByteArray<T>) std::memcpy(v.data(), p, v.size());
    else v.fields([p](auto&... f) mutable { ((p = getFixed(p, f)), ...); });
    return p + fixedSize<T>();
}

template <class T>
inline const u8* get(const u8* p, const u8* end, T& v) {
    const std::size_t left = static_cast<std::size_t>(end - p);
    if constexpr (std::is_same_v<T, bool>) {
        if (left < 1 || *p > 1) return nullptr;
        v = *p == 1;
        return p + 1;
    } else if constexpr (fixedSize<T>() != 0 && !needsChecking<T>()) {
        return left < fixedSize<T>() ? nullptr : getFixed(p, v);
    } else if constexpr (std::is_same_v<T, std::string>) {
        u16 n;
        if (!(p = get(p, end, n)) || static_cast<std::size_t>(end - p) < n) return nullptr;
        v.assign(reinterpret_cast<const char*>(p), n);
        return p + n;
    } else if constexpr (std::is_same_v<T, Bytes>) {
        u32 n;
        if (!(p = get(p, end, n)) || n > kMaxBytes || static_cast<std::size_t>(end - p) < n) return nullptr;
        v.value.assign(reinterpret_cast<const char*>(p), n);
        return p + n;
    } else if constexpr (Vector<T>) {
        using E = typename T::value_type;
        u32 n;
        if (!(p = get(p, end, n)) || n > kMaxElements) return nullptr;
        constexpr std::size_t least = fixedSize<E>() != 0 ? fixedSize<E>() : 1;
        if (static_cast<std::size_t>(end - p) / least < n) return nullptr; // a hostile count buys no memory
        v.clear();
        v.reserve(n < 1024 ? n : 1024);
        for (u32 i = 0; i < n && p; i++) p = get(p, end, v.emplace_back());
        return p;
    } else if constexpr (Optional<T>) {
        bool there;
        if (!(p = get(p, end, there))) return nullptr;
        if (!there) {
            v.reset();
            return p;
        }
        return get(p, end, v.emplace());
    } else if constexpr (Variant<T>) {
        return left < 1 ? nullptr : getVariant(p + 1, end, *p, v);
    } else {
        v.fields([&p, end](auto&... f) { (void)((p = get(p, end, f)) && ...); });
        return p;
    }
}

// All of `in` is one T. On false, v holds a part.
template <class T>
[[nodiscard]] bool decode(std::string_view in, T& v) {
    const u8* p = reinterpret_cast<const u8*>(in.data());
    return get(p, p + in.size(), v) == p + in.size();
}

// A row that an older build wrote may end before the fields that came later.
template <Fielded T>
[[nodiscard]] bool decodeRow(std::string_view in, T& v) {
    const u8* p = reinterpret_cast<const u8*>(in.data());
    const u8* const end = p + in.size();
    v.fields([&p, end](auto&... f) { (void)((p == end || (p = get(p, end, f))) && ...); });
    return p == end;
}

// --- proofs at compile time --------------------------------------------------------------------------

struct AnyType {
    template <class T>
    constexpr operator T() const {
        return T{};
    }
};
template <class T, class... A>
consteval std::size_t memberCount() {
    if constexpr (requires { T{A{}..., AnyType{}}; }) return memberCount<T, A..., AnyType>();
    else return sizeof...(A);
}
template <class T>
consteval std::size_t listedCount() {
    return decltype(std::declval<T&>().fields(
        [](auto&... f) { return std::integral_constant<std::size_t, sizeof...(f)>{}; }))::value;
}
// FIELDS names every member.
template <class T>
concept Complete = memberCount<T>() == listedCount<T>();

template <class V>
struct Tags;
template <class... M>
struct Tags<std::variant<M...>> {
    static constexpr bool unique = [] {
        constexpr u8 t[] = {M::kTag...};
        for (std::size_t i = 0; i < sizeof...(M); i++)
            for (std::size_t j = 0; j < i; j++)
                if (t[i] == t[j]) return false;
        return true;
    }();
    static constexpr bool complete = (Complete<M> && ...) && (Complete<typename M::Reply> && ...);
};

} // namespace wire
} // namespace skua
