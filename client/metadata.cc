#include "client/metadata.h"

#include <algorithm>
#include "core/base/log.h"
#include "core/data/geometry.h"
#include "core/data/names.h"

namespace skua::client {

Metadata::Metadata(Clock& clock, net::Transport& transport, Cluster& cluster, ClientId client, Random random,
                   net::CallerLimits limits)
    : clock_(clock),
      cluster_(cluster),
      caller_(clock, transport, cluster, client, random, limits),
      reservations_(clock, caller_) {}

// --- reads ---------------------------------------------------------------------------------------------

Task<Result<Entry>> Metadata::lookup(InodeId dir, std::string name) {
    CO_TRY_OK(checkName(name));
    shard::Lookup request{dir, name};
    CO_TRY(auto reply, co_await caller_.query(groupOf(dir.shard()), request));
    Entry entry;
    entry.inode = reply.inode;
    entry.edge = reply.edge;
    if (reply.attributes) {
        entry.attributes = *reply.attributes;
    } else {
        CO_TRY(entry.attributes, co_await getAttr(reply.inode));
    }
    co_return entry;
}

Task<Result<Attributes>> Metadata::getAttr(InodeId inode) {
    shard::GetAttr request;
    request.inodes.push_back(inode);
    CO_TRY(auto reply, co_await caller_.query(groupOf(inode.shard()), request));
    if (reply.attributes.size() != 1 || !reply.attributes[0]) co_return Error(Code::NotFound, "this inode is gone");
    co_return *reply.attributes[0];
}

Task<> Metadata::getAttrsOf(ShardId shard, std::vector<InodeId> inodes, std::vector<std::size_t> places,
                            std::vector<std::optional<Attributes>>& into, Error& error) {
    constexpr std::size_t kAtOnce = 4096;
    for (std::size_t from = 0; from < inodes.size(); from += kAtOnce) {
        const std::size_t to = std::min(from + kAtOnce, inodes.size());
        shard::GetAttr request;
        request.inodes.assign(inodes.begin() + static_cast<std::ptrdiff_t>(from),
                              inodes.begin() + static_cast<std::ptrdiff_t>(to));
        auto reply = co_await caller_.query(groupOf(shard), request);
        if (!reply) {
            error = reply.error();
            co_return Ok{};
        }
        for (std::size_t i = 0; i < reply->attributes.size() && from + i < to; i++) into[places[from + i]] = reply->attributes[i];
    }
    co_return Ok{};
}

Task<Result<std::vector<std::optional<Attributes>>>> Metadata::getAttrs(std::vector<InodeId> inodes) {
    std::map<u16, std::pair<std::vector<InodeId>, std::vector<std::size_t>>> by_shard;
    for (std::size_t i = 0; i < inodes.size(); i++) {
        auto& [ids, places] = by_shard[inodes[i].shard().value];
        ids.push_back(inodes[i]);
        places.push_back(i);
    }
    std::vector<std::optional<Attributes>> all(inodes.size());
    Error error;
    TaskGroup group;
    for (auto& [shard, of] : by_shard)
        group.spawn(getAttrsOf(ShardId{shard}, std::move(of.first), std::move(of.second), all, error));
    (void)co_await group.all();
    if (error.code != Code::Ok) co_return error;
    co_return all;
}

Task<Result<shard::ReadDir::Reply>> Metadata::readDir(InodeId dir, u64 cookie, u32 limit, bool attributes) {
    shard::ReadDir request{dir, cookie, limit};
    CO_TRY(auto reply, co_await caller_.query(groupOf(dir.shard()), request));
    if (!attributes) co_return reply;
    std::vector<InodeId> elsewhere;
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < reply.entries.size(); i++)
        if (!reply.entries[i].attributes) {
            elsewhere.push_back(reply.entries[i].inode);
            places.push_back(i);
        }
    if (elsewhere.empty()) co_return reply;
    CO_TRY(auto found, co_await getAttrs(std::move(elsewhere)));
    for (std::size_t i = 0; i < places.size(); i++) reply.entries[places[i]].attributes = found[i];
    co_return reply;
}

Task<Result<shard::Open::Reply>> Metadata::open(InodeId inode) {
    shard::Open request{inode};
    auto reply = co_await caller_.query(groupOf(inode.shard()), request);
    co_return reply;
}

Task<Result<shard::Spans::Reply>> Metadata::spans(ContentId content, Generation generation, u64 from, u32 limit) {
    shard::Spans request{content, generation, from, limit};
    auto reply = co_await caller_.query(groupOf(content.shard()), request);
    co_return reply;
}

Task<Result<std::string>> Metadata::readLink(InodeId inode) {
    shard::ReadLink request{inode};
    CO_TRY(auto reply, co_await caller_.query(groupOf(inode.shard()), request));
    co_return reply.target;
}

