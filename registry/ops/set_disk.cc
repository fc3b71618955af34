// SetDisk: a human's decision about a disk. Its return from silence does not undo it.
#include "registry/ops/apply.h"

namespace skua::registry {

template <>
Result<SetDisk::Reply> apply(Context& c, const SetDisk& op) {
    if (op.state > DiskState::kRemoved) return Error(Code::Invalid, "no such state of a disk");
    if (op.expected != MapVersion{} && op.expected != c.meta.version)
        return Error(Code::Conflict, "the map has changed meanwhile");
    TRY(StoredDisk row, Disks::find(c.rows, {op.id}, Error(Code::NotFound, "no disk " + std::to_string(op.id.value))));
    if (row.disk.state == DiskState::kRemoved && op.state != DiskState::kRemoved)
        return Error(Code::NotPermitted, "a removed disk stays removed");
    if (row.disk.state == op.state && !row.by_silence) return Done{};
    row.disk.state = op.state;
    row.by_silence = false;
    Disks::put(c.rows, {op.id}, row);
    c.changed();
    return Done{};
}

} // namespace skua::registry
