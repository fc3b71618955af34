// RegisterDisk: a disk says where it is. A disk that appears from another server gets a new incarnation,
// which fences the old process; a restart on the same one keeps it. One that
// was dead by its silence is what it was before.
#include "registry/ops/apply.h"

namespace skua::registry {

template <>
Result<RegisterDisk::Reply> apply(Context& c, const RegisterDisk& op) {
    if (!Servers::has(c.rows, {op.server})) return Error(Code::NotFound, "the disk's server is not registered");
    if (op.disk_class.size() > 32) return Error(Code::Invalid, "a disk class has at most 32 bytes");
    StoredDisk row;
    if (op.id.value != 0) {
        TRY(row, Disks::find(c.rows, {op.id},
                             Error(Code::NotFound, "disk " + std::to_string(op.id.value) + " is not of this cluster")));
        if (row.uuid != op.uuid)
            return Error(Code::Exists, "disk " + std::to_string(op.id.value) + " is another one: its uuid differs");
        if (row.disk.state == DiskState::kRemoved)
            return Error(Code::NotPermitted, "disk " + std::to_string(op.id.value) + " was removed; format it anew");
    } else {
        Disks::scan(c.rows, Disks::All{}, [&](const DiskKey&, const StoredDisk& known) {
            if (known.uuid == op.uuid) row = known;
            return row.disk.id.value == 0;
        });
    }
    const StoredDisk before = row;
    if (row.disk.id.value == 0) {
        row.disk.id = BlockServiceId{++c.meta.last_disk.value};
        row.uuid = op.uuid;
        row.disk.incarnation = Incarnation{1};
    } else if (row.disk.server != op.server) {
        row.disk.incarnation.value++;
    }
    row.disk.server = op.server;
    row.disk.disk_class = op.disk_class;
    row.disk.capacity = op.capacity;
    if (row.by_silence) {
        row.disk.state = row.before;
        row.by_silence = false;
    }
    if (!(row == before)) {
        Disks::put(c.rows, {row.disk.id}, row);
        c.changed();
    }
    RegisterDisk::Reply reply;
    reply.id = row.disk.id;
    reply.incarnation = row.disk.incarnation;
    reply.state = row.disk.state;
    return reply;
}

} // namespace skua::registry
