// Metadata: typed calls on shards and the coordinator, exactly once each (core/net/group_caller.h).
//
// Decides who is asked: the shard of an id, or the coordinator for what touches two directories. Errors are
// those of the server, or Unavailable / OutcomeUnknown after the caller's limits. Names are checked here
// first. Paths are files.h's business.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>
#include "cdc/messages.h"
#include "client/cluster.h"
#include "client/reservations.h"
#include "shard/messages.h"

namespace skua::client {

struct Owner {
    u32 uid = 0, gid = 0;
};

struct Entry {
    InodeId inode;
    Wall edge; // when the name came to name it
    Attributes attributes;
};
struct RenameFlags {
    bool no_replace = false;
    bool exchange = false;
    bool hold = false; // the replaced one is open here
};
// One thing that a name was, or that a file contained.
struct Version {
    enum class Kind : u8 { kEntry, kContent } kind{};
    std::string name;
    InodeId inode; // of the entry, or the file that has the content
    Wall until, purge, mtime;
    u64 size = 0;
    bool directory = false;
};

class Metadata {
public:
    Metadata(Clock& clock, net::Transport& transport, Cluster& cluster, ClientId client, Random random, net::CallerLimits limits);
    net::GroupCaller& caller() { return caller_; }
    Reservations& reservations() { return reservations_; }

    // --- reads -----------------------------------------------------------------------------------------
    Task<Result<Entry>> lookup(InodeId dir, std::string name); // attributes from wherever they live
    Task<Result<Attributes>> getAttr(InodeId inode);           // NotFound: no such inode (any more)
    Task<Result<std::vector<std::optional<Attributes>>>> getAttrs(std::vector<InodeId> inodes); // shards in parallel
    // `attributes`: those of entries that live elsewhere are fetched too (a vanished one stays empty).
    Task<Result<shard::ReadDir::Reply>> readDir(InodeId dir, u64 cookie, u32 limit, bool attributes = false);
    Task<Result<shard::Open::Reply>> open(InodeId inode);
    Task<Result<shard::Spans::Reply>> spans(ContentId content, Generation generation, u64 from, u32 limit);
    Task<Result<std::string>> readLink(InodeId inode);
    Task<Result<std::string>> getXattr(InodeId inode, std::string name);
    Task<Result<std::vector<std::string>>> listXattr(InodeId inode);
    Task<Result<InodeId>> getParent(InodeId dir);
    Task<Result<shard::Usage::Reply>> usage(); // of all shards together

    // --- names -----------------------------------------------------------------------------------------
    Task<Result<Attributes>> mkdir(InodeId dir, std::string name, u32 mode, Owner owner);
    Task<Result<>> rmdir(InodeId dir, std::string name);
    Task<Result<InodeId>> unlink(InodeId dir, std::string name, InodeId expected = {}, bool hold = false);
    // The same, with the time that names the past entry.
    Task<Result<shard::Unlink::Reply>> unlinkEntry(InodeId dir, std::string name, InodeId expected = {}, bool hold = false);
    // `moved` may be none (then it is looked up). The replaced inode, if there was one.
    Task<Result<InodeId>> rename(InodeId from_dir, std::string from_name, InodeId to_dir, std::string to_name, InodeId moved,
                                 RenameFlags flags = {});
    Task<Result<Attributes>> link(InodeId inode, InodeId dir, std::string name);
    Task<Result<Attributes>> symlink(InodeId dir, std::string name, std::string target, Owner owner);
    Task<Result<Attributes>> makeNode(InodeId dir, std::string name, u32 mode, u64 device, Owner owner);

    // --- attributes and contents ------------------------------------------------------------------------
    Task<Result<Attributes>> setAttr(shard::SetAttr request);
    Task<Result<>> setXattr(InodeId inode, std::string name, std::string value, shard::XattrMode mode);
    Task<Result<>> removeXattr(InodeId inode, std::string name);
    Task<Result<shard::CommitFile::Reply>> commitFile(shard::CommitFile request);
    Task<Result<Attributes>> setContent(shard::SetContent request);
    Task<Result<Attributes>> editContent(shard::EditContent request);
    Task<Result<u64>> stageSpans(shard::StageSpans request);
    // Of these four: writes anew what a shard refuses as Stale because its disk has appeared elsewhere since (client/mend.h).
    using Mend = std::function<Task<Result<>>(ReservationId, ContentId, std::vector<shard::SpanWithProofs>&)>;
    void setMend(Mend mend) { mend_ = std::move(mend); }
    Task<Result<>> abandonBlocks(shard::AbandonBlocks request);
    Task<Result<>> hold(InodeId inode, bool release = false);
    Task<Result<>> reportBad(BlockServiceId service, BlockId block);

    // --- the past ---------------------------------------------------------------------------------------
    // What the name was and what the file contained, newest first.
    Task<Result<std::vector<Version>>> versions(InodeId dir, std::string name);
    Task<Result<std::vector<shard::PastEntry>>> listPast(InodeId dir);
    // A removed name names its inode again; directories through the coordinator.
    Task<Result<InodeId>> undelete(InodeId dir, std::string name, Wall until, InodeId inode, InodeId to_dir, std::string to_name);
    Task<Result<Attributes>> restoreContent(InodeId inode, Wall until);
    Task<Result<>> purgeEntry(InodeId dir, std::string name, Wall until);
    Task<Result<>> purgeContent(InodeId inode, Wall until);

    // --- policies ---------------------------------------------------------------------------------------
    Task<Result<shard::GetPolicy::Reply>> getPolicy(InodeId dir);
    // Resolved; remembered for 10 s.
    Task<Result<Policy>> policyOf(InodeId dir);
    // Sets `own` and walks down: directories below get what they now inherit. How many were changed.
    Task<Result<u64>> setPolicy(InodeId dir, Policy own);

private:
    Task<Result<>> walkPolicy(InodeId dir, Policy parent, u64& changed, u32 depth);
    Task<> getAttrsOf(ShardId shard, std::vector<InodeId> inodes, std::vector<std::size_t> places,
                      std::vector<std::optional<Attributes>>& into, Error& error);
    Task<> usageOf(ShardId shard, shard::Usage::Reply& sum, Error& error);

    template <class R>
    Task<Result<typename R::Reply>> commit(GroupId group, R request);

    struct Remembered {
        Policy policy;
        Monotonic at;
    };
    Clock& clock_;
    Cluster& cluster_;
    net::GroupCaller caller_;
    Reservations reservations_;
    Mend mend_;
    std::map<u64, Remembered> policies_;
};

} // namespace skua::client
