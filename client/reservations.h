// Reservations: ids that shards gave this client to make inodes, contents and blocks with.
//
//   CO_TRY(NewId id, co_await reservations.take(dir.shard()));      or tryTake(): without waiting
//   InodeId inode = id.inode(InodeType::kFile);   ContentId content = id.content();   BlockId b = id.block(content);
//
// A thousand per shard at a time; the next thousand is asked for when half are used. A NewId keeps its
// reservation alive: those in use are extended every 15 minutes, idle ones lapse. One NewId gives one inode and
// one content: a CommitFile names a single reservation, so a new file takes both from the same NewId. A later
// content of the same inode takes another.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include "core/async/sync.h"
#include "core/net/group_caller.h"
#include "shard/messages.h"

namespace skua::client {

// One range; shared by all who use ids of it.
struct Reservation {
    ShardId shard;
    ReservationId id;
    u64 next = 0, end = 0; // counters
    u32 blocks = 0;        // the last block number given out
    Monotonic kept;        // when it was taken, used or extended last
};

// Blocks that were written under one id, for whom it turns out that nobody commits them (Client::giveUp()).
struct Written {
    std::vector<BlockRef> blocks;
    bool given_up = false;
};

struct NewId {
    std::shared_ptr<Reservation> from;
    u64 counter = 0;
    std::shared_ptr<Written> written; // shared by the copies; null: this is no id
    ReservationId reservation() const { return from->id; }
    InodeId inode(InodeType type) const { return InodeId::make(type, counter, from->shard); }
    ContentId content() const { return ContentId::make(counter, from->shard); }
    // A block id never used before, of any content of this shard.
    BlockId block(ContentId of) const { return BlockId{of, from->id, ++from->blocks}; }
};

class Reservations {
public:
    Reservations(Clock& clock, net::GroupCaller& caller);
    void start(); // the task that extends
    void stop();
    Task<> stopped();

    Task<Result<NewId>> take(ShardId shard);
    // None: ask take(). Starts to fetch more when half are gone.
    std::optional<NewId> tryTake(ShardId shard);
    // The shard said that it is not ours any more: the next take() asks for a new one.
    void drop(ShardId shard, ReservationId id);
    // One that somebody holds an id of; null: none.
    std::shared_ptr<Reservation> find(ShardId shard, ReservationId id) const;

private:
    struct OfShard {
        std::shared_ptr<Reservation> current, next;
        bool asking = false;
        Error last;
    };
    Task<> fetch(ShardId shard);
    Task<> keep();
    Task<> keepOne(ShardId shard, std::vector<std::shared_ptr<Reservation>> all);

    Clock& clock_;
    net::GroupCaller& caller_;
    std::map<u16, OfShard> shards_;
    std::map<std::pair<u16, u32>, std::weak_ptr<Reservation>> all_;
    Event fetched_, stop_;
    bool stopping_ = false;
    TaskGroup tasks_;
};

} // namespace skua::client
