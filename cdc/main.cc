// skua-cdc: flags, then run.
#include "cdc/state.h"
#include "raft/shell.h"

using namespace skua;

int main(int argc, char** argv) {
    Flags flags("skua-cdc", "Serves what touches two directories: mkdir, rmdir, renames and links between shards.");
    raft::HostOptions options;
    raft::hostFlags(flags, options);
    flags.parse(argc, argv);
    raft::HostRole role;
    role.kind = "cdc";
    role.role = registry::ServerRole::kCoordinator;
    role.machine = [](GroupId, const net::Keys&) -> std::unique_ptr<raft::StateMachine> {
        return std::make_unique<cdc::Coordinator>();
    };
    return raft::runHost(options, std::move(role));
}
