#include "client/cli/walk.h"

namespace skua::cli {

namespace {

Task<> walkInto(FileSystem& fs, Walked at, Walk& walk) {
    const bool go = walk.enter(at);
    if (!at.attributes.inode.isDirectory()) co_return Ok{};
    if (go && at.depth < walk.depth_most) {
        auto all = co_await fs.list(at.path);
        if (!all && all.code() != Code::NotFound) {
            fail(all.error());
            walk.failures++;
        }
        for (std::size_t i = 0; all && i < all->size(); i++) {
            const client::Listed& e = (*all)[i];
            if (!e.attributes) continue;
            Walked below;
            below.path = client::joinPath(at.path, e.name);
            below.name = e.name;
            below.depth = at.depth + 1;
            below.last = i + 1 == all->size();
            below.index = i;
            below.of = all->size();
            below.attributes = *e.attributes;
            co_await walkInto(fs, std::move(below), walk);
        }
    }
    if (walk.leave) walk.leave(at);
    co_return Ok{};
}

} // namespace

Task<Result<>> walkTree(FileSystem& fs, std::string path, Walk& walk) {
    CO_TRY(client::Place place, co_await client::resolveExisting(fs.client().metadata, path, client::Follow::kLast));
    Walked top;
    top.path = place.path;
    top.name = path;
    top.attributes = *place.attributes;
    co_await walkInto(fs, std::move(top), walk);
    co_return Ok{};
}

} // namespace skua::cli
