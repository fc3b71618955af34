// admin: what those who run a cluster need.
#include <nlohmann/json.hpp>
#include "client/cli/all.h"

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

} // namespace

void addAdmin(Commands& all) {
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
