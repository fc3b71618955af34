#include "core/data/geometry.h"

#include <gtest/gtest.h>
#include "core/base/random.h"
#include "core/wire/print.h"

namespace skua {
namespace {

// A span cut byte by byte, the slow and obvious way: where each byte of the file is.
struct Naive {
    std::vector<std::pair<u32, u32>> place; // block, offset in block
    u32 block_length = 0;

    Naive(const Geometry& g, u32 length) {
        u32 at = 0;
        while (at < length) {
            const u64 full = static_cast<u64>(g.data) * g.cell;
            const u32 bytes = static_cast<u32>(std::min<u64>(full, length - at));
            u32 cell = g.cell;
            if (bytes < full) {
                cell = 0;
                while (static_cast<u64>(cell) * g.data < bytes) cell += kPage;
            }
            for (u32 i = 0; i < bytes; i++) place.emplace_back(i / cell, block_length + i % cell);
            at += bytes;
            block_length += cell;
        }
    }
};

Geometry randomGeometry(Random& rng) {
    return {static_cast<u8>(rng.between(1, 12)), static_cast<u8>(rng.below(5)), static_cast<u32>(rng.between(1, 4)) * kPage};
}

TEST(Geometry, PutsEveryByteWhereANaiveCutPutsIt) {
    Random rng(1);
    for (int round = 0; round < 300; round++) {
        const Geometry g = randomGeometry(rng);
        const u32 length = static_cast<u32>(rng.between(1, 200'000));
        ASSERT_TRUE(geometry::valid(g, length));
        const Naive naive(g, length);
        ASSERT_EQ(geometry::blockLength(g, length), naive.block_length);
        const u32 from = static_cast<u32>(rng.below(length)), n = static_cast<u32>(rng.between(0, length - from));
        u32 at = from;
        for (const auto& e : geometry::extents(g, length, from, n)) {
            ASSERT_EQ(e.in_span, at);
            ASSERT_GT(e.length, 0u);
            for (u32 i = 0; i < e.length; i++)
                ASSERT_EQ(naive.place[at + i], std::make_pair(e.block, e.in_block + i)) << wire::toString(g) << length;
            at += e.length;
        }
        ASSERT_EQ(at, from + n);
    }
}

TEST(Geometry, StripesCoverTheSpanAndTheBlocksWithoutAGap) {
    Random rng(2);
    for (int round = 0; round < 300; round++) {
        const Geometry g = randomGeometry(rng);
        const u32 length = static_cast<u32>(rng.between(1, 400'000));
        u32 span = 0, block = 0;
        for (u32 i = 0; i < geometry::stripes(g, length); i++) {
            const auto s = geometry::stripe(g, length, i);
            ASSERT_EQ(s.offset, span);
            ASSERT_EQ(s.in_block, block);
            ASSERT_EQ(s.cell % kPage, 0u);
            ASSERT_LE(s.bytes, static_cast<u64>(g.data) * s.cell);
            ASSERT_EQ(geometry::stripeAt(g, length, s.offset).index, i);
            ASSERT_EQ(geometry::stripeAt(g, length, s.offset + s.bytes - 1).index, i);
            ASSERT_EQ(geometry::stripeAtBlockOffset(g, length, s.in_block + s.cell - 1).index, i);
            u32 in_cells = 0;
            for (u32 c = 0; c < g.data; c++) {
                const auto bytes = geometry::cellBytes(g, s, c);
                if (bytes.bytes) { ASSERT_EQ(bytes.in_span, s.offset + in_cells); }
                in_cells += bytes.bytes;
            }
            ASSERT_EQ(in_cells, s.bytes);
            span += s.bytes;
            block += s.cell;
        }
        ASSERT_EQ(span, length);
        ASSERT_EQ(block, geometry::blockLength(g, length));
    }
}

TEST(Geometry, RefusesWhatCannotBe) {
    EXPECT_TRUE(geometry::valid({4, 2, 262144}, 16u << 20));
    EXPECT_FALSE(geometry::valid({0, 2, 262144}, 100)); // a hole has no blocks
    EXPECT_FALSE(geometry::valid({33, 2, 262144}, 100));
    EXPECT_FALSE(geometry::valid({4, 9, 262144}, 100));
    EXPECT_FALSE(geometry::valid({4, 2, 0}, 100));
    EXPECT_FALSE(geometry::valid({4, 2, 1000}, 100));
    EXPECT_FALSE(geometry::valid({4, 2, 262144}, 0));
    EXPECT_FALSE(geometry::valid({1, 2, 262144}, (16u << 20) + 1));
    EXPECT_FALSE(geometry::valid({4, 2, 0xfffff000u}, 100));
    EXPECT_FALSE(geometry::valid({32, 0, 262144}, ~0ull));
}

TEST(Geometry, DefaultSchemesFollowTheNumberOfDomains) {
    auto scheme = [](u32 domains, u64 length) {
        const Geometry g = geometry::choose(geometry::defaultPolicy(domains), length);
        return std::make_pair(int{g.data}, int{g.parity});
    };
    EXPECT_EQ(scheme(1, 1 << 20), std::make_pair(1, 0));
    EXPECT_EQ(scheme(3, 1 << 20), std::make_pair(1, 2));
    EXPECT_EQ(scheme(6, 128 << 10), std::make_pair(1, 2));
    EXPECT_EQ(scheme(6, (128 << 10) + 1), std::make_pair(4, 2));
    EXPECT_EQ(scheme(13, 1 << 20), std::make_pair(4, 2));
    EXPECT_EQ(scheme(14, 1 << 20), std::make_pair(10, 4));
    EXPECT_EQ(geometry::maxSpan(geometry::defaultPolicy(6)), 16u << 20);
    EXPECT_EQ(geometry::maxSpan(geometry::defaultPolicy(14)), 40u << 20);
}

TEST(Geometry, WhateverThePolicySaysTheChoiceIsValid) {
    Random rng(3);
    for (int round = 0; round < 2000; round++) {
        Policy p;
        const u64 steps = rng.below(4);
        for (u64 i = 0; i < steps; i++)
            p.scheme.push_back({rng.below(64u << 20), static_cast<u8>(rng.below(40)), static_cast<u8>(rng.below(12))});
        if (rng.oneIn(2)) p.cell = static_cast<u32>(rng.next() >> rng.between(32, 50));
        if (rng.oneIn(2)) p.span = static_cast<u32>(rng.next());
        const u32 most = geometry::maxSpan(p);
        for (const u64 length : {u64{1}, rng.between(1, most), u64{most}})
            ASSERT_TRUE(geometry::valid(geometry::choose(p, length), length));
    }
}

TEST(Geometry, InheritsWhatIsNotSet) {
    const Policy parent = geometry::defaultPolicy(6);
    Policy own;
    EXPECT_EQ(geometry::inherit(own, parent), parent);
    own.scheme.push_back({~0ull, 2, 1});
    const Policy child = geometry::inherit(own, parent);
    EXPECT_EQ(geometry::maxSpan(child), 8u << 20);
    EXPECT_EQ(child.cell, parent.cell);
    EXPECT_EQ(geometry::objection(child), "");
    own.scheme.push_back({5, 2, 1});
    EXPECT_NE(geometry::objection(own), "");
}

} // namespace
} // namespace skua
