// What workers do with names, attributes and the past.
#include <algorithm>
#include "tests/sim/worker.h"

namespace skua::sim {

// What came of it? Reads tell the checker.
Task<> Worker::verify(Life life, Arena& arena, InodeId dir, std::string name) {
    if (world_.random.oneIn(4)) co_return Ok{};
    Op op;
    op.kind = Kind::kLookup;
    op.dir = dir;
    op.name = name;
    const u32 number = invoke(arena, std::move(op));
    auto reply = co_await life->client.metadata.lookup(dir, name);
    Heard heard;
    const Error* error = reply ? nullptr : &reply.error();
    if (took(life, arena, number, error, heard) == Took::kNothing) co_return Ok{};
    if (reply) {
        heard.names = {{"", reply->inode}};
        heard.detail = textOf(reply->attributes);
        arena.learn(dir, name, reply->inode);
    }
    hear(arena, number, heard);
    co_return Ok{};
}

Task<> Worker::names(Life life, Arena& arena) {
    client::Metadata& m = life->client.metadata;
    Op op;
    // Links come and go; elsewhere more is made than removed.
    u64 which = world_.random.below(8);
    if (crew_.theme == 2 && which < 3) which = 4;
    Arena::Place place{anyDir(arena), anyName(arena), InodeId{}};
    if (which == 4 || which == 5) place = anyPlace(arena, [](InodeId i) { return !i.isDirectory(); });
    if (which > 5) place = anyPlace(arena, [](InodeId i) { return i.isDirectory(); });
    // The directory that somebody is just moving something to.
    if (crew_.theme == 1 && arena.moving != 0 && world_.random.oneIn(2))
        for (const Arena::Place& p : arena.seen)
            if (p.inode == arena.target) place = p, which = 6;
    op.dir = place.dir;
    op.name = place.name;
    const InodeId dir = op.dir;
    const std::string name = op.name;
    Heard heard;
    u32 number = 0;
    Took what = Took::kNothing;
    if (which < 3) {
        op.kind = Kind::kMkdir;
        op.mode = 0755;
        number = invoke(arena, std::move(op));
        auto reply = co_await m.mkdir(dir, name, 0755, client::Owner());
        const Error* error = reply ? nullptr : &reply.error();
        what = took(life, arena, number, error, heard);
        if (reply && what == Took::kAnswer) {
            heard.names = {{"", reply->inode}};
            arena.learn(dir, name, reply->inode);
        }
    } else if (which == 3) {
        op.kind = Kind::kSymlink;
        op.text = "to/" + std::to_string(++tags_);
        const std::string target = op.text;
        number = invoke(arena, std::move(op));
        auto reply = co_await m.symlink(dir, name, target, client::Owner());
        const Error* error = reply ? nullptr : &reply.error();
        what = took(life, arena, number, error, heard);
        if (reply && what == Took::kAnswer) {
            heard.names = {{"", reply->inode}};
            arena.learn(dir, name, reply->inode);
        }
    } else if (which < 6) {
        op.kind = Kind::kUnlink;
        op.flag = world_.random.oneIn(3) && !arena.files.empty();
        if (op.flag) op.inode = anyFile(arena);
        const InodeId expected = op.inode;
        const bool hold = world_.random.oneIn(3);
        number = invoke(arena, std::move(op));
        auto reply = co_await m.unlinkEntry(dir, name, expected, hold);
        const Error* error = reply ? nullptr : &reply.error();
        what = took(life, arena, number, error, heard);
        if (reply && what == Took::kAnswer) {
            heard.names = {{"", reply->inode}};
            heard.until = reply->until.value;
        }
    } else {
        op.kind = Kind::kRmdir;
        number = invoke(arena, std::move(op));
        auto reply = co_await m.rmdir(dir, name);
        const Error* error = reply ? nullptr : &reply.error();
        what = took(life, arena, number, error, heard);
    }
    if (what == Took::kAnswer) hear(arena, number, heard);
    else if (!life->dead) co_await verify(life, arena, dir, name);
    co_return Ok{};
}

Task<> Worker::moves(Life life, Arena& arena, bool exchange) {
    client::Metadata& m = life->client.metadata;
    Op op;
    const bool of_dirs = crew_.theme == 1;
    Arena::Place from = anyPlace(arena, [of_dirs](InodeId i) { return !of_dirs || i.isDirectory(); });
    Arena::Place to{world_.random.oneIn(3) ? from.dir : anyDir(arena), anyName(arena), InodeId{}};
    if (exchange || world_.random.oneIn(3)) to = anyPlace(arena, [](InodeId) { return true; });
    // Somebody is just moving a directory: that into which it goes is moved into it. Each alone is harmless.
    if (of_dirs && !exchange && arena.moving != 0 && arena.carried.isDirectory() && world_.random.oneIn(2))
        for (const Arena::Place& p : arena.seen)
            if (p.inode == arena.target && !p.inode.none()) {
                from = p;
                to = {arena.carried, anyName(arena), InodeId{}};
                break;
            }
    op.dir = from.dir;
    op.name = from.name;
    op.dir2 = to.dir;
    op.name2 = to.name;
    if (exchange) arena.target = to.dir, arena.carried = {};
    const InodeId dir = op.dir, dir2 = op.dir2;
    const std::string name = op.name, name2 = op.name2;
    client::RenameFlags flags;
    Heard heard;
    if (!exchange) {
        // He moves what he sees there.
        Op look;
        look.kind = Kind::kLookup;
        look.dir = dir;
        look.name = name;
        const u32 looked = invoke(arena, look);
        auto there = co_await m.lookup(dir, name);
        const Error* error = there ? nullptr : &there.error();
        Heard seen;
        if (took(life, arena, looked, error, seen) == Took::kNothing) co_return Ok{};
        if (there) {
            seen.names = {{"", there->inode}};
            seen.detail = textOf(there->attributes);
            arena.learn(dir, name, there->inode);
        }
        hear(arena, looked, seen);
        if (!there) co_return Ok{};
        op.inode = there->inode;
        flags.no_replace = op.flag = world_.random.oneIn(4);
        flags.hold = world_.random.oneIn(4);
    }
    flags.exchange = exchange;
    op.kind = exchange ? Kind::kExchange : Kind::kRename;
    const InodeId moved = op.inode;
    const u32 number = invoke(arena, std::move(op));
    if (!exchange) arena.target = dir2, arena.carried = moved;
    arena.moving++;
    auto reply = co_await m.rename(dir, name, dir2, name2, moved, flags);
    arena.moving--;
    const Error* error = reply ? nullptr : &reply.error();
    if (took(life, arena, number, error, heard) == Took::kNothing) {
        if (life->dead) co_return Ok{};
        co_await verify(life, arena, dir, name);
        if (life->dead) co_return Ok{};
        co_await verify(life, arena, dir2, name2);
        co_return Ok{};
    }
    if (reply && !exchange) heard.names = {{"replaced", *reply}};
    hear(arena, number, heard);
    co_return Ok{};
}

Task<> Worker::link(Life life, Arena& arena) {
    const InodeId inode = anyFile(arena);
    if (inode.none()) co_return Ok{};
    Op op;
    op.kind = Kind::kLink;
    op.dir = anyDir(arena);
    op.name = anyName(arena);
    op.inode = inode;
    const InodeId dir = op.dir;
    const std::string name = op.name;
    const u32 number = invoke(arena, std::move(op));
    auto reply = co_await life->client.metadata.link(inode, dir, name);
    Heard heard;
    const Error* error = reply ? nullptr : &reply.error();
    if (took(life, arena, number, error, heard) == Took::kNothing) {
        if (!life->dead) co_await verify(life, arena, dir, name);
        co_return Ok{};
    }
    if (reply) heard.names = {{"", inode}};
    hear(arena, number, heard);
    co_return Ok{};
}

Task<> Worker::reads(Life life, Arena& arena) {
    client::Metadata& m = life->client.metadata;
    Op op;
    Heard heard;
    u32 number = 0;
    Took what = Took::kNothing;
    const u64 which = world_.random.below(8);
    const InodeId file = anyFile(arena);
    if (which < 2) {
        const InodeId dir = anyDir(arena);
        const std::string name = anyName(arena);
        co_await verify(life, arena, dir, name);
        co_return Ok{};
    }
    if (which < 4) {
        op.kind = Kind::kReadDir;
        op.dir = anyDir(arena);
        const InodeId dir = op.dir;
        number = invoke(arena, std::move(op));
        auto reply = co_await m.readDir(dir, 0, 4096, false);
        const Error* error = reply ? nullptr : &reply.error();
        what = took(life, arena, number, error, heard);
        if (what == Took::kNothing) co_return Ok{};
        if (reply) {
            for (const auto& e : reply->entries) {
                heard.names.emplace_back(e.name, e.inode);
                arena.learn(dir, e.name, e.inode);
            }
            std::sort(heard.names.begin(), heard.names.end());
        } else if (world_.random.oneIn(2)) {
            arena.forget(dir);
        }
    } else if (which == 4 && !arena.links.empty()) {
        op.kind = Kind::kReadLink;
        op.inode = arena.links[world_.random.below(arena.links.size())];
        const InodeId inode = op.inode;
        number = invoke(arena, std::move(op));
        auto reply = co_await m.readLink(inode);
        const Error* error = reply ? nullptr : &reply.error();
        what = took(life, arena, number, error, heard);
        if (what == Took::kNothing) co_return Ok{};
        if (reply) heard.detail = *reply;
        else arena.forget(inode);
    } else if (which == 5 && !file.none()) {
        op.kind = Kind::kGetAttr;
        op.inode = file;
        number = invoke(arena, std::move(op));
        auto reply = co_await m.getAttr(file);
        const Error* error = reply ? nullptr : &reply.error();
        what = took(life, arena, number, error, heard);
        if (what == Took::kNothing) co_return Ok{};
        if (reply) heard.detail = textOf(*reply);
        else arena.forget(file);
    } else if (!file.none()) {
        op.kind = Kind::kOpen;
        op.inode = file;
        number = invoke(arena, std::move(op));
        const u64 asked = world_.now();
        auto reply = co_await m.open(file);
        const Error* error = reply ? nullptr : &reply.error();
        what = took(life, arena, number, error, heard);
        if (what == Took::kNothing) co_return Ok{};
        if (reply) {
            heard.detail = textOf(reply->attributes) + " " + show(dataOf(*reply));
            remember(*reply, asked);
        } else {
            arena.forget(file);
        }
    }
    if (what == Took::kAnswer) hear(arena, number, heard);
    co_return Ok{};
}

Task<> Worker::attributes(Life life, Arena& arena) {
    client::Metadata& m = life->client.metadata;
    const InodeId inode = anyFile(arena);
    if (inode.none()) co_return Ok{};
    Op op;
    op.inode = inode;
    Heard heard;
    u32 number = 0;
    Took what = Took::kNothing;
    const std::string names[] = {"user.a", "user.b"};
    op.name = names[world_.random.below(2)];
    const std::string name = op.name;
    const u64 which = world_.random.below(4);
    if (which == 0) {
        op.kind = Kind::kSetAttr;
        op.mode = 0600 + static_cast<u32>(world_.random.below(0100));
        shard::SetAttr set;
        set.inode = inode;
        set.mode = op.mode;
        number = invoke(arena, std::move(op));
        auto reply = co_await m.setAttr(set);
        const Error* error = reply ? nullptr : &reply.error();
        what = took(life, arena, number, error, heard);
        if (reply && what == Took::kAnswer) heard.detail = textOf(*reply);
    } else if (which == 1) {
        op.kind = Kind::kRemoveXattr;
        number = invoke(arena, std::move(op));
        auto reply = co_await m.removeXattr(inode, name);
        const Error* error = reply ? nullptr : &reply.error();
        what = took(life, arena, number, error, heard);
    } else {
        op.kind = Kind::kSetXattr;
        op.text = "v" + std::to_string(++tags_);
        op.xattr_mode = static_cast<u8>(world_.random.below(3));
        const std::string value = op.text;
        const shard::XattrMode mode = static_cast<shard::XattrMode>(op.xattr_mode);
        number = invoke(arena, std::move(op));
        auto reply = co_await m.setXattr(inode, name, value, mode);
        const Error* error = reply ? nullptr : &reply.error();
        what = took(life, arena, number, error, heard);
    }
    if (what == Took::kAnswer) hear(arena, number, heard);
    co_return Ok{};
}

// Brings back what a directory's past has, or ends its retention.
Task<> Worker::past(Life life, Arena& arena) {
    client::Metadata& m = life->client.metadata;
    InodeId dir = anyDir(arena);
    shard::PastEntry entry;
    if (arena.bringing && world_.random.oneIn(2)) { // what somebody is just bringing back
        dir = arena.bringing->first;
        entry = arena.bringing->second;
    } else {
        auto list = co_await m.listPast(dir);
        if (life->dead || !list || list->empty()) co_return Ok{};
        entry = (*list)[world_.random.oneIn(2) ? 0 : world_.random.below(list->size())];
    }
    Op op;
    op.dir = dir;
    op.name = entry.name;
    op.inode = entry.inode;
    op.until = entry.until.value;
    Heard heard;
    if (world_.random.oneIn(4)) {
        op.kind = Kind::kPurge;
        const u32 number = invoke(arena, std::move(op));
        auto reply = co_await m.purgeEntry(dir, entry.name, entry.until);
        const Error* error = reply ? nullptr : &reply.error();
        if (took(life, arena, number, error, heard) == Took::kAnswer) hear(arena, number, heard);
        co_return Ok{};
    }
    op.kind = entry.inode.isDirectory() ? Kind::kUndeleteDir : Kind::kUndelete;
    op.dir2 = entry.inode.isDirectory() ? anyDir(arena) : dir;
    op.name2 = anyName(arena);
    const InodeId to = op.dir2;
    const std::string name = op.name2;
    const u32 number = invoke(arena, std::move(op));
    arena.bringing.emplace(dir, entry);
    auto reply = co_await m.undelete(dir, entry.name, entry.until, entry.inode, to, name);
    arena.bringing.reset();
    const Error* error = reply ? nullptr : &reply.error();
    if (took(life, arena, number, error, heard) == Took::kNothing) {
        if (!life->dead) co_await verify(life, arena, to, name);
        co_return Ok{};
    }
    if (reply) {
        heard.names = {{"", *reply}};
        arena.learn(to, name, *reply);
    }
    hear(arena, number, heard);
    co_return Ok{};
}

Task<> Worker::pastContents(Life life, Arena& arena) {
    const InodeId inode = anyFile(arena);
    if (inode.none()) co_return Ok{};
    client::Metadata& m = life->client.metadata;
    shard::PastContents ask{inode};
    const u64 looked = world_.now();
    auto list = co_await m.caller().query(groupOf(inode.shard()), ask);
    if (life->dead || !list || list->contents.empty()) co_return Ok{};
    const shard::PastContent past = list->contents[world_.random.below(list->contents.size())];
    if (world_.random.oneIn(3)) {
        (void)co_await m.purgeContent(inode, past.until);
        co_return Ok{};
    }
    Op op;
    op.kind = Kind::kRestore;
    op.inode = inode;
    op.content = past.content.value;
    op.looked = looked;
    const u32 number = invoke(arena, std::move(op));
    auto reply = co_await m.restoreContent(inode, past.until);
    Heard heard;
    const Error* error = reply ? nullptr : &reply.error();
    if (took(life, arena, number, error, heard) == Took::kNothing) co_return Ok{};
    if (reply) heard.detail = textOf(*reply);
    hear(arena, number, heard);
    co_return Ok{};
}

// What changes nothing that the model knows.
Task<> Worker::other(Life life, Arena& arena) {
    client::Metadata& m = life->client.metadata;
    const InodeId file = anyFile(arena), dir = anyDir(arena);
    switch (world_.random.below(4)) {
        case 0:
            if (!file.none()) (void)co_await m.hold(file, false);
            break;
        case 1: (void)co_await m.usage(); break;
        case 2: {
            Policy own;
            own.retention = 1 + (world_.random.oneIn(2) ? 0 : world_.random.between(30 * kMinute, 2 * kHour));
            (void)co_await m.setPolicy(dir, own);
            break;
        }
        default: {
            const std::string name = anyName(arena);
            (void)co_await m.versions(dir, name);
        }
    }
    co_return Ok{};
}

} // namespace skua::sim
