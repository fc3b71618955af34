// Server: memory of applied entries. Each group keeps its newest for followers that are a little behind (Group::trim);
// all groups of a process together keep no more than a total, however many they are.
#include <algorithm>
#include "core/base/probe.h"
#include "raft/server.h"

namespace skua::raft {

void Server::noteKept(Replica& g) {
    const std::size_t kept = g.group ? g.group->kept() : 0;
    kept_ += kept - g.kept;
    g.kept = kept;
}

// Down to three quarters, so that it is seldom due. Those with most give first: all are cut to one level. Entries
// that a snapshot under way is followed by go last: without them it was for nothing.
void Server::keepWithinTotal(Moment now, Effects& out) {
    PROBE("entries leave the memory, for all groups keep too many");
    for (const bool all : {false, true}) {
        if (all && kept_ <= options_.keep_total_bytes) return;
        std::vector<Replica*> most;
        for (auto& [_, g] : groups_)
            if (g->group && g->kept > 0) most.push_back(g.get());
        std::sort(most.begin(), most.end(),
                  [](const Replica* a, const Replica* b) { return a->kept != b->kept ? a->kept > b->kept : a->id < b->id; });
        // With the `n` largest cut to it, all are as much as they may be.
        const std::size_t aim = options_.keep_total_bytes / 4 * 3;
        std::size_t level = 0, rest = kept_;
        for (std::size_t n = 1; n <= most.size(); n++) {
            rest -= most[n - 1]->kept;
            level = aim > rest ? (aim - rest) / n : 0;
            if (n == most.size() || level >= most[n]->kept) break;
        }
        for (Replica* g : most)
            if (g->kept > level) (void)step(now, *g, Keep{level, all}, out);
    }
}

} // namespace skua::raft
