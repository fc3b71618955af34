// chown: owner and group.
#include <grp.h>
#include <pwd.h>
#include <cstdlib>
#include "client/cli/all.h"
#include "client/cli/each.h"
#include "client/cli/walk.h"

namespace skua::cli {

namespace {

struct Ids {
    std::optional<u32> uid, gid;
};

std::optional<u32> number(const std::string& text) {
    if (text.empty() || text.size() > 9 || text.find_first_not_of("0123456789") != text.npos) return std::nullopt;
    return static_cast<u32>(std::stoul(text));
}

// "user", "user:group", ":group", by name or number.
Result<Ids> idsOf(const std::string& text) {
    Ids ids;
    const auto colon = text.find(':');
    const std::string user = text.substr(0, colon), group_name = colon == text.npos ? "" : text.substr(colon + 1);
    if (!user.empty() && !(ids.uid = number(user))) {
        const passwd* p = getpwnam(user.c_str());
        if (!p) return Error(Code::Invalid, "there is no user " + user + " here");
        ids.uid = p->pw_uid;
    }
    if (!group_name.empty() && !(ids.gid = number(group_name))) {
        const group* g = getgrnam(group_name.c_str());
        if (!g) return Error(Code::Invalid, "there is no group " + group_name + " here");
        ids.gid = g->gr_gid;
    }
    if (!ids.uid && !ids.gid) return Error(Code::Invalid, "\"" + text + "\" names nobody: write user, user:group or :group");
    return ids;
}

Task<Result<>> chown(Client& client, std::string path, Ids ids, bool recursive) {
    FileSystem fs(client);
    std::vector<std::string> found;
    Walk walk;
    walk.depth_most = recursive ? ~0u : 0;
    walk.enter = [&](const Walked& w) {
        found.push_back(w.path);
        return true;
    };
    CO_TRY_OK(co_await walkTree(fs, path, walk));
    for (const std::string& one : found) { CO_TRY_OK(co_await fs.chown(one, ids.uid, ids.gid)); }
    co_return Ok{};
}

} // namespace

void addChown(Commands& all) {
    struct Options {
        std::string owner;
        std::vector<std::string> paths;
        bool recursive = false;
    };
    auto o = std::make_shared<Options>();
    Flags& f = all.add("chown", "Changes owner and group", "skua chown alice:staff /home/alice", [&all, o] {
        auto ids = idsOf(o->owner);
        if (!ids) return usage(ids.error().detail);
        return forEachPath(all.settings, o->paths,
                           [&](Client& client, std::string path) { return chown(client, std::move(path), *ids, o->recursive); });
    });
    f.positional("OWNER", o->owner, "user, user:group or :group; names or numbers");
    f.positional("PATH", o->paths, "Paths in skua");
    f.flag("-R,--recursive", o->recursive, "All below, too");
}

} // namespace skua::cli
