// Random values of any message or row, for property tests and fuzz seeds. Deterministic by `rng`.
#pragma once

#include "core/base/random.h"
#include "core/wire/codec.h"

namespace skua::wire {

template <class T>
void randomise(Random& rng, T& v) {
    if constexpr (std::is_same_v<T, bool>) v = rng.oneIn(2);
    else if constexpr (Scalar<T>) v = static_cast<T>(rng.next());
    else if constexpr (StrongId<T>) v.value = static_cast<decltype(v.value)>(rng.next());
    else if constexpr (ByteArray<T>)
        for (auto& b : v) b = static_cast<u8>(rng.next());
    else if constexpr (std::is_same_v<T, std::string>) {
        v.resize(rng.below(64));
        for (auto& c : v) c = static_cast<char>(rng.next());
    } else if constexpr (std::is_same_v<T, Bytes>) randomise(rng, v.value);
    else if constexpr (Vector<T>) {
        v.resize(rng.below(4));
        for (auto& e : v) randomise(rng, e);
    } else if constexpr (Optional<T>) {
        v.reset();
        if (rng.oneIn(2)) randomise(rng, v.emplace());
    } else if constexpr (Variant<T>) {
        auto pick = [&]<std::size_t... I>(std::index_sequence<I...>) {
            const u64 n = rng.below(sizeof...(I));
            (void)((n == I && (randomise(rng, v.template emplace<I>()), true)) || ...);
        };
        pick(std::make_index_sequence<std::variant_size_v<T>>{});
    } else v.fields([&](auto&... f) { (randomise(rng, f), ...); });
}

} // namespace skua::wire
