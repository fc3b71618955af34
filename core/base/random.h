// Random: the generator that is passed in wherever a decision needs luck. xoshiro256** by Blackman
// and Vigna, seeded by splitmix64. Never std:: distributions or shuffles: two builds must agree.
#pragma once

#include <cstddef>
#include "core/base/types.h"

namespace skua {

class Random {
public:
    explicit Random(u64 seed) {
        for (u64& s : state_) {
            u64 z = seed += 0x9E3779B97F4A7C15ull;
            z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
            z = (z ^ z >> 27) * 0x94D049BB133111EBull;
            s = z ^ z >> 31;
        }
    }
    u64 next() {
        auto rotate = [](u64 x, int k) { return x << k | x >> (64 - k); };
        const u64 result = rotate(state_[1] * 5, 7) * 9, t = state_[1] << 17;
        state_[2] ^= state_[0];
        state_[3] ^= state_[1];
        state_[1] ^= state_[2];
        state_[0] ^= state_[3];
        state_[2] ^= t;
        state_[3] = rotate(state_[3], 45);
        return result;
    }
    // 0 .. bound-1; bound 0 gives 0.
    u64 below(u64 bound) { return static_cast<u64>((static_cast<unsigned __int128>(next()) * bound) >> 64); }
    u64 between(u64 low, u64 high) { return low + below(high - low + 1); }
    bool oneIn(u64 n) { return below(n) == 0; }
    template <class V>
    void shuffle(V& v) {
        for (std::size_t i = v.size(); i > 1; i--) std::swap(v[i - 1], v[below(i)]);
    }
    using result_type = u64;

private:
    u64 state_[4];
};

// From the kernel: for ids, nonces and keys of a production process. Never in pure code.
u64 randomFromKernel();
void randomFromKernel(void* to, std::size_t bytes);

} // namespace skua
