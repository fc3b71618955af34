// What hosts say to each other about groups: making them, and their state. (Messages between members of
// one group come with replication.) net::Kind::kHost; only proven servers may send these.
#pragma once

#include <variant>
#include "core/base/message.h"
#include "core/base/result.h"
#include "core/net/group.h"
#include "core/net/transport.h"
#include "core/wire/codec.h"

namespace skua::raft {

struct Member {
    ServerId server;
    u64 store = 0; // drawn when the store was made
    FIELDS(server, store)
};

// Makes a group from nothing, once: idempotent if equal, else Exists.
struct Format {
    MESSAGE(1, Format)
    ClusterId cluster;
    GroupId group;
    std::vector<Member> members;
    Bytes config; // the machine's (StateMachine::format)
    Wall made;    // the first entry's, the same for every member; 0: of a group with one
    FIELDS(cluster, group, members, config, made)
    using Reply = Done;
};

struct GroupStatus {
    GroupId group;
    bool leading = false;
    Term term;
    Index last, committed, applied, flushed;
    Age age;
    std::string trouble; // why it is down; empty: it is not
    FIELDS(group, leading, term, last, committed, applied, flushed, age, trouble)
};
struct HostStatus {
    MESSAGE(2, HostStatus)
    FIELDS()
    struct Reply {
        std::vector<GroupStatus> groups;
        u64 log_bytes = 0, rows_flushed = 0;
        Member self;      // server 0: it is in no group yet
        std::string name; // "shard-0"
        FIELDS(groups, log_bytes, rows_flushed, self, name)
    };
};

using HostRequest = std::variant<Format, HostStatus>;

} // namespace skua::raft
