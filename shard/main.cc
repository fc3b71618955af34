// skua-shard: flags, then run.
#include "raft/shell.h"
#include "shard/state.h"

using namespace skua;

int main(int argc, char** argv) {
    Flags flags("skua-shard", "Serves a part of the namespace: its directories, inodes and contents.");
    raft::HostOptions options;
    raft::hostFlags(flags, options);
    flags.parse(argc, argv);
    raft::HostRole role;
    role.kind = "shard";
    role.role = registry::ServerRole::kShard;
    const auto disks = std::make_shared<shard::Disks>();
    role.machine = [disks](GroupId, const net::Keys& keys) -> std::unique_ptr<raft::StateMachine> {
        return std::make_unique<shard::Shard>(keys, disks);
    };
    role.mapped = [disks](const registry::ClusterMap& map) { disks->install(map); };
    return raft::runHost(options, std::move(role));
}
