#include "tests/sim/verify.h"

#include <algorithm>
#include <set>
#include "cdc/schema.h"
#include "cdc/state.h"
#include "registry/state.h"
#include "shard/contents.h"
#include "shard/invariants.h"

namespace skua::sim {

namespace {

std::vector<store::Prefixed> shardRows(Cluster& cluster) {
    std::vector<store::Prefixed> all;
    for (u16 s = 0; s < cluster.config.shards; s++) {
        (void)cluster.hostOf(groupOf(ShardId{s}));
        all.push_back(cluster.rows(groupOf(ShardId{s})));
    }
    return all;
}

template <class Table>
u64 countOf(const store::Reader& rows) {
    u64 n = 0;
    Table::scan(rows, typename Table::All{}, [&](const auto&, const auto&) {
        n++;
        return true;
    });
    return n;
}

// Every block that a span has, and where.
std::map<std::pair<BlockServiceId, BlockId>, u64> referenced(const store::Reader& rows) {
    std::map<std::pair<BlockServiceId, BlockId>, u64> all;
    shard::SpanRows::scan(rows, shard::SpanRows::All{}, [&](const shard::SpanKey&, const SpanRecord& s) {
        for (const BlockRef& b : s.blocks)
            if (b.service.value != 0) all[{b.service, b.id}] = b.sum;
        return true;
    });
    return all;
}

} // namespace

bool atRest(Cluster& cluster) {
    for (const auto& m : cluster.machines)
        if (!m->up()) return false;
    for (const GroupId group : cluster.groups())
        if (!cluster.leaderOf(group)) return false;
    if (countOf<cdc::Txns>(cluster.rows(kCoordinatorGroup)) != 0) return false;
    for (u16 s = 0; s < cluster.config.shards; s++)
        if (countOf<shard::Outbox>(cluster.rows(groupOf(ShardId{s}))) != 0) return false;
    return true;
}

std::string whoIsBehind(Cluster& cluster) {
    for (const GroupId group : cluster.groups()) {
        const Index last = cluster.witness.last[group.value];
        const auto members = cluster.membersOf(group);
        if (members.size() != cluster.replicas) return fmt::format("group {} has {} members", group.value, members.size());
        for (const raft::Member& member : members) {
            if (!cluster.has(member)) return fmt::format("group {} has a member that lost its folder", group.value);
            const Machine& m = cluster.machineOf(member);
            const std::string who = fmt::format("group {} on {}: ", group.value, m.name);
            if (!m.up()) return who + "down";
            const raft::Group* g = m.life->server().group(group);
            if (!g) return who + "not there";
            if (g->applied() < last)
                return who + fmt::format("applied={} of {}, last={} base={} term={} leader={} needs_rows={}", g->applied().value,
                                         last.value, g->log().last().value, g->log().base().index.value, g->term().value,
                                         g->leader().server.value, g->needsRows());
        }
    }
    for (const auto& m : cluster.machines) {
        std::map<GroupId, Index> all;
        (void)m->life->settle();
        cluster.witness.compare(cluster.world, m->life->server(), m->kv, all);
    }
    return {};
}

void verifyInvariants(Cluster& cluster) {
    World& world = cluster.world;
    auto none = [&](const std::string& where, const std::vector<std::string>& problems) {
        if (problems.empty()) return;
        std::string all = where;
        for (const auto& p : problems) all += "\n  " + p;
        world.fail(all);
    };
    none("registry", registry::problems(cluster.rows(kRegistryGroup)));
    const auto coordinator = cluster.rows(kCoordinatorGroup);
    none("coordinator", cdc::problems(coordinator));
    const auto shards = shardRows(cluster);
    std::vector<const store::Reader*> readers;
    for (u16 s = 0; s < cluster.config.shards; s++) {
        const auto& rows = shards[s];
        readers.push_back(&rows);
        none("shard " + std::to_string(s), shard::invariants::checkShard(rows));
        // 8. No lock outlives its transaction; there is none any more.
        shard::Entries::scan(rows, shard::Entries::All{}, [&](const shard::EntryKey& key, const shard::Entry& row) {
            if (row.lock != TxnId{})
                world.fail(fmt::format("name {} of directory {:x} is locked by txn {}, which has ended", key.name, key.dir.value,
                                       row.lock.value));
            return true;
        });
        shard::PastEntries::scan(
            rows, shard::PastEntries::All{}, [&](const shard::PastEntryKey& key, const shard::PastEntryRow& row) {
                if (row.lock != TxnId{})
                    world.fail(fmt::format("past name {} is locked by txn {}, which has ended", key.name, row.lock.value));
                return true;
            });
        for (const auto& [block, sum] : referenced(rows)) {
            const auto& [service, id] = block;
            bool there = false;
            for (const auto& m : cluster.services) there = there || (m->service == service && m->has(id, sum));
            if (!there)
                world.fail(fmt::format("block {}/{} of content {:x} is referenced and not on service {}", id.reservation.value,
                                       id.n, id.content.value, service.value));
        }
    }
    none("across shards", shard::invariants::checkAcross(readers));
}

void verifyTree(Cluster& cluster, Arena& arena) {
    World& world = cluster.world;
    Checker& checker = arena.checker;
    checker.settle();
    const auto shards = shardRows(cluster);
    std::vector<InodeId> dirs{arena.root};
    std::set<InodeId> inodes;
    while (!dirs.empty()) {
        const InodeId dir = dirs.back();
        dirs.pop_back();
        Op op;
        op.kind = Kind::kReadDir;
        op.dir = dir;
        Heard heard;
        shard::Entries::scan(shards[dir.shard().value], shard::DirPrefix{dir},
                             [&](const shard::EntryKey& key, const shard::Entry& row) {
                                 heard.names.emplace_back(key.name, row.target);
                                 if (row.target.isDirectory()) dirs.push_back(row.target);
                                 else inodes.insert(row.target);
                                 return true;
                             });
        std::sort(heard.names.begin(), heard.names.end());
        checker.observe(std::move(op), heard);
    }
    for (const InodeId inode : inodes) {
        const auto& rows = shards[inode.shard().value];
        const auto row = shard::Inodes::get(rows, {inode});
        if (!row) world.fail(fmt::format("inode {:x} has a name and no row", inode.value));
        Op op;
        op.inode = inode;
        Heard heard;
        heard.detail = attributesText(inode.type(), row->mode, row->size, row->content.value, row->generation.value);
        op.kind = Kind::kGetAttr;
        if (inode.isFile()) {
            shard::Open::Reply open;
            open.attributes.size = row->size;
            open.inline_bytes = row->inline_bytes;
            if (!row->inline_bytes) (void)shard::contents::readSpans(rows, row->content, 0, 4096, open.spans);
            heard.detail += " " + show(dataOf(open));
            op.kind = Kind::kOpen;
        }
        checker.observe(op, heard);
        op.kind = Kind::kListXattr;
        heard.detail.clear();
        for (const shard::Xattr& x : row->xattrs) heard.detail += x.name + "=" + x.value.value + " ";
        checker.observe(op, heard);
        const u32 links = checker.linksOf(inode);
        if (row->nlink != static_cast<i32>(links))
            world.fail(fmt::format("inode {:x} has nlink {} and {} names", inode.value, row->nlink, links));
    }
}

void verifyNothingLeft(Cluster& cluster) {
    World& world = cluster.world;
    const auto shards = shardRows(cluster);
    std::map<std::pair<BlockServiceId, BlockId>, u64> wanted;
    for (u16 s = 0; s < cluster.config.shards; s++) {
        const auto& rows = shards[s];
        auto zero = [&](const std::string& what, u64 n) {
            if (n != 0) world.fail(fmt::format("shard {} still has {} {}", s, n, what));
        };
        zero("past entries", countOf<shard::PastEntries>(rows));
        zero("past contents", countOf<shard::PastContentRows>(rows));
        zero("garbage rows", countOf<shard::Garbage>(rows));
        zero("staged contents", countOf<shard::Staged>(rows));
        zero("holds", countOf<shard::Holds>(rows));
        zero("reservations", countOf<shard::Reservations>(rows));
        zero("used ids", countOf<shard::Used>(rows));
        zero("replaced blocks", countOf<shard::Replaced>(rows));
        zero("things to expire", countOf<shard::Expiries>(rows));
        shard::Inodes::scan(rows, shard::Inodes::All{}, [&](const shard::InodeKey& key, const shard::Inode& row) {
            if (row.directory ? row.directory->closed : row.nlink <= 0)
                world.fail(fmt::format("inode {:x} has no name and is still there", key.inode.value));
            return true;
        });
        wanted.merge(referenced(rows));
    }
    for (const auto& service : cluster.services)
        for (const auto& [id, block] : service->blocks)
            if (!wanted.contains({service->service, id}))
                world.fail(fmt::format("{} still has block {}/{} of content {:x}, which nothing names", service->name,
                                       id.reservation.value, id.n, id.content.value));
}

} // namespace skua::sim