Task<Result<std::string>> Metadata::getXattr(InodeId inode, std::string name) {
    if (name.empty() || name.size() > kMaxXattrName) co_return Error(Code::Invalid, "a name of an attribute has 1 to 255 bytes");
    shard::GetXattr request{inode, name};
    CO_TRY(auto reply, co_await caller_.query(groupOf(inode.shard()), request));
    co_return reply.value.value;
}

Task<Result<std::vector<std::string>>> Metadata::listXattr(InodeId inode) {
    shard::ListXattr request{inode};
    CO_TRY(auto reply, co_await caller_.query(groupOf(inode.shard()), request));
    co_return reply.names;
}

Task<Result<InodeId>> Metadata::getParent(InodeId dir) {
    shard::GetParent request{dir};
    CO_TRY(auto reply, co_await caller_.query(groupOf(dir.shard()), request));
    co_return reply.parent;
}

Task<> Metadata::usageOf(ShardId shard, shard::Usage::Reply& sum, Error& error) {
    shard::Usage request;
    auto reply = co_await caller_.query(groupOf(shard), request);
    if (!reply) {
        error = reply.error();
        co_return Ok{};
    }
    sum.inodes += reply->inodes;
    sum.files += reply->files;
    sum.directories += reply->directories;
    sum.bytes += reply->bytes;
    sum.past_bytes += reply->past_bytes;
    sum.garbage_blocks += reply->garbage_blocks;
    co_return Ok{};
}

Task<Result<shard::Usage::Reply>> Metadata::usage() {
    shard::Usage::Reply sum;
    Error error;
    TaskGroup group;
    for (u16 s = 0; s < cluster_.shards(); s++) group.spawn(usageOf(ShardId{s}, sum, error));
    (void)co_await group.all();
    if (error.code != Code::Ok) co_return error;
    co_return sum;
}

// --- attributes and contents ------------------------------------------------------------------------------

Task<Result<Attributes>> Metadata::setAttr(shard::SetAttr request) {
    const GroupId group = groupOf(request.inode.shard());
    CO_TRY(auto reply, co_await caller_.mutate(group, std::move(request)));
    co_return reply.attributes;
}

Task<Result<>> Metadata::setXattr(InodeId inode, std::string name, std::string value, shard::XattrMode mode) {
    if (name.empty() || name.size() > kMaxXattrName) co_return Error(Code::Invalid, "a name of an attribute has 1 to 255 bytes");
    if (name.size() + value.size() > kMaxXattrs) co_return Error(Code::NoSpace, "attributes have at most 4 KiB together");
    shard::SetXattr request;
    request.inode = inode;
    request.xattr.name = std::move(name);
    request.xattr.value.value = std::move(value);
    request.xattr_mode = mode;
    CO_TRY_OK(co_await caller_.mutate(groupOf(inode.shard()), request));
    co_return Ok{};
}

Task<Result<>> Metadata::removeXattr(InodeId inode, std::string name) {
    if (name.empty() || name.size() > kMaxXattrName) co_return Error(Code::Invalid, "a name of an attribute has 1 to 255 bytes");
    shard::RemoveXattr request{inode, name};
    CO_TRY_OK(co_await caller_.mutate(groupOf(inode.shard()), request));
    co_return Ok{};
}

namespace {
// Where a request has its spans, and of which content they are.
template <class R>
auto& spansOf(R& request) {
    if constexpr (requires { request.content.spans; }) return request.content.spans;
    else return request.spans;
}
template <class R>
ContentId contentOf(const R& request) {
    if constexpr (requires { request.content.spans; }) return request.content.content;
    else return request.content;
}
} // namespace

template <class R>
Task<Result<typename R::Reply>> Metadata::commit(GroupId group, R request) {
    constexpr int kMends = 4; // a disk that moves so often while one file is written has other troubles
    for (int attempt = 0;; attempt++) {
        const bool last = spansOf(request).empty() || !mend_ || attempt == kMends;
        if (last) {
            auto reply = co_await caller_.mutate(group, std::move(request));
            co_return reply;
        }
        R copy = request;
        auto reply = co_await caller_.mutate(group, std::move(copy));
        if (reply.code() != Code::Stale) co_return reply;
        CO_TRY_OK(co_await mend_(request.reservation, contentOf(request), spansOf(request)));
    }
}

Task<Result<shard::CommitFile::Reply>> Metadata::commitFile(shard::CommitFile request) {
    CO_TRY_OK(checkName(request.name));
    const GroupId group = groupOf(request.dir.shard());
    auto reply = co_await commit(group, std::move(request));
    co_return reply;
}

