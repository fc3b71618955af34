#include "shard/reservations.h"

#include <algorithm>
#include "core/base/probe.h"
#include "core/data/receipt.h"
#include "shard/expiry.h"

namespace skua::shard::reservations {
namespace {

constexpr u64 kSlack = kMinute; // a use within it after the last writes no row
constexpr u32 kUsedPerStep = 256;

std::string show(ReservationId id) { return "reservation " + std::to_string(id.value); }

void prolong(Context& ctx, ReservationId id, ReservationRow& row) {
    const u64 until = ctx.now.age.value + kReservedFor;
    if (row.until.value + kSlack > until) return;
    // Its expiry row stays where it is: when that is due, it is filed again for `until`.
    row.until = {until};
    Reservations::put(ctx.rows, {id}, row);
}

// With word 0 whatever is used of a content: so one lookup tells that none of it is.
void putUsed(Context& ctx, ReservationId id, ContentId content, const std::map<u32, u64>& words) {
    for (const auto& [word, bits] : words) Used::put(ctx.rows, {id, content, word}, {bits});
    if (!words.empty() && !words.contains(0) && !Used::has(ctx.rows, {id, content, 0})) Used::put(ctx.rows, {id, content, 0}, {});
}

} // namespace

Result<ReserveIds::Reply> make(Context& ctx, u32 count) {
    if (count == 0 || count > kMostIds) return Error(Code::Invalid, "a reservation is of 1..10000 ids");
    CounterRow counters = Counters::get(ctx.rows, {}).value_or(CounterRow{});
    if (counters.last_reservation == ~u32{0} || counters.last_id + count > InodeId::kMaxCounter)
        return Error(Code::NoSpace, "this shard has given all its ids");
    const ReservationId id{++counters.last_reservation};
    const u64 first = counters.last_id + 1;
    counters.last_id += count;
    Counters::put(ctx.rows, {}, counters);
    const Age until{ctx.now.age.value + kReservedFor};
    Reservations::put(ctx.rows, {id}, {ctx.client, first, count, until});
    expiry::file(ctx, Due::at(until), ExpiryKind::kReservation, id.value);
    const ContentId of_first = ContentId::make(first, ctx.config.shard);
    return ReserveIds::Reply{id, first, count, readKeyOf(ctx.keys.readKeyKey(), of_first)};
}

Result<ReservationRow> use(Context& ctx, ReservationId id) {
    auto row = Reservations::get(ctx.rows, {id});
    if (!row || row->client != ctx.client) {
        PROBE("a reservation is used after its end");
        return Error(Code::Expired, show(id) + " is not this client's, or not any more: reserve again and write anew");
    }
    prolong(ctx, id, *row);
    return *row;
}

Result<> checkInRange(const Context& ctx, const ReservationRow& row, u64 counter, ShardId shard) {
    if (shard == ctx.config.shard && counter >= row.first && counter - row.first < row.count) return Ok{};
    return Error(Code::Invalid, "id " + std::to_string(counter) + " of shard " + std::to_string(shard.value) +
                                    " is not in the reservation's range");
}

Result<> useInode(Context& ctx, ReservationId id, InodeId inode) {
    TRY(const ReservationRow row, use(ctx, id));
    return checkInRange(ctx, row, inode.counter(), inode.shard());
}

Result<> useContent(Context& ctx, ReservationId id, ContentId content) {
    // Whoever uses any block of it puts word 0 too.
    if (Used::has(ctx.rows, {id, content, 0}))
        return Error(Code::Invalid, "content " + std::to_string(content.counter()) + " was used before: take another id");
    Used::put(ctx.rows, {id, content, 0}, {});
    return Ok{};
}

Result<> useBlocks(Context& ctx, ReservationId id, ContentId content, const std::vector<BlockId>& blocks) {
    std::map<u32, u64> words;
    for (const BlockId& b : blocks) {
        const u32 word = b.n / 64;
        auto at = words.find(word);
        if (at == words.end()) {
            const auto row = Used::get(ctx.rows, {id, content, word});
            at = words.emplace(word, row ? row->bits : 0).first;
        }
        const u64 bit = u64{1} << b.n % 64;
        if (at->second & bit)
            return Error(Code::Invalid,
                         "block " + std::to_string(b.n) + " of " + show(id) + " was used before: write it under a new id");
        at->second |= bit;
    }
    putUsed(ctx, id, content, words);
    return Ok{};
}

std::vector<BlockRef> useTheRest(Context& ctx, ReservationId id, ContentId content, const std::vector<BlockRef>& blocks) {
    std::vector<BlockRef> rest;
    std::map<u32, u64> words;
    for (const BlockRef& b : blocks) {
        const u32 word = b.id.n / 64;
        auto at = words.find(word);
        if (at == words.end()) {
            const auto row = Used::get(ctx.rows, {id, content, word});
            at = words.emplace(word, row ? row->bits : 0).first;
        }
        const u64 bit = u64{1} << b.id.n % 64;
        if (at->second & bit) {
            PROBE("blocks are abandoned that were committed");
            continue;
        }
        at->second |= bit;
        rest.push_back(b);
    }
    putUsed(ctx, id, content, words);
    return rest;
}

namespace {

// What it had used; the row itself is gone, so nobody can use any of it again.
void forgetUsed(Context& ctx, ReservationId id) {
    std::vector<UsedKey> gone;
    Used::scan(ctx.rows, id, [&](const UsedKey& key, const UsedRow&) {
        gone.push_back(key);
        return gone.size() < kUsedPerStep;
    });
    for (const UsedKey& key : gone) Used::erase(ctx.rows, key);
    if (gone.size() == kUsedPerStep) expiry::file(ctx, Due::at(ctx.now.age), ExpiryKind::kUsedIds, id.value);
}

} // namespace
} // namespace skua::shard::reservations

namespace skua::shard::expiry {

template <>
void expire<ExpiryKind::kReservation>(Context& ctx, const ExpiryKey& key, const Expiry&) {
    const ReservationId id{static_cast<u32>(key.id)};
    const auto row = Reservations::get(ctx.rows, {id});
    if (!row) return;
    if (row->until > ctx.now.age) {
        PROBE("a reservation that was used meanwhile does not end yet");
        file(ctx, Due::at(row->until), ExpiryKind::kReservation, id.value);
        return;
    }
    Reservations::erase(ctx.rows, {id});
    reservations::forgetUsed(ctx, id);
}

template <>
void expire<ExpiryKind::kUsedIds>(Context& ctx, const ExpiryKey& key, const Expiry&) {
    reservations::forgetUsed(ctx, {static_cast<u32>(key.id)});
}

} // namespace skua::shard::expiry
