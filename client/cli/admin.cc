// admin: what those who run a cluster need.
#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include "client/cli/all.h"
#include "client/cli/local_cluster.h"
#include "core/base/config.h"
#include "core/net/keys.h"
#include "raft/messages.h"

namespace skua::cli {

namespace {

struct Fsck {
    u64 problems = 0;
    bool quiet = false;
};

// Every shard checks its own rows; what crosses groups is joined by the simulator for now.
Task<Result<>> fsck(Client& client, Fsck& found) {
    for (u16 s = 0; s < client.cluster.shards(); s++) {
        shard::Check check;
        do {
            const GroupId group = groupOf(ShardId{s});
            CO_TRY(auto reply, co_await client.metadata.caller().query(group, check));
            for (const auto& problem : reply.problems) {
                found.problems++;
                print("shard " + std::to_string(s) + ": " + problem + "\n");
            }
            check.cursor = reply.cursor;
        } while (!check.cursor.value.empty());
    }
    co_return Ok{};
}

Task<Result<>> setDisk(Client& client, u64 id, registry::DiskState state) {
    registry::SetDisk set;
    set.id = BlockServiceId{static_cast<u32>(id)};
    set.state = state;
    CO_TRY_OK(co_await client.metadata.caller().mutate(kRegistryGroup, set));
    co_return Ok{};
}

Task<Result<>> servers(Client& client, bool as_json) {
    CO_TRY_OK(co_await client.cluster.refresh());
    const auto& hints = client.cluster.serverHints();
    nlohmann::json json = nlohmann::json::array();
    for (const auto& s : client.cluster.map().servers) {
        const auto h = hints.find(s.id.value);
        const bool up = h != hints.end() && h->second.up;
        std::string disks;
        nlohmann::json ids = nlohmann::json::array();
        for (const auto& d : client.cluster.map().disks)
            if (d.server == s.id) {
                disks += (disks.empty() ? "  disks " : ",") + std::to_string(d.id.value);
                ids.push_back(d.id.value);
            }
        if (as_json)
            json.push_back({{"id", s.id.value},
                            {"name", s.name},
                            {"address", s.address.text},
                            {"domain", s.domain},
                            {"up", up},
                            {"disks", ids}});
        else
            print(std::to_string(s.id.value) + "  " + s.name + "  " + s.address.text +
                  (s.domain.empty() ? "" : "  domain " + s.domain) + disks + (up ? "" : "  AWAY") + "\n");
    }
    if (as_json) print(json);
    co_return Ok{};
}

// --- metadata servers and who leads ---------------------------------------------------------------------------

const registry::ServerRow* serverNamed(const registry::ClusterMap& map, const std::string& name) {
    for (const auto& s : map.servers)
        if (s.name == name) return &s;
    return nullptr;
}
Error noServer(const std::string& name) {
    return {Code::NotFound, "no server is called " + name + "; `skua admin servers` lists them"};
}
bool inAGroup(const registry::ClusterMap& map, ServerId id, u64 store) {
    for (const auto& g : map.groups) {
        if (!g.learners.empty()) return true;
        for (const raft::Member& m : g.members)
            if (m.server == id && (store == 0 || m.store == store)) return true;
    }
    return false;
}

struct Replace {
    std::string name, with;
    u64 patience_s = 600;
};
// Its groups move while clients work; returns when the last one has.
Task<Result<>> replaceServer(Client& client, Replace o) {
    CO_TRY_OK(co_await client.cluster.refresh());
    const auto* row = serverNamed(client.cluster.map(), o.name);
    if (!row) co_return noServer(o.name);
    const ServerId id = row->id;
    const auto* other = serverNamed(client.cluster.map(), o.with);
    if (!other) co_return noServer(o.with);
    registry::ReplaceServer replace{id, other->id};
    CO_TRY_OK(co_await client.metadata.caller().mutate(kRegistryGroup, replace));
    for (u64 i = 0; i < o.patience_s * 5; i++) {
        CO_TRY_OK(co_await client.cluster.refresh());
        if (!serverNamed(client.cluster.map(), o.name) || !inAGroup(client.cluster.map(), id, 0)) co_return Ok{};
        Sleep nap(client.clock, 200 * kMillisecond);
        co_await nap;
    }
    co_return Error(Code::Unavailable, o.name + "'s groups have not all moved yet; they go on, `skua status` tells");
}
// A server that was made anew under its name takes its own place again.
Task<Result<>> waitRejoined(Client& client, Replace o, u64 old_store) {
    for (u64 i = 0; i < o.patience_s * 5; i++) {
        CO_TRY_OK(co_await client.cluster.refresh());
        const auto* row = serverNamed(client.cluster.map(), o.name);
        if (row && row->store != old_store && !inAGroup(client.cluster.map(), row->id, old_store)) co_return Ok{};
        Sleep nap(client.clock, 200 * kMillisecond);
        co_await nap;
    }
    co_return Error(Code::Unavailable, o.name + " is not in all its groups yet; that goes on, `skua status` tells");
}
Task<Result<u64>> storeOf(Client& client, std::string name) {
    CO_TRY_OK(co_await client.cluster.refresh());
    const auto* row = serverNamed(client.cluster.map(), name);
    if (!row) co_return noServer(name);
    for (const auto& g : client.cluster.map().groups)
        for (const raft::Member& m : g.members)
            if (m.server == row->id && g.members.size() < 2)
                co_return Error(Code::NotPermitted, name + " is the only member of its groups: nobody else has their rows");
    co_return row->store;
}

int replaceHere(client::Process& process, const Replace& o) {
    const std::string config = process.config().file();
    LocalCluster cluster(std::filesystem::path(config).parent_path().string());
    auto command = cluster.commandOf(o.name);
    if (!command)
        return fail(o.name + " is no process of a local cluster here: start a new server of its kind, and say --with its name");
    if (cluster.running(o.name))
        return fail(o.name + " runs; `skua cluster kill " + o.name + "` ends it, or say --with the name of another server");
    auto store = process.run(storeOf(process.client(), o.name));
    if (!store) return fail(store.error());
    std::error_code ec;
    const std::string old = cluster.path(o.name), aside = old + ".lost";
    std::filesystem::remove_all(aside, ec);
    std::filesystem::rename(old, aside, ec); // it may be gone altogether
    if (auto ok = cluster.serve({o.name, *command}); !ok) return fail(ok.error().detail);
    if (auto done = process.run(waitRejoined(process.client(), o, *store)); !done) return fail(done.error());
    print(o.name + " has its groups again" + (std::filesystem::exists(aside) ? "; what it had is in " + aside : "") + "\n");
    return kFine;
}

// Only servers of the cluster may say who leads: who has its key is one.
struct Move {
    std::string group, to;
};
Result<GroupId> groupNamed(const std::string& text) {
    if (text == "registry") return kRegistryGroup;
    if (text == "cdc") return kCoordinatorGroup;
    const std::string digits = text.starts_with("shard:") ? text.substr(6) : std::string();
    if (digits.empty() || digits.size() > 5 || digits.find_first_not_of("0123456789") != digits.npos)
        return Error(Code::Invalid, "--group " + text + ": there are registry, cdc and shard:NUMBER");
    return groupOf(ShardId{static_cast<u16>(std::stoul(digits))});
}
Task<Result<>> moveLeader(net::Pool& pool, net::Address to, raft::MoveLeader move) {
    net::Message message;
    message.kind = net::Kind::kHost;
    message.body = wire::encode(raft::HostRequest{move});
    CO_TRY(const net::Message answer, co_await pool.call(to, std::move(message), 5 * kSecond));
    (void)answer;
    co_return Ok{};
}
int transferLeader(client::Process& process, const Move& o) {
    auto group = groupNamed(o.group);
    if (!group) return usage(group.error().detail);
    const std::string path = process.config().path("cluster_key");
    auto keys = net::Keys::load(path);
    if (!keys) return fail("the cluster's key is needed for that: " + keys.error().message());
    if (auto fresh = process.run(process.client().cluster.refresh()); !fresh) return fail(fresh.error());
    auto& cluster = process.client().cluster;
    raft::MoveLeader move{*group, {}};
    if (!o.to.empty()) {
        const auto* row = serverNamed(cluster.map(), o.to);
        if (!row) return fail(noServer(o.to));
        move.to = {row->id, row->store};
    }
    net::Address leader;
    for (const auto& [id, hint] : cluster.serverHints())
        if (std::find(hint.leads.begin(), hint.leads.end(), *group) != hint.leads.end()) {
            if (move.to.server.value == id) return kFine;
            leader = cluster.addressOf(ServerId{id});
        }
    if (leader.text.empty()) return fail("nobody leads " + o.group + " at the moment, as far as the registry knows");
    net::Pool pool(process.ring(), net::Credentials::server(*keys, "skua admin"));
    auto done = process.run(moveLeader(pool, leader, move));
    (void)process.run(pool.stop());
    return done ? kFine : fail(done.error());
}

} // namespace

void addAdmin(Commands& all) {
    {
        auto o = std::make_shared<Replace>();
        Flags& f =
            all.add("admin replace-server",
                    "Another metadata server takes the place of one that is lost, while clients work; of a local cluster a "
                    "fresh process of the same name does, unless --with names another",
                    "skua admin replace-server shard-1", [&all, o] {
                        return withProcess(all.settings, [&](client::Process& process) {
                            if (o->with.empty()) return replaceHere(process, *o);
                            auto done = process.run(replaceServer(process.client(), *o));
                            return done ? kFine : fail(done.error());
                        });
                    });
        f.positional("NAME", o->name, "Of the server, as in `skua admin servers`");
        f.option("--with", o->with, "The server that takes its groups");
    }
    {
        auto o = std::make_shared<Move>();
        Flags& f = all.add("admin transfer-leader", "Another member of a metadata group leads it",
                           "skua admin transfer-leader --group shard:0 --to shard-2", [&all, o] {
                               return withProcess(all.settings, [&](client::Process& p) { return transferLeader(p, *o); });
                           });
        f.option("--group", o->group, "registry, cdc or shard:NUMBER");
        f.option("--to", o->to, "A server's name; without it the member that has most of the log");
    }
    auto found = std::make_shared<Fsck>();
    all.add("admin fsck", "Every shard checks its rows against the invariants", "skua admin fsck", [&all, found] {
        const int code = withClient(all.settings, [&](Client& client) { return fsck(client, *found); });
        if (code == kFine && found->problems == 0) print("no problems found\n");
        return code != kFine ? code : found->problems ? kFailed : kFine;
    });
    auto json = std::make_shared<bool>(false);
    Flags& list = all.add("admin servers", "Lists the servers and their disks", "skua admin servers", [&all, json] {
        return withClient(all.settings, [&](Client& client) { return servers(client, *json); });
    });
    list.flag("--json", *json, "As JSON");
    struct Verb {
        const char* name;
        const char* help;
        registry::DiskState state;
    };
    for (const Verb& v : {Verb{"admin set-read-only", "A disk takes no new blocks", registry::DiskState::kReadOnly},
                          Verb{"admin set-up", "A disk takes blocks again", registry::DiskState::kUp},
                          Verb{"admin confirm-dead", "A human's word that a disk is lost", registry::DiskState::kDead}}) {
        auto id = std::make_shared<u64>(0);
        const registry::DiskState state = v.state;
        Flags& f = all.add(v.name, v.help, std::string("skua ") + v.name + " --disk 3", [&all, id, state] {
            return withClient(all.settings, [&](Client& client) { return setDisk(client, *id, state); });
        });
        f.option("--disk", *id, "Its id, as in `skua status --json`");
    }
}

} // namespace skua::cli
