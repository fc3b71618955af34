// FsckJoin: what crosses groups, for `skua admin fsck`: takes the facts of all shards (shard/invariants.h: a line each) and
// says where they do not fit together (metadata.md, invariants 1, 2 and 3):
//   every name's target is there; a directory has one name, in its parent; every way up ends at the root; links
//   and pins are counted right.
//
// Facts of several shards are never of one moment, so on a cluster at work some seem not to fit. Such a finding is about
// what changed while it was looked at; one that stands in several looks, with the same difference, is a problem:
//
//   FsckJoin join;  for (fact : all facts) join.take(fact);  Findings now = join.findings();  keepCommon(suspicious, now);
//
// Pure. Some 100 bytes of memory per inode.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>
#include "core/base/types.h"

namespace skua::cli {

// What it is about and how far it is off -> in words, with the numbers of this look.
using Findings = std::map<std::string, std::string>;
// Only what is in both stays, in the words of `now`.
void keepCommon(Findings& suspicious, const Findings& now);

class FsckJoin {
public:
    // False: no fact as we know them.
    bool take(std::string_view fact);
    Findings findings() const;
    u64 inodes() const { return nodes_.size(); }

private:
    struct Node {
        i64 nlink = 0, pins = 0;
        u64 parent = 0;
        u64 named_in = 0; // by the last entry that was taken
        u32 entries = 0, pasts = 0, subdirectories = 0;
        bool there = false, closed = false;
    };
    std::unordered_map<u64, Node> nodes_;            // by inode; also of those that are only named
    std::vector<std::pair<u64, u64>> names_, pasts_; // dir, target: of targets that were not there when they were named
};

} // namespace skua::cli
