// skua-registry: flags, then run.
#include <cstdio>
#include "core/data/geometry.h"
#include "raft/shell.h"
#include "registry/state.h"

using namespace skua;

int main(int argc, char** argv) {
    Flags flags("skua-registry", "Serves a cluster's topology: who is there, and what is agreed.");
    raft::HostOptions options;
    raft::hostFlags(flags, options);
    bool format = false, local = false;
    u32 shards = 8, domains = 8;
    u64 retention_s = 0, replicas = 1;
    flags.flag("--format", format, "Make the registry of a new cluster, once; no effect on one that is there");
    flags.flag("--local", local,
               "With --format: a cluster on one machine (a silent disk is dead after 30 s, retention is 1 hour)");
    flags.option("--shards", shards, "With --format: number of metadata shards, for ever");
    flags.option("--replicas", replicas, "With --format: members of each metadata group, 1 to 7");
    flags.option("--domains", domains, "With --format: number of failure domains, for the default scheme");
    flags.option("--retention", retention_s,
                 "With --format: how long removed files are kept, seconds; 0: 1 hour if --local, else 7 days");
    flags.parse(argc, argv);
    if (format && (shards < 1 || shards > 4096 || replicas < 1 || replicas > 7 || domains < 1)) {
        std::fprintf(stderr, "skua-registry: there may be 1 to 4096 --shards, 1 to 7 --replicas and at least one of --domains\n");
        return 2;
    }
    raft::HostRole role;
    role.kind = "registry";
    role.role = registry::ServerRole::kRegistry;
    role.machine = [](GroupId, const net::Keys&) -> std::unique_ptr<raft::StateMachine> {
        return std::make_unique<registry::Registry>();
    };
    if (format) {
        registry::RegistryConfig config;
        config.shards = static_cast<u16>(shards);
        config.replicas = static_cast<u8>(replicas);
        config.local = local;
        config.policy = geometry::defaultPolicy(domains);
        config.policy.retention = 1 + (retention_s ? retention_s * kSecond : local ? kHour : 7 * kDay);
        role.bootstrap = config;
    }
    return raft::runHost(options, std::move(role));
}
