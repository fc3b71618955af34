// ls: directories and files, short or long.
#include <grp.h>
#include <pwd.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include "client/cli/all.h"

namespace skua::cli {

namespace {

struct LsFlags {
    std::vector<std::string> paths;
    bool all = false, lengthy = false, directory = false, human = false, json = false, one = false;
};

std::string userName(u32 uid) {
    static std::map<u32, std::string> known;
    auto& name = known[uid];
    if (name.empty()) {
        const passwd* p = getpwuid(uid);
        name = p ? p->pw_name : std::to_string(uid);
    }
    return name;
}
std::string groupName(u32 gid) {
    static std::map<u32, std::string> known;
    auto& name = known[gid];
    if (name.empty()) {
        const group* g = getgrgid(gid);
        name = g ? g->gr_name : std::to_string(gid);
    }
    return name;
}

std::string line(const LsFlags& f, const client::Listed& e) {
    const Attributes a = e.attributes.value_or(Attributes{});
    char text[160];
    const std::string size = f.human ? humanBytes(a.size) : std::to_string(a.size);
    std::snprintf(text, sizeof text, "%s %3u %-8s %-8s %12s %s ", modeText(a.mode).c_str(), a.nlink, userName(a.uid).c_str(),
                  groupName(a.gid).c_str(), size.c_str(), humanTime(a.mtime).c_str());
    return text;
}

std::string columns(const std::vector<client::Listed>& all) {
    std::size_t widest = 1;
    for (const auto& e : all) widest = std::max(widest, shownName(e.name).size() + 2);
    winsize w{};
    const std::size_t width = ioctl(1, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 ? w.ws_col : 80;
    const std::size_t across = std::max<std::size_t>(1, width / widest), down = (all.size() + across - 1) / across;
    std::string text;
    for (std::size_t row = 0; row < down; row++) {
        std::string out;
        for (std::size_t i = row; i < all.size(); i += down) {
            out.resize(i / down * widest, ' ');
            out += shownName(all[i].name);
        }
        text += out + "\n";
    }
    return text;
}

Task<Result<>> show(Client& client, const LsFlags& flags, const std::vector<client::Listed>& all, std::string dir,
                    nlohmann::json& json) {
    if (flags.json) {
        for (const auto& e : all) {
            nlohmann::json one = e.attributes ? toJson(*e.attributes) : nlohmann::json::object();
            one["name"] = e.name;
            one["path"] = client::joinPath(dir, e.name);
            json.push_back(std::move(one));
        }
        co_return Ok{};
    }
    if (!flags.lengthy) {
        std::string text;
        if (isatty(1) && !flags.one) text = columns(all);
        else
            for (const auto& e : all) text += shownName(e.name) + "\n";
        print(text);
        co_return Ok{};
    }
    for (const auto& e : all) {
        std::string text = line(flags, e) + shownName(e.name);
        if (e.attributes && modeText(e.attributes->mode)[0] == 'l') {
            auto target = co_await client.metadata.readLink(e.inode);
            text += " -> " + (target ? shownName(*target) : std::string("?"));
        }
        print(text + "\n");
    }
    co_return Ok{};
}

Task<int> ls(Client& client, const LsFlags& flags) {
    FileSystem fs(client);
    nlohmann::json json = nlohmann::json::array();
    int code = kFine;
    bool first = true;
    for (const std::string& text : flags.paths) {
        auto path = remotePath(text);
        if (!path) co_return usage(path.error().detail);
        const auto follow = flags.lengthy || flags.directory ? client::Follow::kNotLast : client::Follow::kLast;
        auto place = co_await client::resolveExisting(client.metadata, *path, follow);
        if (!place) {
            code = fail(place.error());
            continue;
        }
        std::vector<client::Listed> all;
        std::string dir = client::parentOf(place->path);
        if (place->isDirectory() && !flags.directory) {
            auto listed = co_await fs.list(place->path);
            if (!listed) {
                code = fail(listed.error());
                continue;
            }
            all = std::move(*listed);
            dir = place->path;
            if (!flags.all && !flags.json) std::erase_if(all, [](const client::Listed& e) { return e.name.starts_with("."); });
        } else {
            client::Listed one;
            one.name = text;
            one.inode = place->attributes->inode;
            one.attributes = place->attributes;
            if (flags.json) one.name = place->name;
            all.push_back(std::move(one));
        }
        if (!flags.json && flags.paths.size() > 1 && place->isDirectory() && !flags.directory)
            print((first ? "" : "\n") + shownName(text) + ":\n");
        first = false;
        auto shown = co_await show(client, flags, all, dir, json);
        if (!shown) code = fail(shown.error());
    }
    if (flags.json) print(json);
    co_return code;
}

} // namespace

void addLs(Commands& all) {
    auto o = std::make_shared<LsFlags>();
    Flags& f = all.add("ls", "Lists directories", "skua ls -l /photos", [&all, o] {
        if (o->paths.empty()) o->paths.push_back("/");
        return withClientCode(all.settings, [&](Client& client) { return ls(client, *o); });
    });
    f.positional("PATH", o->paths, "What to list (default: /)", false);
    f.flag("-l", o->lengthy, "Modes, links, owners, sizes, times");
    f.flag("-a,--all", o->all, "Names that begin with a dot, too");
    f.flag("-d,--directory", o->directory, "Directories themselves, not what is in them");
    f.flag("-1", o->one, "One name a line");
    f.flag("--human", o->human, "Sizes as 1.5 MiB");
    f.flag("--json", o->json, "As JSON");
}

} // namespace skua::cli
