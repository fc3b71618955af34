// status: health at a glance.
#include <algorithm>
#include <ctime>
#include <map>
#include <nlohmann/json.hpp>
#include "client/cli/all.h"
#include "client/cli/mounts.h"
#include "core/base/config.h"
#include "core/data/geometry.h"
#include "core/net/keys.h"
#include "raft/messages.h"

namespace skua::cli {

namespace {

const char* stateName(registry::DiskState state) {
    switch (state) {
        case registry::DiskState::kUp: return "up";
        case registry::DiskState::kReadOnly: return "read-only";
        case registry::DiskState::kDraining: return "draining";
        case registry::DiskState::kDead: return "dead";
        case registry::DiskState::kRemoved: return "removed";
    }
    return "unknown";
}
const char* kindName(GroupId id) {
    switch (kindOf(id)) {
        case GroupKind::kRegistry: return "registry";
        case GroupKind::kCoordinator: return "cdc";
        default: return "shard";
    }
}
std::string roleName(registry::ServerRole role) {
    const char* names[] = {"registry", "cdc", "shard", "blocks", "mount"};
    return static_cast<u8>(role) < 5 ? names[static_cast<u8>(role)] : "unknown";
}

struct GroupFacts {
    u64 term = 0, last = 0; // the leader's
    std::string trouble;
    std::map<u32, u64> applied; // by server
};

struct HostFacts {
    std::map<u32, GroupFacts> groups;            // by group
    std::map<u32, raft::RequestCounts> requests; // by server
};

// Terms and troubles are told to servers only: who holds the cluster's key may ask.
Task<HostFacts> askHosts(net::Pool& pool, std::vector<registry::ServerRow> hosts) {
    HostFacts all;
    for (const auto& host : hosts) {
        net::Message message;
        message.kind = net::Kind::kHost;
        message.body = wire::encode(raft::HostRequest{raft::HostStatus{}});
        auto answer = co_await pool.call(host.address, std::move(message), kSecond);
        raft::HostStatus::Reply reply;
        if (!answer || !wire::decode(answer->body, reply)) continue;
        all.requests[host.id.value] = reply.requests;
        for (const auto& g : reply.groups) {
            auto& facts = all.groups[g.group.value];
            if (g.leading || facts.term == 0) facts.term = g.term.value;
            facts.last = std::max(facts.last, g.last.value);
            facts.applied[host.id.value] = g.applied.value;
            if (!g.trouble.empty()) facts.trouble = g.trouble;
        }
    }
    co_return all;
}

HostFacts hostFacts(client::Process& process) {
    const std::string path = process.config().path("cluster_key");
    if (path.empty()) return {};
    auto keys = net::Keys::load(path);
    if (!keys) return {};
    std::vector<registry::ServerRow> hosts;
    for (const auto& s : process.client().cluster.map().servers)
        if (s.role == registry::ServerRole::kRegistry || s.role == registry::ServerRole::kCoordinator ||
            s.role == registry::ServerRole::kShard)
            hosts.push_back(s);
    net::Pool pool(process.ring(), net::Credentials::server(*keys, "skua status"));
    auto all = process.run(askHosts(pool, hosts));
    (void)process.run(pool.stop());
    return all;
}

// "shard 0: shard-1 leads in term 3; lag shard-0 0, shard-2 away". One member that leads says nothing.
std::string groupLine(const nlohmann::json& g) {
    if (g["leader"].get<std::string>().empty() || (g["members"].size() == 1 && g["learners"].get<u64>() == 0)) return {};
    std::string text = g["kind"].get<std::string>() + " " + std::to_string(g["id"].get<u64>()) + ": " +
                       g["leader"].get<std::string>() + " leads";
    if (!g["term"].is_null()) text += " in term " + std::to_string(g["term"].get<u64>());
    const char* between = "; lag ";
    if (g.contains("lag"))
        for (const auto& [server, lag] : g["lag"].items()) {
            if (server == g["leader"].get<std::string>()) continue;
            text += between + server + " " + (lag.is_null() ? "unknown" : std::to_string(lag.get<u64>()));
            between = ", ";
        }
    if (const u64 n = g["learners"].get<u64>()) text += "; " + std::to_string(n) + " catching up";
    return text + "\n";
}

Task<Result<>> status(Client& client, bool json, HostFacts facts, std::vector<MountPoint> mounts, bool& healthy) {
    CO_TRY_OK(co_await client.cluster.refresh());
    const registry::ClusterMap map = client.cluster.map();
    const auto hints = client.cluster.serverHints();
    // A shard that nobody leads would be asked for minutes; that it has no leader is what is to be told.
    const bool all_led = std::all_of(map.groups.begin(), map.groups.end(), [&](const registry::GroupRow& g) {
        return std::any_of(g.members.begin(), g.members.end(), [&](const raft::Member& m) {
            auto h = hints.find(m.server.value);
            return h != hints.end() && h->second.up &&
                   std::find(h->second.leads.begin(), h->second.leads.end(), g.id) != h->second.leads.end();
        });
    });
    FileSystem fs(client);
    Result<client::FsSpace> space = Error(Code::Unavailable, "a group has no leader");
    if (all_led) space = co_await fs.space();
    nlohmann::json out;
    out["cluster"] = toHex(map.cluster.value);
    out["map"] = {{"epoch", map.version.epoch}, {"number", map.version.number}};
    out["servers"] = nlohmann::json::array();
    out["disks"] = nlohmann::json::array();
    out["groups"] = nlohmann::json::array();
    auto nameOf = [&](ServerId id) {
        for (const auto& s : map.servers)
            if (s.id == id) return s.name;
        return std::string("?");
    };
    u64 servers_up = 0, disks_up = 0, led = 0;
    bool low = false;
    const Policy& policy = client.cluster.defaultPolicy();
    const u32 span = geometry::maxSpan(policy);
    const u32 longest_block = geometry::blockLength(geometry::choose(policy, span), span);
    for (const auto& s : map.servers) {
        auto h = hints.find(s.id.value);
        const bool up = h != hints.end() && h->second.up;
        servers_up += up;
        low = low || (up && h->second.low);
        out["servers"].push_back({{"name", s.name},
                                  {"role", roleName(s.role)},
                                  {"address", s.address.text},
                                  {"domain", s.domain},
                                  {"up", up},
                                  {"low", up && h->second.low}, // on room for metadata
                                  {"incarnation", s.incarnation.value}});
        // Of groups, since it started; refused: Busy, before they were looked at.
        if (auto r = facts.requests.find(s.id.value); r != facts.requests.end())
            out["servers"].back()["requests"] = {{"admitted", r->second.admitted},
                                                 {"refused", r->second.refused},
                                                 {"joined", r->second.joined},
                                                 {"waiting", r->second.waiting}};
    }
    for (const auto& [_, d] : client.cluster.services()) {
        const bool up = d.up && d.state == registry::DiskState::kUp;
        disks_up += up;
        std::string server;
        for (const auto& row : map.disks)
            if (row.id == d.id) server = nameOf(row.server);
        out["disks"].push_back({{"id", d.id.value},
                                {"server", server},
                                {"state", stateName(d.state)},
                                {"up", up},
                                {"silent", !d.up},
                                {"full", up && d.free < longest_block},
                                {"capacity", d.capacity},
                                {"free", d.free},
                                {"used", d.used},
                                {"incarnation", d.incarnation.value}});
    }
    for (const auto& g : map.groups) {
        std::string leader;
        nlohmann::json members = nlohmann::json::array();
        for (const raft::Member& m : g.members) {
            members.push_back(nameOf(m.server));
            if (auto h = hints.find(m.server.value);
                h != hints.end() && h->second.up &&
                std::find(h->second.leads.begin(), h->second.leads.end(), g.id) != h->second.leads.end())
                leader = nameOf(m.server);
        }
        led += !leader.empty();
        nlohmann::json one = {{"kind", kindName(g.id)}, {"id", numberOf(g.id)},          {"leader", leader},
                              {"members", members},     {"learners", g.learners.size()}, {"formatted", g.formatted}};
        if (auto f = facts.groups.find(g.id.value); f != facts.groups.end()) {
            one["term"] = f->second.term;
            one["trouble"] = f->second.trouble;
            one["lag"] =
                nlohmann::json::object(); // entries of the log that each member has not applied; null: it does not answer
            for (const raft::Member& m : g.members) {
                auto applied = f->second.applied.find(m.server.value);
                if (applied == f->second.applied.end()) one["lag"][nameOf(m.server)] = nullptr;
                else one["lag"][nameOf(m.server)] = f->second.last - std::min(f->second.last, applied->second);
            }
        } else {
            one["term"] = nullptr; // only servers are told
        }
        out["groups"].push_back(std::move(one));
    }
    if (space)
        out["space"] = {{"capacity", space->capacity},
                        {"free", space->free},
                        {"free_logical", space->free_logical},
                        {"used", space->used},
                        {"files", space->files},
                        {"directories", space->directories},
                        {"bytes", space->bytes},
                        {"past_bytes", space->past_bytes}};
    healthy =
        !low && servers_up == map.servers.size() && disks_up == map.disks.size() && led == map.groups.size() && space.has_value();
    out["healthy"] = healthy;
    out["mounts"] = nlohmann::json::array();
    for (const auto& m : mounts)
        out["mounts"].push_back({{"name", m.name}, {"point", m.point}, {"transport", m.transport}, {"waiting", m.waiting}});
    if (json) {
        print(out);
        co_return Ok{};
    }
    std::string text = healthy ? "healthy" : "NOT HEALTHY";
    text += ": " + std::to_string(servers_up) + "/" + std::to_string(map.servers.size()) + " servers, " + std::to_string(led) +
            "/" + std::to_string(map.groups.size()) + " groups led, " + std::to_string(disks_up) + "/" +
            std::to_string(map.disks.size()) + " disks up\n";
    if (space)
        text += "space: " + humanBytes(space->used) + " used, " + humanBytes(space->free) + " free of " +
                humanBytes(space->capacity) + " raw; " + std::to_string(space->files) + " files, " +
                std::to_string(space->directories) + " directories, " + humanBytes(space->bytes) + "; past versions " +
                humanBytes(space->past_bytes) + "\n";
    else text += "space: unknown, " + space.error().message() + "\n";
    for (const auto& s : out["servers"])
        if (!s["up"].get<bool>())
            text += "server " + s["name"].get<std::string>() + " at " + s["address"].get<std::string>() + " is away\n";
        else if (s["low"].get<bool>())
            text += "server " + s["name"].get<std::string>() +
                    ": its metadata disk is almost full; it leads only what nobody else can, make room there\n";
    for (const auto& d : out["disks"]) {
        if (d["full"].get<bool>())
            text += "disk " + std::to_string(d["id"].get<u64>()) + " of " + d["server"].get<std::string>() + ": full\n";
        if (d["up"].get<bool>()) continue;
        const std::string id = std::to_string(d["id"].get<u64>()), state = d["state"].get<std::string>();
        text += "disk " + id + " of " + d["server"].get<std::string>() + ": ";
        if (d["silent"].get<bool>()) text += state == "up" ? "silent\n" : state + ", silent\n";
        else if (state == "dead")
            text += "dead by a human's word, but it answers; `skua admin set-up --disk " + id + "` takes it in again\n";
        else text += state + "\n";
    }
    for (const auto& g : out["groups"]) text += groupLine(g);
    for (const auto& g : out["groups"])
        if (g["leader"].get<std::string>().empty())
            text += "group " + g["kind"].get<std::string>() + " " + std::to_string(g["id"].get<u64>()) + " has no leader" +
                    (g.contains("trouble") && !g["trouble"].get<std::string>().empty() ? ": " + g["trouble"].get<std::string>()
                                                                                       : std::string()) +
                    "\n";
    print(text);
    co_return Ok{};
}

// Of a cluster on this machine: its mounts; who has died, and what it said last.
void sayLocal(const std::string& config) {
    const LocalCluster cluster = keeperOf(config);
    for (const auto& m : mountsOf(cluster)) {
        if (!cluster.running(m.name)) continue;
        print("mounted at " + m.point + ", requests by " + (m.transport == "io_uring" ? "FUSE over io_uring" : "/dev/fuse") +
              "\n");
        const auto now = static_cast<u64>(std::time(nullptr));
        if (!m.waiting.empty())
            print("who uses " + m.point + " waits for disks, for " + std::to_string(now - std::min(now, m.waiting_since)) +
                  " s: " + m.waiting + "\n");
    }
    for (const auto& name : cluster.names())
        if (const auto pid = cluster.pidOf(name); pid && !cluster.running(name))
            print("process " + name + " is ending, pid " + std::to_string(*pid) + "\n");
        else if (!pid)
            print("process " + name + " has ended; `skua cluster start " + name +
                  "` starts it; its last line: " + cluster.lastLogLine(name) + "\n");
}

} // namespace

void addStatus(Commands& all) {
    auto json = std::make_shared<bool>(false);
    Flags& f = all.add("status", "Health at a glance: servers, groups, disks, space", "skua status --json", [&all, json] {
        bool healthy = false;
        return withProcess(all.settings, [&](client::Process& process) {
            auto done = process.run(
                status(process.client(), *json, hostFacts(process), mountsOf(keeperOf(process.config().file())), healthy));
            if (!done) return fail(done.error());
            if (!*json) sayLocal(process.config().file());
            return kFine;
        });
    });
    f.flag("--json", *json, "As JSON: servers[], disks[], groups[], space");
}

} // namespace skua::cli
