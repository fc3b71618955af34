#include "client/path.h"

#include <deque>
#include "client/client.h"
#include "core/data/names.h"

namespace skua::client {

Result<std::vector<std::string>> splitPath(std::string_view path) {
    if (path.size() > kMaxPath) return Error(Code::NameTooLong, "a path has at most 4,096 bytes");
    if (path.empty()) return Error(Code::NotFound, "a path is empty");
    std::vector<std::string> parts;
    std::size_t from = 0;
    while (from < path.size()) {
        std::size_t to = path.find('/', from);
        if (to == std::string_view::npos) to = path.size();
        const std::string_view part = path.substr(from, to - from);
        from = to + 1;
        if (part.empty() || part == ".") continue;
        if (part != "..") TRY_OK(checkName(part));
        parts.emplace_back(part);
    }
    return parts;
}

std::string joinPath(std::string_view dir, std::string_view name) {
    std::string path(dir);
    if (path.empty() || path.back() != '/') path += '/';
    return path.append(name);
}

std::string parentOf(std::string_view path) {
    while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
    const auto cut = path.rfind('/');
    if (cut == std::string_view::npos || cut == 0) return "/";
    return std::string(path.substr(0, cut));
}

std::string lastName(std::string_view path) {
    while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
    const auto cut = path.rfind('/');
    return std::string(cut == std::string_view::npos ? path : path.substr(cut + 1));
}

namespace {

struct Step {
    std::string name;
    Attributes attributes; // of the directory
};

std::string textOf(const std::vector<Step>& way) {
    std::string path;
    for (std::size_t i = 1; i < way.size(); i++) path += "/" + way[i].name;
    return path.empty() ? "/" : path;
}

// Ended in "/", "/." or "/..": the last name must be a directory, and links are followed.
bool meansDirectory(std::string_view path) {
    return path.ends_with('/') || path.ends_with("/.") || path.ends_with("/..") || path == "." || path == "..";
}

} // namespace

Task<Result<Place>> resolve(Metadata& metadata, std::string path, Follow follow) {
    auto split = splitPath(path);
    if (!split) co_return withPath(split.error(), path);
    std::deque<std::string> left(split->begin(), split->end());
    const bool directory = meansDirectory(path);
    std::vector<Step> way;
    Step root;
    root.attributes.inode = kRoot;
    way.push_back(root);
    int links = 0;
    while (!left.empty()) {
        const std::string name = left.front();
        left.pop_front();
        if (name == "..") {
            if (way.size() > 1) way.pop_back();
            continue;
        }
        const bool last = left.empty();
        const InodeId dir = way.back().attributes.inode;
        auto entry = co_await metadata.lookup(dir, name);
        if (!entry) {
            if (entry.code() == Code::NotFound && last) {
                Place place;
                place.dir = dir;
                place.name = name;
                place.path = joinPath(textOf(way), name);
                co_return place;
            }
            co_return withPath(entry.error(), joinPath(textOf(way), name));
        }
        const bool is_link = (entry->attributes.mode & 0170000) == 0120000;
        if (is_link && (!last || follow == Follow::kLast || directory)) {
            if (++links > kMaxLinksFollowed) co_return Error(Code::Invalid, path + ": more than 40 symlinks (a loop?)");
            auto target = co_await metadata.readLink(entry->inode);
            if (!target) co_return withPath(target.error(), joinPath(textOf(way), name));
            auto parts = splitPath(*target);
            if (!parts) co_return withPath(parts.error(), path);
            if (parts->size() + left.size() > kMaxPath) co_return Error(Code::NameTooLong, path);
            if (target->starts_with('/')) way.resize(1);
            left.insert(left.begin(), parts->begin(), parts->end());
            continue;
        }
        if (entry->inode.isDirectory()) {
            Step step;
            step.name = name;
            step.attributes = entry->attributes;
            way.push_back(step);
            continue;
        }
        if (!last || directory) co_return Error(Code::NotDirectory, joinPath(textOf(way), name));
        Place place;
        place.dir = dir;
        place.name = name;
        place.attributes = entry->attributes;
        place.path = joinPath(textOf(way), name);
        co_return place;
    }
    Place place;
    place.path = textOf(way);
    place.attributes = way.back().attributes;
    if (way.size() > 1) {
        place.dir = way[way.size() - 2].attributes.inode;
        place.name = way.back().name;
    } else {
        auto attributes = co_await metadata.getAttr(kRoot);
        if (!attributes) co_return withPath(attributes.error(), path);
        place.attributes = *attributes;
    }
    co_return place;
}

Task<Result<Place>> resolveExisting(Metadata& metadata, std::string path, Follow follow) {
    CO_TRY(Place place, co_await resolve(metadata, path, follow));
    if (!place.exists()) co_return Error(Code::NotFound, place.path);
    co_return place;
}

} // namespace skua::client
