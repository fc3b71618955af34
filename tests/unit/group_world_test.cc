// A group under every fault at once, seed by seed (group_world.h). RUNS=n SEED=n TRACE=1 in the environment.
#include "tests/unit/group_world.h"
#include <gtest/gtest.h>
#include <cstdlib>

namespace skua::raft {
namespace {

u64 environment(const char* name, u64 otherwise) {
    const char* value = std::getenv(name);
    return value ? std::strtoull(value, nullptr, 10) : otherwise;
}

TEST(GroupWorld, KeepsItsPromisesWhateverFails) {
    GroupWorld::Counts all;
    const u64 first = environment("SEED", 1), runs = environment("RUNS", 600);
    for (u64 seed = first; seed < first + runs; seed++) {
        GroupWorld world(seed, environment("TRACE", 0) != 0);
        const std::string wrong = world.run();
        ASSERT_EQ(wrong, "") << "again: SEED=" << seed << " RUNS=1 TRACE=1";
        all.add(world.counts());
    }
    std::printf(
        "runs=%llu events=%llu messages=%llu acknowledged=%llu fewest=%llu reads=%llu elections=%llu crashes=%llu snapshots=%llu "
        "members=%llu wiped=%llu transfers=%llu\n",
        (unsigned long long)runs, (unsigned long long)all.events, (unsigned long long)all.messages, (unsigned long long)all.acked,
        (unsigned long long)all.lowest, (unsigned long long)all.reads, (unsigned long long)all.elections,
        (unsigned long long)all.crashes, (unsigned long long)all.snapshots, (unsigned long long)all.members,
        (unsigned long long)all.wiped, (unsigned long long)all.transfers);
    if (runs < 100) return;
    // It was not all quiet.
    EXPECT_GT(all.snapshots, runs / 4);
    EXPECT_GT(all.members, runs);
    EXPECT_GT(all.elections, runs);
    EXPECT_GT(all.transfers, runs / 8);
}

} // namespace
} // namespace skua::raft
