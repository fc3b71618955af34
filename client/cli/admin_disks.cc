// admin set-up, set-read-only, confirm-dead: a human's word about a disk.
#include "client/cli/admin.h"
#include "client/cli/all.h"

namespace skua::cli {

namespace {

struct DiskWord {
    std::string disk;
    bool force = false;
};

std::string stateText(registry::DiskState state) {
    const char* names[] = {"up", "read-only", "draining", "dead", "removed"};
    return static_cast<u8>(state) < 5 ? names[static_cast<u8>(state)] : "unknown";
}

Task<Result<>> setDisk(Client& client, DiskWord o, registry::DiskState state) {
    CO_TRY_OK(co_await client.cluster.refresh());
    const registry::ClusterMap& map = client.cluster.map();
    CO_TRY(const registry::DiskRow disk, diskNamed(map, o.disk));
    std::string name = "disk " + std::to_string(disk.id.value);
    for (const auto& s : map.servers)
        if (s.id == disk.server) name += " of " + s.name;
    const client::Service* service = client.cluster.service(disk.id);
    if (state == registry::DiskState::kDead && !o.force && service && service->up)
        co_return Error(Code::NotPermitted,
                        name +
                            " is alive and answers. Said to be dead it is written to no more, and its blocks count as lost; to "
                            "only keep new blocks away: set-read-only. --force does it");
    registry::SetDisk set;
    set.id = disk.id;
    set.state = state;
    CO_TRY_OK(co_await client.metadata.caller().mutate(kRegistryGroup, set));
    std::string text = name + ": " + stateText(state);
    if (disk.state == state) text += ", as it was; now by your word";
    else text += ", was " + stateText(disk.state);
    if (state == registry::DiskState::kDead)
        text += "; should it come back, `skua admin set-up --disk " + std::to_string(disk.id.value) + "` takes it in again";
    print(text + "\n");
    co_return Ok{};
}

} // namespace

Result<registry::DiskRow> diskNamed(const registry::ClusterMap& map, const std::string& text) {
    for (const auto& d : map.disks)
        if (std::to_string(d.id.value) == text) return d;
    std::string several;
    const registry::DiskRow* found = nullptr;
    u64 count = 0;
    for (const auto& s : map.servers)
        for (const auto& d : map.disks)
            if (s.name == text && d.server == s.id) {
                several += (several.empty() ? "" : ", ") + std::to_string(d.id.value);
                found = &d;
                count++;
            }
    if (count == 1) return *found;
    if (count > 1) return Error(Code::Invalid, text + " has the disks " + several + ": say which, by its number");
    return Error(Code::Invalid, "there is no disk " + text + ": `skua admin servers` lists servers and their disks");
}

void addAdminDisks(Commands& all) {
    struct Verb {
        const char* name;
        const char* help;
        registry::DiskState state;
    };
    for (const Verb& v : {Verb{"admin set-read-only", "A disk takes no new blocks", registry::DiskState::kReadOnly},
                          Verb{"admin set-up", "A disk takes blocks again", registry::DiskState::kUp},
                          Verb{"admin confirm-dead", "A human's word that a disk is lost", registry::DiskState::kDead}}) {
        auto o = std::make_shared<DiskWord>();
        const registry::DiskState state = v.state;
        Flags& f = all.add(v.name, v.help, std::string("skua ") + v.name + " --disk 3", [&all, o, state] {
            return withClient(all.settings, [&](Client& client) { return setDisk(client, *o, state); });
        });
        f.option("--disk", o->disk, "Its id, as in `skua admin servers`; or the name of its server, if that has only one");
        f.require("--disk");
        if (state == registry::DiskState::kDead) f.flag("--force", o->force, "Though it is alive and answers");
    }
}

} // namespace skua::cli
