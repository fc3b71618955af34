// The outbox: messages to other shards, sent in order, acted on exactly once. The row and the effect that
// caused it are one batch here; the effect there and the number taken are one batch there.
#pragma once

#include "shard/context.h"

namespace skua::shard::outbox {

// Writes the row; `answer_waits` sets ctx.waits_for: the client's answer waits for the receiver, kAnswerAtMost long.
void send(Context&, ShardId to, const OutboxMessage&, bool answer_waits);
// An answer that was to wait for message `key` goes when that was taken, or is late.
void answerWhenTaken(Context&, const OutboxKey& key, std::string reply);
// Removes the rows up to `number`; answers who waited.
void taken(Context&, ShardId to, u64 number);

} // namespace skua::shard::outbox
