// xattr get, set, list, remove.
#include <nlohmann/json.hpp>
#include "client/cli/all.h"

namespace skua::cli {

namespace {

struct XattrFlags {
    std::string path, name, value;
    bool json = false;
};

// The kernel knows no other: what is outside of them no mount would show.
bool inANamespace(const std::string& name) {
    for (const std::string_view space : {"user.", "trusted.", "security.", "system."})
        if (name.starts_with(space) && name.size() > space.size()) return true;
    return false;
}

Task<Result<InodeId>> inodeOf(Client& client, const std::string& path) {
    CO_TRY(client::Place place, co_await client::resolveExisting(client.metadata, path, client::Follow::kLast));
    co_return place.attributes->inode;
}

Task<Result<>> get(Client& client, std::string path, const XattrFlags& flags) {
    CO_TRY(const InodeId inode, co_await inodeOf(client, path));
    auto value = co_await client.metadata.getXattr(inode, flags.name);
    if (!value) co_return client::withPath(value.error(), path + " " + flags.name);
    if (flags.json) print(nlohmann::json{{"name", flags.name}, {"value", *value}});
    else print(*value + "\n");
    co_return Ok{};
}

Task<Result<>> set(Client& client, std::string path, const XattrFlags& flags) {
    CO_TRY(const InodeId inode, co_await inodeOf(client, path));
    auto done = co_await client.metadata.setXattr(inode, flags.name, flags.value, shard::XattrMode::kAny);
    if (!done) co_return client::withPath(done.error(), path + " " + flags.name);
    co_return Ok{};
}

Task<Result<>> list(Client& client, std::string path, const XattrFlags& flags) {
    CO_TRY(const InodeId inode, co_await inodeOf(client, path));
    auto names = co_await client.metadata.listXattr(inode);
    if (!names) co_return client::withPath(names.error(), path);
    if (flags.json) print(nlohmann::json(*names));
    else
        for (const auto& name : *names) print(name + "\n");
    co_return Ok{};
}

Task<Result<>> removeOne(Client& client, std::string path, const XattrFlags& flags) {
    CO_TRY(const InodeId inode, co_await inodeOf(client, path));
    auto done = co_await client.metadata.removeXattr(inode, flags.name);
    if (!done) co_return client::withPath(done.error(), path + " " + flags.name);
    co_return Ok{};
}

} // namespace

void addXattr(Commands& all) {
    auto o = std::make_shared<XattrFlags>();
    auto add = [&](const std::string& name, const std::string& help, const std::string& example,
                   Task<Result<>> (*work)(Client&, std::string, const XattrFlags&)) -> Flags& {
        Flags& f = all.add(name, help, example, [&all, o, work] {
            auto path = remotePath(o->path);
            if (!path) return usage(path.error().detail);
            if (!o->name.empty() && !inANamespace(o->name))
                return usage("\"" + o->name + "\": names of attributes start with `user.`: write user." +
                             (o->name.starts_with(".") ? o->name.substr(1) : o->name));
            return withClient(all.settings, [&](Client& client) { return work(client, *path, *o); });
        });
        f.positional("PATH", o->path, "A path in skua");
        return f;
    };
    Flags& g = add("xattr get", "Prints an extended attribute", "skua xattr get /f user.color", get);
    g.positional("NAME", o->name, "Its name, as user.color");
    g.flag("--json", o->json, "As JSON");
    Flags& s = add("xattr set", "Sets an extended attribute", "skua xattr set /f user.color green", set);
    s.positional("NAME", o->name, "Its name, as user.color");
    s.positional("VALUE", o->value, "Its value");
    Flags& l = add("xattr list", "Lists the names of extended attributes", "skua xattr list /f", list);
    l.flag("--json", o->json, "As JSON");
    Flags& r = add("xattr remove", "Removes an extended attribute", "skua xattr remove /f user.color", removeOne);
    r.positional("NAME", o->name, "Its name, as user.color");
}

} // namespace skua::cli