Task<Result<Attributes>> Metadata::setContent(shard::SetContent request) {
    const GroupId group = groupOf(request.inode.shard());
    CO_TRY(auto reply, co_await commit(group, std::move(request)));
    co_return reply.attributes;
}

Task<Result<Attributes>> Metadata::editContent(shard::EditContent request) {
    const GroupId group = groupOf(request.inode.shard());
    CO_TRY(auto reply, co_await commit(group, std::move(request)));
    co_return reply.attributes;
}

Task<Result<u64>> Metadata::stageSpans(shard::StageSpans request) {
    const GroupId group = groupOf(request.content.shard());
    CO_TRY(auto reply, co_await commit(group, std::move(request)));
    co_return reply.covered;
}

Task<Result<>> Metadata::abandonBlocks(shard::AbandonBlocks request) {
    const GroupId group = groupOf(request.content.shard());
    CO_TRY_OK(co_await caller_.mutate(group, std::move(request)));
    co_return Ok{};
}

Task<Result<>> Metadata::hold(InodeId inode, bool release) {
    shard::Hold request;
    request.inodes.push_back(inode);
    request.release = release;
    CO_TRY_OK(co_await caller_.mutate(groupOf(inode.shard()), request));
    co_return Ok{};
}

Task<Result<>> Metadata::reportBad(BlockServiceId service, BlockId block) {
    shard::ReportBad request;
    request.service = service;
    request.blocks.push_back(block);
    CO_TRY_OK(co_await caller_.mutate(groupOf(block.content.shard()), request));
    co_return Ok{};
}

// --- policies -----------------------------------------------------------------------------------------------

Task<Result<shard::GetPolicy::Reply>> Metadata::getPolicy(InodeId dir) {
    shard::GetPolicy request{dir};
    auto reply = co_await caller_.query(groupOf(dir.shard()), request);
    co_return reply;
}

Task<Result<Policy>> Metadata::policyOf(InodeId dir) {
    constexpr u64 kRemember = 10 * kSecond;
    constexpr std::size_t kMost = 4096;
    if (auto known = policies_.find(dir.value);
        known != policies_.end() && clock_.now().value - known->second.at.value < kRemember)
        co_return known->second.policy;
    CO_TRY(auto reply, co_await getPolicy(dir));
    if (policies_.size() >= kMost) policies_.clear();
    Policy policy = geometry::inherit(reply.resolved, cluster_.defaultPolicy());
    policies_[dir.value] = Remembered{policy, clock_.now()};
    co_return policy;
}

Task<Result<u64>> Metadata::setPolicy(InodeId dir, Policy own) {
    if (std::string why = geometry::objection(own); !why.empty()) co_return Error(Code::Invalid, why);
    CO_TRY(auto before, co_await getPolicy(dir));
    Policy parent = cluster_.defaultPolicy();
    if (dir != kRoot) {
        CO_TRY(InodeId above, co_await getParent(dir));
        CO_TRY(auto of_parent, co_await getPolicy(above));
        parent = geometry::inherit(of_parent.resolved, parent);
    }
    shard::SetPolicy request;
    request.dir = dir;
    request.own = own;
    request.resolved = geometry::inherit(own, parent);
    const Policy resolved = request.resolved;
    CO_TRY_OK(co_await caller_.mutate(groupOf(dir.shard()), request));
    policies_.clear();
    u64 changed = 1;
    CO_TRY_OK(co_await walkPolicy(dir, resolved, changed, 0));
    co_return changed;
}

// Directories below `dir` get what they now inherit. One made meanwhile copies what its parent has then.
Task<Result<>> Metadata::walkPolicy(InodeId dir, Policy parent, u64& changed, u32 depth) {
    constexpr u32 kMaxDepth = 2048;
    if (depth > kMaxDepth) co_return Error(Code::TooLarge, "directories are nested too deeply");
    u64 cookie = 0;
    for (;;) {
        CO_TRY(auto some, co_await readDir(dir, cookie, 1024));
        for (auto& entry : some.entries) {
            cookie = std::max(cookie, entry.cookie);
            if (!entry.inode.isDirectory()) continue;
            auto has = co_await getPolicy(entry.inode);
            if (has.code() == Code::NotFound) continue;
            if (!has) co_return has.error();
            Policy resolved = geometry::inherit(has->own, parent);
            if (!(resolved == has->resolved)) {
                shard::SetPolicy request;
                request.dir = entry.inode;
                request.resolved = resolved;
                auto set = co_await caller_.mutate(groupOf(entry.inode.shard()), request);
                if (!set && set.code() != Code::NotFound) co_return set.error();
                changed++;
            }
            CO_TRY_OK(co_await walkPolicy(entry.inode, resolved, changed, depth + 1));
        }
        if (some.end || some.entries.empty()) break;
    }
    co_return Ok{};
}

} // namespace skua::client
