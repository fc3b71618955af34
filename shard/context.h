// What an operation works with. A Reading sees rows; a Context changes them, on every replica alike, so it
// holds nothing that two replicas could see differently. Values for the length of one call.
#pragma once

#include "core/net/keys.h"
#include "raft/state_machine.h"
#include "shard/disks.h"
#include "shard/schema.h"

namespace skua::shard {

inline constexpr u64 kSafeAge = 30 * kMinute; // nothing that was visible is purged earlier
inline constexpr u64 kDefaultRetention = 7 * kDay;
inline constexpr u64 kHoldFor = 30 * kMinute;
inline constexpr u64 kAnswerAtMost = 1 * kSecond; // an answer waits for another shard this long

struct Reading {
    const store::Reader& rows;
    raft::Time now;
    ClientId client;
    bool server = false;
    const ShardConfig& config;
    const net::Keys& keys;
    const Disks* disks = nullptr; // admit() on a leader; else null
};

struct Context {
    store::Transaction& rows;
    raft::Time now;
    ClientId client;
    RequestId request;
    bool server = false, own = false;
    const ShardConfig& config;
    const net::Keys& keys;
    std::vector<raft::LateAnswer>& late; // answers to earlier requests that this entry brings
    std::optional<OutboxKey> waits_for;  // the answer is for when this message has been taken
    std::vector<ShardId> sent;           // shards that got a new outbox row

    Reading reading() const { return {rows, now, client, server, config, keys}; }
};

// Does an inode (or content) live here?
inline bool isHere(const ShardConfig& config, InodeId id) { return id.shard() == config.shard; }
inline bool isHere(const ShardConfig& config, ContentId id) { return id.shard() == config.shard; }

// Refusals that name the object.
Error notHere(InodeId id, ShardId here); // Invalid: the sender computed the wrong shard
Error noInode(InodeId id);               // NotFound
std::string show(InodeId id);            // "directory 12 of shard 3"

} // namespace skua::shard
