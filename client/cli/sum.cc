#include "client/cli/sum.h"

#include <xxhash.h>
#include <algorithm>
#include <vector>

namespace skua::cli {

struct Sum::Inner {
    XXH3_state_t* state = XXH3_createState();
    ~Inner() { XXH3_freeState(state); }
};
Sum::Sum() : inner_(std::make_unique<Inner>()) { XXH3_128bits_reset(inner_->state); }
Sum::~Sum() = default;
void Sum::add(std::span<const u8> bytes) { XXH3_128bits_update(inner_->state, bytes.data(), bytes.size()); }
void Sum::addZeros(u64 count) {
    static const std::vector<u8> zeros(1u << 20);
    for (; count > 0; count -= std::min<u64>(count, zeros.size()))
        add({zeros.data(), static_cast<std::size_t>(std::min<u64>(count, zeros.size()))});
}
std::array<u64, 2> Sum::value() const {
    const XXH128_hash_t h = XXH3_128bits_digest(inner_->state);
    return {h.high64, h.low64};
}

} // namespace skua::cli
