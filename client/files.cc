#include "client/files.h"

#include <algorithm>
#include "client/edit.h"
#include "core/data/geometry.h"
#include "core/data/placement.h"

namespace skua::client {

Task<Result<Source::Some>> MemorySource::next() {
    Some some;
    if (!given_) some.bytes = {reinterpret_cast<const u8*>(bytes_.data()), bytes_.size()};
    given_ = true;
    co_return some;
}

Task<Result<Source::Some>> ReaderSource::next() {
    constexpr u64 kStep = 4u << 20;
    Some some;
    if (given_ == pieces_.size()) {
        pieces_.clear();
        given_ = 0;
        if (at_ >= reader_.size()) co_return some;
        auto data = co_await reader_.seekData(at_);
        if (!data && data.code() != Code::NoAttribute) co_return data.error();
        const u64 next = data ? *data : reader_.size();
        if (next > at_) {
            some.hole = next - at_;
            at_ = next;
            co_return some;
        }
        CO_TRY(const u64 hole, co_await reader_.seekHole(at_));
        CO_TRY(pieces_, co_await reader_.pieces(at_, std::min(kStep, hole - at_)));
        if (pieces_.empty()) co_return Error(Code::Corrupt, "a file ends before its size");
    }
    const Buffer& piece = pieces_[given_++];
    at_ += piece.size();
    some.bytes = piece.span();
    co_return some;
}

Task<Result<Attributes>> FileSystem::stat(std::string path, Follow follow) {
    CO_TRY(Place place, co_await resolveExisting(client_.metadata, path, follow));
    co_return *place.attributes;
}

Task<Result<std::string>> FileSystem::readLink(std::string path) {
    CO_TRY(Place place, co_await resolveExisting(client_.metadata, path, Follow::kNotLast));
    auto got_target = co_await client_.metadata.readLink(place.attributes->inode);
    if (!got_target) co_return withPath(got_target.error(), place.path);
    std::string target = std::move(*got_target);
    co_return target;
}

Task<Result<std::vector<Listed>>> FileSystem::list(std::string path) {
    CO_TRY(Place place, co_await resolveExisting(client_.metadata, path, Follow::kLast));
    std::vector<Listed> all;
    if (!place.isDirectory()) co_return Error(Code::NotDirectory, place.path);
    u64 cookie = 0;
    for (;;) {
        auto got_some = co_await client_.metadata.readDir(place.attributes->inode, cookie, 2048, true);
        if (!got_some) co_return withPath(got_some.error(), place.path);
        auto some = std::move(*got_some);
        for (auto& e : some.entries) {
            cookie = std::max(cookie, e.cookie);
            all.push_back({std::move(e.name), e.inode, std::move(e.attributes)});
        }
        if (some.end || some.entries.empty()) break;
    }
    std::sort(all.begin(), all.end(), [](const Listed& a, const Listed& b) { return a.name < b.name; });
    co_return all;
}

Task<Result<Attributes>> FileSystem::mkdir(std::string path, u32 mode, Owner owner, bool parents) {
    auto place = co_await resolve(client_.metadata, path, Follow::kLast);
    if (!place && place.code() == Code::NotFound && parents && parentOf(path) != path) {
        CO_TRY_OK(co_await mkdir(parentOf(path), mode | 0300, owner, true));
        place = co_await resolve(client_.metadata, path, Follow::kLast);
    }
    if (!place) co_return place.error();
    if (!place->exists()) {
        auto made = co_await client_.metadata.mkdir(place->dir, place->name, mode, owner);
        if (made) co_return *made;
        if (made.code() != Code::Exists || !parents) co_return withPath(made.error(), place->path);
        // Somebody else made it meanwhile.
        CO_TRY(*place, co_await resolveExisting(client_.metadata, path, Follow::kLast));
    }
    if (parents && place->isDirectory()) co_return *place->attributes;
    Error taken = Error::exists(place->attributes->inode);
    co_return withPath(taken, place->path);
}

Task<Result<>> FileSystem::rmdir(std::string path) {
    CO_TRY(Place place, co_await resolveExisting(client_.metadata, path, Follow::kNotLast));
    if (!place.isDirectory()) co_return Error(Code::NotDirectory, place.path);
    if (place.name.empty()) co_return Error(Code::NotPermitted, "/ is the root: it cannot be removed");
    auto done = co_await client_.metadata.rmdir(place.dir, place.name);
    if (!done) co_return withPath(done.error(), place.path);
    co_return Ok{};
}

Task<Result<>> FileSystem::unlink(std::string path, bool now) {
    CO_TRY(Place place, co_await resolveExisting(client_.metadata, path, Follow::kNotLast));
    if (place.isDirectory()) co_return Error(Code::IsDirectory, place.path);
    auto got_gone = co_await client_.metadata.unlinkEntry(place.dir, place.name, place.attributes->inode);
    if (!got_gone) co_return withPath(got_gone.error(), place.path);
    auto gone = std::move(*got_gone);
    if (now) {
        auto purged = co_await client_.metadata.purgeEntry(place.dir, place.name, gone.until);
        if (!purged && purged.code() != Code::NotFound) co_return withPath(purged.error(), place.path);
    }
    co_return Ok{};
}

Task<Result<>> FileSystem::rename(std::string from, std::string to, RenameFlags flags) {
    CO_TRY(Place source, co_await resolveExisting(client_.metadata, from, Follow::kNotLast));
    CO_TRY(Place target, co_await resolve(client_.metadata, to, Follow::kNotLast));
    if (source.name.empty() || target.name.empty()) co_return Error(Code::NotPermitted, "/ is the root: it has no other name");
    auto done =
        co_await client_.metadata.rename(source.dir, source.name, target.dir, target.name, source.attributes->inode, flags);
    if (!done) co_return withPath(done.error(), source.path + " -> " + target.path);
    co_return Ok{};
}

Task<Result<>> FileSystem::link(std::string existing, std::string path) {
    CO_TRY(Place source, co_await resolveExisting(client_.metadata, existing, Follow::kNotLast));
    CO_TRY(Place target, co_await resolve(client_.metadata, path, Follow::kNotLast));
    if (target.exists()) co_return withPath(Error::exists(target.attributes->inode), target.path);
    auto done = co_await client_.metadata.link(source.attributes->inode, target.dir, target.name);
    if (!done) co_return withPath(done.error(), target.path);
    co_return Ok{};
}

Task<Result<Attributes>> FileSystem::symlink(std::string target, std::string path, Owner owner) {
    CO_TRY(Place place, co_await resolve(client_.metadata, path, Follow::kNotLast));
    if (place.exists()) co_return withPath(Error::exists(place.attributes->inode), place.path);
    auto got_made = co_await client_.metadata.symlink(place.dir, place.name, target, owner);
    if (!got_made) co_return withPath(got_made.error(), place.path);
    Attributes made = std::move(*got_made);
    co_return made;
}

// --- contents -----------------------------------------------------------------------------------------------

Task<Result<Attributes>> FileSystem::putFile(std::string path, PutOptions options, Source& source) {
    CO_TRY(Place place, co_await resolve(client_.metadata, path, Follow::kLast));
    if (place.isDirectory()) co_return Error(Code::IsDirectory, place.path);
    if (place.exists() && !options.replace) co_return withPath(Error::exists(place.attributes->inode), place.path);
    auto got_made = co_await putFileAt(place.dir, place.name, std::move(options), source);
    if (!got_made) co_return withPath(got_made.error(), place.path);
    Attributes made = std::move(*got_made);
    co_return made;
}

Task<Result<Attributes>> FileSystem::putFileAt(InodeId dir, std::string name, PutOptions options, Source& source) {
    CO_TRY(Policy policy, co_await client_.metadata.policyOf(dir));
    FileWriter writer(client_, std::move(policy), dir.shard());
    auto put = co_await fill(writer, dir, std::move(name), std::move(options), source);
    if (!put) {
        // Whether a commit happened whose answer is missing is for the shard to say.
        (void)co_await writer.giveUp();
    }
    co_return put;
}

Task<Result<Attributes>> FileSystem::fill(FileWriter& writer, InodeId dir, std::string name, PutOptions options, Source& source) {
    for (;;) {
        const Source::Direct direct = source.direct();
        if (direct.bytes == 0) break;
        CO_TRY(const u64 taken, co_await writer.appendFrom(direct.read, direct.at, direct.bytes));
        source.taken(taken);
        if (taken == 0) break;
    }
    for (;;) {
        CO_TRY(Source::Some some, co_await source.next());
        if (some.hole > 0) {
            CO_TRY_OK(co_await writer.skip(some.hole));
        } else if (some.bytes.empty()) {
            break;
        } else {
            CO_TRY_OK(co_await writer.append(some.bytes));
        }
    }
    shard::CommitFile commit;
    CO_TRY(commit.content, co_await writer.finish());
    commit.dir = dir;
    commit.name = std::move(name);
    commit.reservation = writer.reservation();
    commit.inode = writer.id().inode(InodeType::kFile);
    commit.commit_mode = options.replace ? shard::CommitMode::kReplace : shard::CommitMode::kCreate;
    commit.mode = options.mode & 07777;
    commit.uid = options.owner.uid;
    commit.gid = options.owner.gid;
    commit.atime = options.atime.value_or(Wall{});
    commit.mtime = options.mtime.value_or(Wall{});
    commit.xattrs = std::move(options.xattrs);
    CO_TRY(auto reply, co_await client_.metadata.commitFile(std::move(commit)));
    co_return reply.attributes;
}

Task<Result<std::unique_ptr<FileReader>>> FileSystem::open(std::string path) {
    CO_TRY(Place place, co_await resolveExisting(client_.metadata, path, Follow::kLast));
    if (place.isDirectory()) co_return Error(Code::IsDirectory, place.path);
    if (!place.attributes->inode.isFile()) co_return Error(Code::Invalid, place.path + " is no regular file");
    auto got_reader = co_await open(place.attributes->inode);
    if (!got_reader) co_return withPath(got_reader.error(), place.path);
    auto reader = std::move(*got_reader);
    co_return std::move(reader);
}

Task<Result<std::unique_ptr<FileReader>>> FileSystem::open(InodeId inode) {
    CO_TRY(auto reply, co_await client_.metadata.open(inode));
    co_return std::make_unique<FileReader>(client_, std::move(reply));
}

Task<Result<std::string>> FileSystem::readAll(std::string path, u64 most) {
    CO_TRY(auto reader, co_await open(path));
    if (reader->size() > most) co_return Error(Code::TooLarge, path + " has more than " + std::to_string(most) + " bytes");
    std::string all(reader->size(), '\0');
    auto got_n = co_await reader->read(0, std::span<u8>(reinterpret_cast<u8*>(all.data()), all.size()));
    if (!got_n) co_return withPath(got_n.error(), path);
    const u64 n = std::move(*got_n);
    all.resize(n);
    co_return all;
}

Task<Result<Attributes>> FileSystem::copyFile(std::string from, std::string to, Owner owner) {
    CO_TRY(auto reader, co_await open(from));
    const Attributes& a = reader->attributes();
    PutOptions options;
    options.mode = a.mode;
    options.owner = owner;
    options.atime = a.atime;
    options.mtime = a.mtime;
    ReaderSource source(*reader);
    auto made = co_await putFile(to, std::move(options), source);
    co_return made;
}

// --- attributes -----------------------------------------------------------------------------------------------

Task<Result<Attributes>> FileSystem::chmod(std::string path, u32 mode) {
    CO_TRY(Place place, co_await resolveExisting(client_.metadata, path, Follow::kLast));
    shard::SetAttr request;
    request.inode = place.attributes->inode;
    request.mode = mode & 07777;
    auto got_now = co_await client_.metadata.setAttr(std::move(request));
    if (!got_now) co_return withPath(got_now.error(), place.path);
    Attributes now = std::move(*got_now);
    co_return now;
}

Task<Result<Attributes>> FileSystem::chown(std::string path, std::optional<u32> uid, std::optional<u32> gid) {
    CO_TRY(Place place, co_await resolveExisting(client_.metadata, path, Follow::kNotLast));
    shard::SetAttr request;
    request.inode = place.attributes->inode;
    request.uid = uid;
    request.gid = gid;
    auto got_now = co_await client_.metadata.setAttr(std::move(request));
    if (!got_now) co_return withPath(got_now.error(), place.path);
    Attributes now = std::move(*got_now);
    co_return now;
}

Task<Result<Attributes>> FileSystem::utimes(std::string path, std::optional<Wall> atime, std::optional<Wall> mtime) {
    CO_TRY(Place place, co_await resolveExisting(client_.metadata, path, Follow::kNotLast));
    shard::SetAttr request;
    request.inode = place.attributes->inode;
    request.atime = atime;
    request.mtime = mtime;
    request.atime_now = !atime;
    request.mtime_now = !mtime;
    auto got_now = co_await client_.metadata.setAttr(std::move(request));
    if (!got_now) co_return withPath(got_now.error(), place.path);
    Attributes now = std::move(*got_now);
    co_return now;
}

Task<Result<Attributes>> FileSystem::truncate(std::string path, u64 size) {
    CO_TRY(Place place, co_await resolveExisting(client_.metadata, path, Follow::kLast));
    if (place.isDirectory()) co_return Error(Code::IsDirectory, place.path);
    Edit edit;
    edit.inode = place.attributes->inode;
    edit.cut = size;
    edit.size = size;
    auto got_policy = co_await client_.metadata.policyOf(place.dir);
    if (!got_policy) co_return withPath(got_policy.error(), place.path);
    edit.policy = std::move(*got_policy);
    auto got_now = co_await editFile(client_, std::move(edit));
    if (!got_now) co_return withPath(got_now.error(), place.path);
    Attributes now = std::move(*got_now);
    co_return now;
}

Task<Result<FsSpace>> FileSystem::space() {
    (void)co_await client_.cluster.refresh();
    FsSpace s;
    const Policy& policy = client_.cluster.defaultPolicy();
    const u32 span = geometry::maxSpan(policy);
    const Geometry g = geometry::choose(policy, span);
    std::map<std::string, u64> free, capacity; // by failure domain
    for (const auto& [id, service] : client_.cluster.services()) {
        if (service.state == registry::DiskState::kRemoved) continue;
        s.disks++;
        if (service.state == registry::DiskState::kDead || !service.up) continue;
        s.disks_up++;
        s.capacity += service.capacity;
        s.used += service.used;
        capacity[service.domain] += service.capacity;
        if (service.state != registry::DiskState::kUp) continue;
        s.free += service.free;
        const bool full = service.free < geometry::blockLength(g, span);
        s.disks_full += full;
        if (!full) free[service.domain] += service.free;
    }
    const u32 least = std::min<u32>(g.blocks(), g.data + 1u); // as the writer
    const auto logical = [&](const std::map<std::string, u64>& domains) {
        std::vector<u64> bytes;
        for (const auto& [name, n] : domains) bytes.push_back(n);
        return roomPerBlock(std::move(bytes), g.blocks(), least) * g.data;
    };
    s.free_logical = logical(free);
    s.capacity_logical = logical(capacity);
    CO_TRY(auto usage, co_await client_.metadata.usage());
    s.inodes = usage.inodes;
    s.files = usage.files;
    s.directories = usage.directories;
    s.bytes = usage.bytes;
    s.past_bytes = usage.past_bytes;
    co_return s;
}

} // namespace skua::client
