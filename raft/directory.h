// Directory: where the groups are, for a server: the registry's map, kept fresh, and the way to the registry
// itself, from flags or from the configuration file (read again when nobody answers: ports may have changed).
//
// Works on with the map it has while the registry is away. Belongs to the ring's thread.
#pragma once

#include <functional>
#include "core/async/sync.h"
#include "core/net/group_caller.h"
#include "registry/messages.h"

namespace skua::raft {

class Directory final : public net::GroupDirectory {
public:
    using Addresses = std::function<std::vector<std::string>()>;

    explicit Directory(Addresses registry) : registry_(std::move(registry)) { addresses_ = registry_(); }

    std::vector<net::Address> membersOf(GroupId group) override;
    net::Address addressOf(ServerId server) override;
    void suspect(GroupId group) override;

    const registry::ClusterMap& map() const { return map_; }
    // Only a newer map of the same cluster that still has servers; else it is kept out.
    bool install(const registry::ClusterMap& map);
    Event& changed() { return changed_; }
    // Told of every map that is installed.
    std::function<void(const registry::ClusterMap&)> installed;

private:
    Addresses registry_;
    std::vector<std::string> addresses_;
    registry::ClusterMap map_;
    Event changed_;
};

// Long-polls the registry for newer maps; ends when `stopping`.
Task<> followMap(Clock& clock, net::GroupCaller& caller, Directory& directory, const bool& stopping);

} // namespace skua::raft
