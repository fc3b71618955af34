// What is always true of the registry's rows.
#include "registry/state.h"

namespace skua::registry {

std::vector<std::string> problems(const store::Reader& r) {
    std::vector<std::string> found;
    const Meta meta = Metas::get(r, {}).value_or(Meta{});
    Servers::scan(r, Servers::All{}, [&](const ServerKey& key, const ServerRow& row) {
        if (row.id != key.id || key.id.value > meta.last_server.value)
            found.push_back("server " + std::to_string(key.id.value) + " has an id that was never given");
        return true;
    });
    Disks::scan(r, Disks::All{}, [&](const DiskKey& key, const StoredDisk& row) {
        if (row.disk.id != key.id || key.id.value > meta.last_disk.value)
            found.push_back("disk " + std::to_string(key.id.value) + " has an id that was never given");
        if (!Servers::has(r, {row.disk.server}))
            found.push_back("disk " + std::to_string(key.id.value) + " is on a server that is not there");
        return true;
    });
    Groups::scan(r, Groups::All{}, [&](const GroupKey& key, const GroupRow& row) {
        for (const raft::Member& member : row.members)
            if (!Servers::has(r, {member.server}))
                found.push_back("group " + std::to_string(key.id.value) + " has a member that is not there");
        return true;
    });
    return found;
}

} // namespace skua::registry
