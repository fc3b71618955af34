// `skua admin fsck`: what crosses shards is found, and what only changed while it was looked at is not.
#include <gtest/gtest.h>
#include <algorithm>
#include "client/cli/fsck_join.h"

namespace skua::cli {
namespace {

// A small tree of facts: root / a (directory on another shard) / f, f also in the root; a past name of f.
const InodeId kA = InodeId::make(InodeType::kDirectory, 5, ShardId{1}), kB = InodeId::make(InodeType::kDirectory, 6, ShardId{2}),
              kF = InodeId::make(InodeType::kFile, 7, ShardId{1});
std::string inode(InodeId i, int nlink, int pins, InodeId parent = {}, bool closed = false) {
    return "inode " + std::to_string(i.value) + " " + std::to_string(nlink) + " " + std::to_string(pins) + " " +
           std::to_string(parent.value) + (closed ? " 1" : " 0");
}
std::string name(const char* kind, InodeId dir, InodeId target) {
    return std::string(kind) + " " + std::to_string(dir.value) + " " + std::to_string(target.value);
}
const std::vector<std::string> kSound{
    inode(kRoot, 3, 0, kRoot), inode(kA, 3, 0, kRoot),   inode(kB, 2, 0, kA),   inode(kF, 2, 1),      name("entry", kRoot, kA),
    name("entry", kA, kB),     name("entry", kRoot, kF), name("entry", kA, kF), name("past", kB, kF), "busy 1",
};

Findings findingsOf(std::vector<std::string> facts, bool backwards = false) {
    FsckJoin join;
    if (backwards) std::reverse(facts.begin(), facts.end());
    for (const auto& f : facts) EXPECT_TRUE(join.take(f)) << f;
    return join.findings();
}
// The one finding when `from` is replaced by `to` ("": left out).
std::string after(const std::string& from, const std::string& to) {
    auto facts = kSound;
    auto at = std::find(facts.begin(), facts.end(), from);
    EXPECT_NE(at, facts.end());
    if (to.empty()) facts.erase(at);
    else *at = to;
    std::string all;
    EXPECT_EQ(findingsOf(facts), findingsOf(facts, true)) << "the order of the facts matters";
    for (const auto& [_, words] : findingsOf(facts)) all += words + "; ";
    return all;
}

TEST(Fsck, ASoundTreeHasNoFindingsInWhateverOrderItIsTold) {
    EXPECT_EQ(findingsOf(kSound), Findings{});
    EXPECT_EQ(findingsOf(kSound, true), Findings{});
}

TEST(Fsck, EveryWayInWhichShardsMayDisagreeIsFound) {
    EXPECT_NE(after(inode(kF, 2, 1), inode(kF, 3, 1)).find("has 3 links and 2 names"), std::string::npos);
    EXPECT_NE(after(inode(kF, 2, 1), inode(kF, 2, 0)).find("has 0 pins and 1 past entries"), std::string::npos);
    EXPECT_NE(after(inode(kF, 2, 1), "").find("which is not there"), std::string::npos);
    EXPECT_NE(after(inode(kA, 3, 0, kRoot), inode(kA, 2, 0, kRoot)).find("has 2 links and 1 subdirectories"), std::string::npos);
    EXPECT_NE(after(name("entry", kRoot, kA), "").find("has 0 names"), std::string::npos);
    EXPECT_NE(after(inode(kB, 2, 0, kA), inode(kB, 2, 0, kRoot)).find("its parent is"), std::string::npos);
    EXPECT_NE(after(inode(kA, 3, 0, kRoot), inode(kA, 3, 0, kRoot, true)).find("which is removed, has 1 names"),
              std::string::npos);
    const std::string circle = after(inode(kA, 3, 0, kRoot), inode(kA, 3, 0, kB));
    EXPECT_NE(circle.find("directory " + std::to_string(kA.value) + " does not lead up to the root"), std::string::npos)
        << circle;
    EXPECT_NE(circle.find("directory " + std::to_string(kB.value) + " does not lead up to the root"), std::string::npos)
        << circle;
}

TEST(Fsck, WhatChangedBetweenTwoLooksIsNoProblem) {
    auto one = kSound, two = kSound, three = kSound;
    *std::find(one.begin(), one.end(), inode(kF, 2, 1)) = inode(kF, 3, 1); // a link is being made
    *std::find(two.begin(), two.end(), inode(kF, 2, 1)) = inode(kF, 1, 1); // one is being removed
    Findings suspicious = findingsOf(one);
    EXPECT_EQ(suspicious.size(), 1u);
    keepCommon(suspicious, findingsOf(two));
    EXPECT_TRUE(suspicious.empty());
    // The same difference again and again stays, whatever else happens to the inode.
    suspicious = findingsOf(one);
    three.push_back(name("entry", kB, kF));
    *std::find(three.begin(), three.end(), inode(kF, 2, 1)) = inode(kF, 4, 1);
    keepCommon(suspicious, findingsOf(three));
    ASSERT_EQ(suspicious.size(), 1u);
    EXPECT_NE(suspicious.begin()->second.find("has 4 links and 3 names"), std::string::npos);
}

TEST(Fsck, WhatIsNoFactIsRefused) {
    FsckJoin join;
    for (const char* fact : {"", "inode", "inode 1 2", "inode 1 2 3 4 5 6", "entry 1", "entry 1 x", "entry  1 2", "nonsense 1 2"})
        EXPECT_FALSE(join.take(fact)) << fact;
}

} // namespace
} // namespace skua::cli
