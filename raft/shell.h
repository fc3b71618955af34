// Shell: a host process: what owns the ring, the rows, the log and the sockets, and does what the pure Server
// (server.h) says. A turn: take all that has arrived, step, one batch to the log; when it is durable apply,
// answer. Nothing else decides anything.
//
// Crash-only: SIGTERM ends the process where it is; what was acknowledged is in the log, and the next start
// replays it from the applied index that RocksDB flushed last.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include "core/async/offload.h"
#include "core/base/flags.h"
#include "core/net/pool.h"
#include "core/net/server.h"
#include "core/store/kv_rocksdb.h"
#include "core/store/row_buffer.h"
#include "raft/data_dir.h"
#include "raft/directory.h"
#include "raft/room_watch.h"
#include "raft/segment_log.h"
#include "raft/server.h"

namespace skua::raft {

// What a role's main.cc says of itself.
struct HostRole {
    std::string kind; // "shard": of the data folder and the log
    registry::ServerRole role{};
    // Makes the machine of a group; of another kind than the role's: null.
    std::function<std::unique_ptr<StateMachine>(GroupId, const net::Keys&)> machine;
    // Told of every map that this process installs; for admit() of its machines.
    std::function<void(const registry::ClusterMap&)> mapped{};
    // The registry's own: its group is formatted with this at the start of an empty folder (the cluster's id
    // is filled in). Other groups are made when the registry says so.
    std::optional<registry::RegistryConfig> bootstrap;
};

struct HostOptions {
    Common common;
    std::string name;         // "shard-0"
    std::string address_file; // written once listening: the first address
    u64 segment_bytes = 64u << 20;
};
// Adds the options that every host has.
void hostFlags(Flags& flags, HostOptions& options);

// Runs until a signal; the exit code.
int runHost(const HostOptions& options, HostRole role);

} // namespace skua::raft
