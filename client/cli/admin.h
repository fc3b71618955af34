// What the `admin` commands share: servers and disks by what people call them; who shall lead what.
#pragma once

#include <map>
#include <optional>
#include <string>
#include "client/cli/command.h"

namespace skua::cli {

// By name, else by id. Invalid: there is none; it names the command that lists them.
Result<registry::ServerRow> serverNamed(const registry::ClusterMap& map, const std::string& text);
// By id, or by the name of the server whose only disk it is. Invalid: there is none, or it has several, which are listed.
Result<registry::DiskRow> diskNamed(const registry::ClusterMap& map, const std::string& text);
// "registry", "cdc", "shard:3" and back.
Result<GroupId> groupNamed(const std::string& text);
std::string groupName(GroupId group);

struct LeaderMove {
    GroupId group;
    raft::Member to;
    ServerId from;
};
// The next leadership to hand over so that nobody leads two groups more than another one that could; none: it is so. As
// the registry does by itself, one every few seconds (registry/members.cc:spreadLeaders).
std::optional<LeaderMove> nextLeaderMove(const registry::ClusterMap& map, const std::map<u32, registry::ServerHint>& hints);

void addAdminDisks(Commands& all);
void addAdminLeaders(Commands& all);
void addAdminRecover(Commands& all);

} // namespace skua::cli
