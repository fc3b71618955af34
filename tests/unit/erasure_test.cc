#include "core/data/erasure.h"

#include <gtest/gtest.h>
#include <bit>
#include "core/base/random.h"

namespace skua {
namespace {

struct Cells {
    std::vector<std::vector<u8>> bytes;
    std::vector<u8*> at;
    Cells(u32 count, std::size_t size) : bytes(count, std::vector<u8>(size)) {
        for (auto& b : bytes) at.push_back(b.data());
    }
};

Cells encoded(u32 data, u32 parity, std::size_t size, u64 seed) {
    Random rng(seed);
    Cells c(data + parity, size);
    for (u32 i = 0; i < data; i++)
        for (auto& b : c.bytes[i]) b = static_cast<u8>(rng.next());
    Erasure::of(data, parity).encode(c.at.data(), c.at.data() + data, size);
    return c;
}

TEST(Erasure, EveryLossThatCanBeSurvivedIsSurvivedUpToFourPlusFour) {
    for (u32 data = 1; data <= 4; data++)
        for (u32 parity = 0; parity <= 4; parity++) {
            const Cells whole = encoded(data, parity, 160, data * 10 + parity);
            const u64 all = (1ull << (data + parity)) - 1;
            for (u64 have = 0; have <= all; have++) {
                Cells c = whole;
                for (u32 i = 0; i < data + parity; i++) {
                    c.at[i] = c.bytes[i].data();
                    if (!(have >> i & 1)) c.bytes[i].assign(160, 0xee);
                }
                const bool enough = std::popcount(have) >= static_cast<int>(data);
                ASSERT_EQ(Erasure::of(data, parity).decode(have, all, c.at.data(), 160), enough || have == all);
                if (enough) { ASSERT_EQ(c.bytes, whole.bytes) << data << "+" << parity << " have " << have; }
            }
        }
}

TEST(Erasure, WideSchemesSurviveRandomLosses) {
    Random rng(7);
    for (const auto& [data, parity] : {std::pair{10u, 4u}, {32u, 8u}, {20u, 3u}, {6u, 6u}}) {
        const Cells whole = encoded(data, parity, 4096, data);
        for (int round = 0; round < 50; round++) {
            Cells c = whole;
            for (u32 i = 0; i < c.at.size(); i++) c.at[i] = c.bytes[i].data();
            std::vector<u32> order(data + parity);
            for (u32 i = 0; i < order.size(); i++) order[i] = i;
            rng.shuffle(order);
            u64 have = (1ull << (data + parity)) - 1;
            for (u32 i = 0; i < parity; i++) {
                have &= ~(1ull << order[i]);
                c.bytes[order[i]].assign(4096, 0);
            }
            ASSERT_TRUE(Erasure::of(data, parity).decode(have, ~have, c.at.data(), 4096));
            ASSERT_EQ(c.bytes, whole.bytes);
        }
    }
}

TEST(Erasure, WritesOnlyWhatIsWanted) {
    Cells c = encoded(4, 2, 64, 1);
    const auto first = c.bytes[0];
    c.bytes[0].assign(64, 0);
    c.bytes[1].assign(64, 0);
    c.at[1] = nullptr;
    ASSERT_TRUE(Erasure::of(4, 2).decode(0b111100, 0b000001, c.at.data(), 64));
    EXPECT_EQ(c.bytes[0], first);
    EXPECT_EQ(c.bytes[1], std::vector<u8>(64, 0));
}

TEST(Erasure, OneDataCellIsCopied) {
    const Cells c = encoded(1, 2, 64, 1);
    EXPECT_EQ(c.bytes[0], c.bytes[1]);
    EXPECT_EQ(c.bytes[0], c.bytes[2]);
}

} // namespace
} // namespace skua
