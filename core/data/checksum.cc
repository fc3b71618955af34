#include "core/data/checksum.h"

#include <xxh_x86dispatch.h> // after xxhash.h: the entry points that look at the processor
#include <xxhash.h>
#include <array>

namespace skua {

u64 plainSum(const void* bytes, std::size_t size) { return XXH3_64bits_dispatch(bytes, size); }

u64 zeroPageSum() {
    static const u64 sum = [] {
        const std::array<u8, kPage> zeros{};
        return plainSum(zeros.data(), zeros.size());
    }();
    return sum;
}

BlockMix::BlockMix(const BlockId& id) {
    u64 z = id.content.value * 0x9E3779B97F4A7C15ull;
    for (const u64 part : {static_cast<u64>(id.reservation.value), static_cast<u64>(id.n)}) {
        z = (z ^ z >> 29 ^ part) * 0xBF58476D1CE4E5B9ull;
        z = (z ^ z >> 32) * 0x94D049BB133111EBull;
    }
    base_ = z ^ z >> 31;
}

void makePageSums(const BlockId& id, u32 first, const u8* data, std::span<u64> sums) {
    const BlockMix mix(id);
    for (std::size_t i = 0; i < sums.size(); i++) sums[i] = plainSum(data + i * kPage, kPage) ^ mix(first + static_cast<u32>(i));
}

std::size_t firstBadPage(const BlockId& id, u32 first, const u8* data, std::span<const u64> sums) {
    const BlockMix mix(id);
    for (std::size_t i = 0; i < sums.size(); i++)
        if (sums[i] != (plainSum(data + i * kPage, kPage) ^ mix(first + static_cast<u32>(i)))) return i;
    return sums.size();
}

void relabel(std::span<u64> sums, u32 first, const BlockId& from, const BlockId& to) {
    const BlockMix old_mix(from), new_mix(to);
    for (std::size_t i = 0; i < sums.size(); i++) {
        const u32 page = first + static_cast<u32>(i);
        sums[i] ^= old_mix(page) ^ new_mix(page);
    }
}

void BlockSummer::add(u32 first, std::span<const u64> page_sums) {
    if (plain_.size() < first + page_sums.size()) plain_.resize(first + page_sums.size());
    for (std::size_t i = 0; i < page_sums.size(); i++) plain_[first + i] = page_sums[i] ^ mix_(first + static_cast<u32>(i));
}

u64 BlockSummer::sum() const { return plainSum(plain_.data(), plain_.size() * sizeof(u64)); }

std::vector<u64> BlockSummer::pageSums() const {
    std::vector<u64> out(plain_);
    for (std::size_t i = 0; i < out.size(); i++) out[i] ^= mix_(static_cast<u32>(i));
    return out;
}

u64 blockSum(const BlockId& id, std::span<const u64> page_sums) {
    BlockSummer summer(id);
    summer.add(0, page_sums);
    return summer.sum();
}

} // namespace skua
