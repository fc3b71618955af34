// FIELDS: says a struct's members once; codec, keys, printing, equality and random values follow.
//
// The order is the order on the wire and on disk. Never reorder or remove; add at the end.
#pragma once

#include <string_view>
#include <utility>

#define FIELDS(...)                                                                                                       \
    static constexpr std::string_view kFieldNames = #__VA_ARGS__;                                                         \
    template <class F>                                                                                                    \
    constexpr decltype(auto) fields(F&& f) {                                                                              \
        return f(__VA_ARGS__);                                                                                            \
    }                                                                                                                     \
    template <class F>                                                                                                    \
    constexpr decltype(auto) fields(F&& f) const {                                                                        \
        return f(__VA_ARGS__);                                                                                            \
    }                                                                                                                     \
    template <class SkuaOther>                                                                                            \
    constexpr bool operator==(const SkuaOther& other) const {                                                             \
        return fields(                                                                                                    \
            [&](const auto&... x) { return other.fields([&](const auto&... y) { return (true && ... && (x == y)); }); }); \
    }

namespace skua {
template <class T>
concept Fielded = requires { T::kFieldNames; };
} // namespace skua
