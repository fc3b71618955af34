// admin: what those who run a cluster need: servers, replace-server, fsck. Disks and leaders have files of their own.
#include "client/cli/admin.h"
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include "client/cli/all.h"
#include "client/cli/fsck_join.h"
#include "client/cli/local_cluster.h"
#include "core/base/config.h"

namespace skua::cli {

namespace {

struct Fsck {
    u64 problems = 0;
    bool quiet = false;
};

constexpr int kLooks = 3; // what is under way when it is looked at is not so a second later, twice

// Every shard checks its own rows, and tells what crosses groups, which is joined here.
Task<Result<>> fsck(Client& client, Fsck& found) {
    std::set<std::string> problems; // of the shards' own rows
    Findings suspicious;
    for (int look = 0; look < kLooks; look++) {
        FsckJoin join;
        for (u16 s = 0; s < client.cluster.shards(); s++) {
            shard::Check check;
            do {
                const GroupId group = groupOf(ShardId{s});
                CO_TRY(auto reply, co_await client.metadata.caller().query(group, check));
                for (const auto& problem : reply.problems)
                    if (look == 0) problems.insert("shard " + std::to_string(s) + ": " + problem);
                for (const auto& fact : reply.facts)
                    if (!join.take(fact)) co_return Error(Code::Invalid, "shard " + std::to_string(s) + " is of another release");
                check.cursor = reply.cursor;
            } while (!check.cursor.value.empty());
        }
        if (look == 0) suspicious = join.findings();
        else keepCommon(suspicious, join.findings());
        if (suspicious.empty()) break;
        if (look + 1 == kLooks) break;
        Sleep nap(client.clock, kSecond);
        co_await nap;
    }
    for (const auto& [_, words] : suspicious) problems.insert(words);
    for (const auto& problem : problems) print(problem + "\n");
    found.problems = problems.size();
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
    CO_TRY(const registry::ServerRow row, serverNamed(client.cluster.map(), o.name));
    const ServerId id = row.id;
    CO_TRY(const registry::ServerRow other, serverNamed(client.cluster.map(), o.with));
    registry::ReplaceServer replace{id, other.id};
    CO_TRY_OK(co_await client.metadata.caller().mutate(kRegistryGroup, replace));
    for (u64 i = 0; i < o.patience_s * 5; i++) {
        CO_TRY_OK(co_await client.cluster.refresh());
        if (!inAGroup(client.cluster.map(), id, 0)) {
            print(row.name + "'s groups are with " + other.name + " now\n");
            co_return Ok{};
        }
        Sleep nap(client.clock, 200 * kMillisecond);
        co_await nap;
    }
    co_return Error(Code::Unavailable, row.name + "'s groups have not all moved yet; they go on, `skua status` tells");
}
// A server that was made anew under its name takes its own place again.
Task<Result<>> waitRejoined(Client& client, Replace o, u64 old_store) {
    for (u64 i = 0; i < o.patience_s * 5; i++) {
        CO_TRY_OK(co_await client.cluster.refresh());
        const auto row = serverNamed(client.cluster.map(), o.name);
        if (row && row->store != old_store && !inAGroup(client.cluster.map(), row->id, old_store)) co_return Ok{};
        Sleep nap(client.clock, 200 * kMillisecond);
        co_await nap;
    }
    co_return Error(Code::Unavailable, o.name + " is not in all its groups yet; that goes on, `skua status` tells");
}
Task<Result<u64>> storeOf(Client& client, std::string name) {
    CO_TRY_OK(co_await client.cluster.refresh());
    CO_TRY(const registry::ServerRow row, serverNamed(client.cluster.map(), name));
    for (const auto& g : client.cluster.map().groups)
        for (const raft::Member& m : g.members)
            if (m.server == row.id && g.members.size() < 2)
                co_return Error(Code::NotPermitted, name + " is the only member of its groups: nobody else has their rows");
    co_return row.store;
}

int replaceHere(client::Process& process, Replace o) {
    const std::string config = process.config().file();
    LocalCluster cluster(std::filesystem::path(config).parent_path().string());
    auto row = serverNamed(process.client().cluster.map(), o.name);
    if (row) o.name = row->name; // it may have been said by its id
    auto command = cluster.commandOf(o.name);
    if (!command && !row) return fail(row.error());
    if (!command)
        return fail(o.name + " is no process of a local cluster here: start a new server of its kind, and say --with its name");
    if (cluster.running(o.name))
        return fail(o.name + " runs; `skua cluster kill " + o.name + "` ends it, or say --with the name of another server");
    if (auto may = cluster.mayStart({o.name, *command}); !may) return fail(may.error().detail); // nobody has the folder
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

} // namespace

Result<registry::ServerRow> serverNamed(const registry::ClusterMap& map, const std::string& text) {
    for (const auto& s : map.servers)
        if (s.name == text) return s;
    for (const auto& s : map.servers)
        if (std::to_string(s.id.value) == text) return s;
    return Error(Code::Invalid, "there is no server " + text + ": `skua admin servers` lists them");
}

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
        f.positional("NAME", o->name, "The server's name or id, as in `skua admin servers`");
        f.option("--with", o->with, "Name or id of the server that takes its groups");
    }
    auto found = std::make_shared<Fsck>();
    all.add("admin fsck", "Checks all metadata: every shard its rows, and what crosses shards", "skua admin fsck", [&all, found] {
        const int code = withClient(all.settings, [&](Client& client) { return fsck(client, *found); });
        if (code == kFine && found->problems == 0) print("no problems found\n");
        return code != kFine ? code : found->problems ? kFailed : kFine;
    });
    auto json = std::make_shared<bool>(false);
    Flags& list = all.add("admin servers", "Lists the servers and their disks", "skua admin servers", [&all, json] {
        return withClient(all.settings, [&](Client& client) { return servers(client, *json); });
    });
    list.flag("--json", *json, "As JSON");
    addAdminDisks(all);
    addAdminLeaders(all);
    addAdminRecover(all);
}

} // namespace skua::cli
