// RegistryPeers: how the registry's members find each other. No map says where they are before they have a leader; the
// configuration's addresses do, and who answers there says who it is (HostStatus).
//
// Belongs to the ring's thread.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>
#include "core/async/ring.h"
#include "core/async/sync.h"
#include "core/async/task.h"
#include "core/net/keys.h"
#include "core/net/pool.h"
#include "raft/directory.h"
#include "raft/messages.h"

namespace skua::raft {

class RegistryPeers {
public:
    RegistryPeers(Ring& ring, net::Pool& pool, Directory& directory) : ring_(ring), pool_(pool), directory_(directory) {}

    // Makes the registry's group, once, out of config.replicas processes: when all of them are there they are told who the
    // members are, this one (whose store is `self`) last, by `here`; a crash on the way begins anew. The same each time: the
    // order of the names, the stores, and a time that is a constant. Ends when `formless` says no.
    Task<> form(registry::RegistryConfig config, u64 self, std::function<bool()> formless, std::function<void(std::string)> here);

    // For ever: looks for the members after lost().
    Task<> find();
    // A frame did not get there. After a restart of all members, with other ports, the map cannot help.
    void lost() { lost_.set(); }
    void forget(ServerId server, const net::Address& address);
    net::Address addressOf(ServerId server) const; // empty: not known

private:
    struct Found {
        net::Address address;
        Member self;
        std::string name;
    };
    Task<Result<Found>> whoIs(net::Address address);
    Task<std::vector<Found>> whoIsThere();
    static Format formatOf(registry::RegistryConfig config, const std::vector<Found>& members);

    Ring& ring_;
    net::Pool& pool_;
    Directory& directory_;
    std::map<ServerId, net::Address> peers_;
    Event lost_;
};

} // namespace skua::raft
