// Presence: a process registers by its name, then beats once a second: that it lives, what it leads, and the members of
// groups that the map does not have yet. Ends the process when a newer one has its name, or its copy was abandoned.
//
// Belongs to the ring's thread.
#pragma once

#include <string>
#include <vector>
#include "core/async/ring.h"
#include "core/async/sync.h"
#include "core/async/task.h"
#include "core/net/group_caller.h"
#include "raft/directory.h"
#include "raft/server.h"

namespace skua::raft {

class Presence {
public:
    Presence(Ring& ring, net::GroupCaller& caller, net::GroupCaller& registrar, const Directory& directory)
        : ring_(ring), caller_(caller), registrar_(registrar), directory_(directory) {}

    // For ever. `dir` is named when the process must end.
    Task<> keep(registry::Register self, std::string dir, const Server& server);
    // Whoever asks the registry shall know at once who leads.
    void note(const Server& server);
    Event& changed() { return changed_; }

private:
    std::vector<registry::GroupRow> otherThanMapped(const Server& server) const;

    Ring& ring_;
    net::GroupCaller &caller_, &registrar_;
    const Directory& directory_;
    Event changed_;
    std::size_t leads_ = 0;
};

} // namespace skua::raft
