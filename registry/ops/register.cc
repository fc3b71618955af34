// Register: a process says where it is. Its name is its identity; each registration raises its incarnation,
// so that an older process of the same name is told apart.
#include "registry/ops/apply.h"

namespace skua::registry {

template <>
Result<Register::Reply> apply(Context& c, const Register& op) {
    if (op.name.empty() || op.name.size() > 64) return Error(Code::Invalid, "a server's name has 1 to 64 bytes");
    if (op.role > ServerRole::kMount) return Error(Code::Invalid, "no such role");
    if (op.domain.size() > 64 || op.address.text.size() > 128) return Error(Code::Invalid, "domain or address is too long");
    ServerRow row;
    Servers::scan(c.rows, Servers::All{}, [&](const ServerKey&, const ServerRow& known) {
        if (known.name == op.name) row = known;
        return row.id.value == 0;
    });
    if (row.id.value == 0) {
        row.id = ServerId{++c.meta.last_server.value};
        row.name = op.name;
    } else if (row.role != op.role) {
        return Error(Code::Exists, "the name " + op.name + " belongs to a server of another role");
    }
    if (Barred::has(c.rows, {op.store}))
        return Error(Code::Stale, "a group of " + op.name + " went on without this copy (skua admin recover-group): its folder " +
                                      "must never be served again; move it away and begin with an empty one");
    row.role = op.role;
    row.address = op.address;
    row.domain = op.domain.empty() ? op.name : op.domain;
    row.incarnation.value++;
    row.store = op.store;
    Servers::put(c.rows, {row.id}, row);
    if (op.role == ServerRole::kRegistry && !Groups::has(c.rows, {kRegistryGroup})) { // made without a list of its members
        GroupRow own;
        own.id = kRegistryGroup;
        own.formatted = true;
        own.members = {{row.id, row.store}};
        Groups::put(c.rows, {kRegistryGroup}, own);
    }
    c.changed();
    Register::Reply reply;
    reply.id = row.id;
    reply.incarnation = row.incarnation;
    reply.version = c.meta.version;
    return reply;
}

} // namespace skua::registry
