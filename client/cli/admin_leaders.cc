// admin transfer-leader and balance-leaders. Only servers of the cluster may say who leads: who has its key is one.
#include <algorithm>
#include "client/cli/admin.h"
#include "client/cli/all.h"
#include "core/base/config.h"
#include "core/net/keys.h"
#include "raft/messages.h"

namespace skua::cli {

namespace {

constexpr u64 kSettle = 10 * kSecond; // until the registry has heard of a new leader
constexpr u32 kMostMoves = 10'000;

struct Move {
    std::string group, to;
};

std::string nameOf(const registry::ClusterMap& map, ServerId id) {
    for (const auto& s : map.servers)
        if (s.id == id) return s.name;
    return "server " + std::to_string(id.value);
}

// Who says it leads the group; 0: nobody.
ServerId leaderOf(client::Cluster& cluster, GroupId group) {
    for (const auto& [id, hint] : cluster.serverHints())
        if (hint.up && std::find(hint.leads.begin(), hint.leads.end(), group) != hint.leads.end()) return ServerId{id};
    return {};
}

// Done: another server leads, and the registry knows; what it was and is, is printed.
Task<Result<>> moveLeader(Client& client, net::Pool& pool, ServerId from, raft::MoveLeader move) {
    net::Message message;
    message.kind = net::Kind::kHost;
    message.body = wire::encode(raft::HostRequest{move});
    const net::Address to = client.cluster.addressOf(from);
    CO_TRY(const net::Message answer, co_await pool.call(to, std::move(message), 5 * kSecond));
    (void)answer;
    const u64 end = client.clock.now().value + kSettle;
    ServerId now = from;
    while ((now == from || now.value == 0) && client.clock.now().value < end) {
        Sleep nap(client.clock, 50 * kMillisecond);
        co_await nap;
        CO_TRY_OK(co_await client.cluster.refresh());
        now = leaderOf(client.cluster, move.group);
    }
    const auto& map = client.cluster.map();
    if (now == from || now.value == 0)
        co_return Error(Code::Unavailable, groupName(move.group) + ": " + nameOf(map, from) +
                                               " was asked to hand over, and nobody else leads yet; `skua status` tells");
    if (move.to.server.value != 0 && now != move.to.server)
        co_return Error(Code::Unavailable, groupName(move.group) + ": " + nameOf(map, from) + " handed over, but " +
                                               nameOf(map, now) + " leads, not " + nameOf(map, move.to.server) +
                                               "; say it again");
    print(groupName(move.group) + ": " + nameOf(map, from) + " -> " + nameOf(map, now) + "\n");
    co_return Ok{};
}

Task<Result<>> transfer(Client& client, net::Pool& pool, Move o, GroupId group) {
    CO_TRY_OK(co_await client.cluster.refresh());
    const auto& map = client.cluster.map();
    if (std::none_of(map.groups.begin(), map.groups.end(), [&](const auto& g) { return g.id == group; }))
        co_return Error(Code::Invalid,
                        "there is no " + o.group + ": this cluster has shard:0 to shard:" + std::to_string(map.shards - 1));
    raft::MoveLeader move{group, {}};
    if (!o.to.empty()) {
        CO_TRY(const registry::ServerRow row, serverNamed(map, o.to));
        bool member = false;
        for (const auto& g : map.groups)
            for (const raft::Member& m : g.members)
                if (g.id == group && m.server == row.id) move.to = m, member = true;
        if (!member) co_return Error(Code::Invalid, row.name + " is no member of " + o.group + ", so it cannot lead it");
    }
    const ServerId leader = leaderOf(client.cluster, group);
    if (leader.value == 0)
        co_return Error(Code::Unavailable, "nobody leads " + o.group + " at the moment, as far as the registry knows");
    if (move.to.server == leader) {
        print(o.group + ": " + nameOf(map, leader) + " leads already\n");
        co_return Ok{};
    }
    co_return co_await moveLeader(client, pool, leader, move);
}

Task<Result<>> balance(Client& client, net::Pool& pool) {
    for (u32 moves = 0; moves < kMostMoves; moves++) {
        CO_TRY_OK(co_await client.cluster.refresh());
        const auto next = nextLeaderMove(client.cluster.map(), client.cluster.serverHints());
        if (!next) {
            if (moves == 0) print("leaders are spread already\n");
            co_return Ok{};
        }
        const raft::MoveLeader move{next->group, next->to};
        CO_TRY_OK(co_await moveLeader(client, pool, next->from, move));
    }
    co_return Error(Code::Conflict, "leaders go on moving; somebody else moves them too");
}

int asServer(client::Process& process, const std::function<Task<Result<>>(Client&, net::Pool&)>& work) {
    const std::string path = process.config().path("cluster_key");
    if (path.empty())
        return fail("who leads is said by who has the cluster's key: `cluster_key` in skua.conf, or SKUA_CLUSTER_KEY, names it");
    auto keys = net::Keys::load(path);
    if (!keys) return fail("the cluster's key is needed for that: " + keys.error().message());
    net::Pool pool(process.ring(), net::Credentials::server(*keys, "skua admin"));
    auto done = process.run(work(process.client(), pool));
    (void)process.run(pool.stop());
    return done ? kFine : fail(done.error());
}

} // namespace

Result<GroupId> groupNamed(const std::string& text) {
    if (text == "registry") return kRegistryGroup;
    if (text == "cdc") return kCoordinatorGroup;
    const std::string digits = text.starts_with("shard:") ? text.substr(6) : std::string();
    if (digits.empty() || digits.size() > 4 || digits.find_first_not_of("0123456789") != digits.npos)
        return Error(Code::Invalid, "--group " + text + ": there are registry, cdc and shard:NUMBER");
    return groupOf(ShardId{static_cast<u16>(std::stoul(digits))});
}

std::string groupName(GroupId group) {
    if (group == kRegistryGroup) return "registry";
    if (group == kCoordinatorGroup) return "cdc";
    return "shard:" + std::to_string(numberOf(group));
}

std::optional<LeaderMove> nextLeaderMove(const registry::ClusterMap& map, const std::map<u32, registry::ServerHint>& hints) {
    std::map<u32, u64> leads;
    std::map<u32, ServerId> leader; // by group
    for (const auto& [id, hint] : hints) {
        if (!hint.up) continue;
        leads[id] = hint.leads.size();
        for (GroupId g : hint.leads) leader[g.value] = ServerId{id};
    }
    for (const auto& g : map.groups) {
        if (!g.formatted || g.members.size() < 2 || !g.learners.empty() || !leader.contains(g.id.value)) continue;
        const ServerId from = leader[g.id.value];
        const raft::Member* least = nullptr;
        for (const raft::Member& m : g.members)
            if (leads.contains(m.server.value) && (!least || leads[m.server.value] < leads[least->server.value])) least = &m;
        if (least && leads[least->server.value] + 2 <= leads[from.value]) return LeaderMove{g.id, *least, from};
    }
    return std::nullopt;
}

void addAdminLeaders(Commands& all) {
    auto o = std::make_shared<Move>();
    Flags& f = all.add("admin transfer-leader", "Another member of a metadata group leads it",
                       "skua admin transfer-leader --group shard:0 --to shard-2", [&all, o] {
                           auto group = groupNamed(o->group);
                           if (!group) return usage(group.error().detail);
                           return withProcess(all.settings, [&](client::Process& process) {
                               return asServer(
                                   process, [&](Client& client, net::Pool& pool) { return transfer(client, pool, *o, *group); });
                           });
                       });
    f.option("--group", o->group, "registry, cdc or shard:NUMBER");
    f.require("--group");
    f.option("--to", o->to, "A server's name or id; without it the member that has most of the log");
    all.add("admin balance-leaders",
            "Spreads leadership evenly over the members, at once, and tells what moved; the cluster does so by itself, a group "
            "every few seconds",
            "skua admin balance-leaders", [&all] {
                return withProcess(all.settings, [&](client::Process& process) {
                    return asServer(process, [](Client& client, net::Pool& pool) { return balance(client, pool); });
                });
            });
}

} // namespace skua::cli
