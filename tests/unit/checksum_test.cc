#include "core/data/checksum.h"

#include <gtest/gtest.h>
#include "core/base/random.h"
#include "core/data/receipt.h"
#include "core/wire/arbitrary.h"

namespace skua {
namespace {

const BlockId kBlock{ContentId::make(5, ShardId{1}), ReservationId{7}, 3};

std::vector<u8> randomPages(std::size_t pages, u64 seed) {
    Random rng(seed);
    std::vector<u8> out(pages * kPage);
    for (auto& b : out) b = static_cast<u8>(rng.next());
    return out;
}
std::vector<u64> sumsOf(const BlockId& id, const std::vector<u8>& data) {
    std::vector<u64> sums(data.size() / kPage);
    makePageSums(id, 0, data.data(), sums);
    return sums;
}

TEST(Checksum, IsXxh3) {
    EXPECT_EQ(plainSum("", 0), 0x2D06800538D394C2ull); // XXH3-64 of nothing, by its specification
    EXPECT_EQ(plainSum("abc", 3), 0x78AF5F94892F3950ull);
}

TEST(Checksum, EveryChangedBitOfAPageIsSeen) {
    auto data = randomPages(2, 1);
    const auto sums = sumsOf(kBlock, data);
    EXPECT_EQ(firstBadPage(kBlock, 0, data.data(), sums), 2u);
    for (std::size_t bit = 0; bit < 2 * kPage * 8; bit += 61) {
        data[bit / 8] ^= static_cast<u8>(1 << bit % 8);
        ASSERT_EQ(firstBadPage(kBlock, 0, data.data(), sums), bit / 8 / kPage);
        data[bit / 8] ^= static_cast<u8>(1 << bit % 8);
    }
}

TEST(Checksum, ARightPageInAWrongPlaceIsWrong) {
    const auto data = randomPages(1, 2);
    const auto sums = sumsOf(kBlock, data);
    EXPECT_EQ(firstBadPage(kBlock, 1, data.data(), sums), 0u);
    for (const BlockId& other : {BlockId{ContentId{kBlock.content.value + 1}, kBlock.reservation, kBlock.n},
                                 BlockId{kBlock.content, ReservationId{8}, kBlock.n},
                                 BlockId{kBlock.content, kBlock.reservation, 4}, BlockId{kBlock.content, ReservationId{3}, 7}})
        EXPECT_EQ(firstBadPage(other, 0, data.data(), sums), 0u);
}

TEST(Checksum, RelabelGivesTheSumsOfAnotherBlockWithTheSameBytes) {
    const auto data = randomPages(9, 3);
    const BlockId other{kBlock.content, kBlock.reservation, 99};
    auto sums = sumsOf(kBlock, data);
    const u64 whole = blockSum(kBlock, sums);
    relabel(sums, 0, kBlock, other);
    EXPECT_EQ(sums, sumsOf(other, data));
    EXPECT_EQ(blockSum(other, sums), whole); // the block's sum does not know its id
}

TEST(Checksum, ABlocksSumDoesNotHangOnTheOrderInWhichPiecesCame) {
    const auto data = randomPages(10, 4);
    const auto sums = sumsOf(kBlock, data);
    BlockSummer back(kBlock);
    back.add(4, std::span(sums).subspan(4));
    back.add(0, std::span(sums).first(4));
    EXPECT_EQ(back.sum(), blockSum(kBlock, sums));
    EXPECT_EQ(back.pageSums(), sums);
    auto swapped = data;
    std::swap_ranges(swapped.begin(), swapped.begin() + kPage, swapped.begin() + kPage);
    EXPECT_NE(blockSum(kBlock, sumsOf(kBlock, swapped)), back.sum());
}

TEST(Receipt, HoldsOnlyUnchangedAndUnderItsServicesKey) {
    MacKey key{}, other{};
    other[5] = 1;
    Receipt r{BlockServiceId{3}, Incarnation{1}, kBlock, 8192, 77, {}};
    EXPECT_FALSE(receiptHolds(key, r));
    sealReceipt(key, r);
    EXPECT_TRUE(receiptHolds(key, r));
    EXPECT_FALSE(receiptHolds(other, r));
    Random rng(1);
    std::string bytes = wire::encode(r);
    for (std::size_t i = 0; i < bytes.size(); i++) {
        std::string forged = bytes;
        forged[i] = static_cast<char>(forged[i] ^ (1 + rng.below(255)));
        Receipt f;
        ASSERT_TRUE(wire::decode(forged, f));
        EXPECT_FALSE(receiptHolds(key, f)) << "byte " << i;
    }
}

TEST(ReadKey, OpensOneContent) {
    MacKey key{};
    const ReadKey k = readKeyOf(key, kBlock.content);
    EXPECT_TRUE(readKeyHolds(key, kBlock.content, k));
    EXPECT_FALSE(readKeyHolds(key, ContentId{kBlock.content.value + 1}, k));
    EXPECT_FALSE(readKeyHolds(key, kBlock.content, ReadKey{}));
}

} // namespace
} // namespace skua
