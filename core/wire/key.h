// Ordered keys: the order of the bytes is the order of the fields.
//
//   integers, enums, strong ids   big-endian, fixed width (unsigned only)
//   std::string                   its bytes; inside a key they end with NUL (so hold none), at the
//                                 end of a key they end with the key
//   Newest                        a number's complement: the larger come first
//
// decodeKey() is exact: true only if all bytes are used. Thread-safety: free functions.
#pragma once

#include <string>
#include <string_view>
#include "core/base/fields.h"
#include "core/base/types.h"
#include "core/wire/codec.h"

namespace skua::wire {

template <class T>
void putKey(std::string& out, const T& v, bool last = true) {
    if constexpr (Scalar<T>) {
        static_assert(std::is_enum_v<T> || std::is_unsigned_v<T>);
        for (int s = 8 * (static_cast<int>(sizeof v) - 1); s >= 0; s -= 8)
            out.push_back(static_cast<char>(static_cast<u64>(v) >> s));
    } else if constexpr (StrongId<T>) putKey(out, v.value, last);
    else if constexpr (std::is_same_v<T, std::string>) {
        out += v;
        if (!last) out.push_back('\0');
    } else {
        constexpr std::size_t n = listedCount<T>();
        v.fields([&](const auto&... f) {
            std::size_t i = 0;
            (putKey(out, f, last && ++i == n), ...);
        });
    }
}

template <class T>
const char* getKey(const char* p, const char* end, T& v, bool last = true) {
    if constexpr (Scalar<T>) {
        if (static_cast<std::size_t>(end - p) < sizeof v) return nullptr;
        u64 x = 0;
        for (std::size_t i = 0; i < sizeof v; i++) x = x << 8 | static_cast<u8>(p[i]);
        v = static_cast<T>(x);
        return p + sizeof v;
    } else if constexpr (StrongId<T>) return getKey(p, end, v.value, last);
    else if constexpr (std::is_same_v<T, std::string>) {
        if (last) {
            v.assign(p, end);
            return end;
        }
        const char* nul = static_cast<const char*>(std::memchr(p, 0, static_cast<std::size_t>(end - p)));
        if (!nul) return nullptr;
        v.assign(p, nul);
        return nul + 1;
    } else {
        constexpr std::size_t n = listedCount<T>();
        v.fields([&](auto&... f) {
            std::size_t i = 0;
            (void)((p = getKey(p, end, f, last && ++i == n)) && ...);
        });
        return p;
    }
}

// A number whose larger values come first in key order (~wall: the newest first).
struct Newest {
    using strong_id = void;
    u64 value{}; // as stored: the complement
    static constexpr Newest of(u64 v) { return {~v}; }
    static constexpr Newest of(Wall w) { return {~w.value}; }
    constexpr Wall wall() const { return {~value}; }
    friend constexpr auto operator<=>(const Newest&, const Newest&) = default;
};

template <class T>
[[nodiscard]] bool decodeKey(std::string_view in, T& v) {
    return getKey(in.data(), in.data() + in.size(), v) == in.data() + in.size();
}

// The first key after all that begin with `prefix`; empty if there is none.
inline std::string afterPrefix(std::string prefix) {
    while (!prefix.empty() && static_cast<u8>(prefix.back()) == 0xff) prefix.pop_back();
    if (!prefix.empty()) prefix.back()++;
    return prefix;
}

} // namespace skua::wire
