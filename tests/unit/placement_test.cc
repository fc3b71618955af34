#include "core/data/placement.h"

#include <gtest/gtest.h>
#include <map>
#include <set>

namespace skua {
namespace {

Candidate at(u32 service, const char* domain, u64 free = 100ull << 30) {
    return {BlockServiceId{service}, domain, free, true, 0, ""};
}

std::vector<u32> services(const std::vector<Candidate>& all, const std::vector<std::size_t>& chosen) {
    std::vector<u32> out;
    for (const auto i : chosen) out.push_back(all[i].service.value);
    return out;
}

TEST(Placement, NoTwoBlocksShareAFailureDomain) {
    Random rng(1);
    std::vector<Candidate> all;
    const char* domains[] = {"a", "b", "c", "d", "e", "f", "g"};
    for (u32 i = 0; i < 21; i++) all.push_back(at(i + 1, domains[i % 7]));
    for (int round = 0; round < 200; round++) {
        std::set<std::string> seen;
        for (const auto i : place(all, {6, 4096, "", {}, {}}, rng)) EXPECT_TRUE(seen.insert(all[i].domain).second);
        EXPECT_EQ(seen.size(), 6u);
    }
}

TEST(Placement, GivesFewerWhereThereAreNoMore) {
    Random rng(1);
    std::vector<Candidate> all{at(1, "a"), at(2, "a"), at(3, "b"), at(4, "c", 1000), at(5, "d")};
    all[4].writable = false;
    const auto chosen = place(all, {6, 4096, "", {}, {}}, rng);
    EXPECT_EQ(chosen.size(), 2u);
    EXPECT_EQ(writableDomains(all), 3u);
    EXPECT_TRUE(place({}, {6, 4096, "", {}, {}}, rng).empty());
}

TEST(Placement, AReplacementKeepsAwayFromTheSpansOtherDomainsAndFromTheFailedService) {
    Random rng(1);
    const std::vector<Candidate> all{at(1, "a"), at(2, "b"), at(3, "b"), at(4, "c"), at(5, "c")};
    for (int round = 0; round < 50; round++)
        EXPECT_EQ(services(all, place(all, {1, 4096, "", {BlockServiceId{1}, BlockServiceId{2}}, {BlockServiceId{4}}}, rng)),
                  (std::vector<u32>{5}));
}

TEST(Placement, EmptierDomainsGetMore) {
    Random rng(5);
    const std::vector<Candidate> all{at(1, "a", 300ull << 30), at(2, "b", 100ull << 30)};
    std::map<u32, int> count;
    for (int round = 0; round < 4000; round++) count[services(all, place(all, {1, 4096, "", {}, {}}, rng))[0]]++;
    EXPECT_NEAR(count[1], 3000, 150);
}

TEST(Placement, SlowServicesGetLess) {
    Random rng(5);
    std::vector<Candidate> all{at(1, "a"), at(2, "b")};
    all[0].latency_ns = kMillisecond;
    all[1].latency_ns = 50 * kMillisecond;
    std::map<u32, int> count;
    for (int round = 0; round < 4000; round++) count[services(all, place(all, {1, 4096, "", {}, {}}, rng))[0]]++;
    EXPECT_NEAR(count[1], 3000, 150); // it loses whenever both are drawn
    EXPECT_GT(count[2], 500);         // and is still asked now and then
}

TEST(Placement, AClassIsPreferredAndNotInsistedOn) {
    Random rng(5);
    std::vector<Candidate> all{at(1, "a"), at(2, "b"), at(3, "c")};
    all[1].disk_class = "ssd";
    auto chosen = services(all, place(all, {2, 4096, "ssd", {}, {}}, rng));
    EXPECT_EQ(chosen[0], 2u);
    EXPECT_EQ(chosen.size(), 2u);
}

TEST(Placement, TheSameLuckGivesTheSameChoiceWhateverTheOrderOfCandidates) {
    std::vector<Candidate> all{at(1, "a"), at(2, "b"), at(3, "c"), at(4, "a")}, turned(all.rbegin(), all.rend());
    for (u64 seed = 0; seed < 50; seed++) {
        Random one(seed), two(seed);
        EXPECT_EQ(services(all, place(all, {2, 4096, "", {}, {}}, one)),
                  services(turned, place(turned, {2, 4096, "", {}, {}}, two)));
    }
}

} // namespace
} // namespace skua
