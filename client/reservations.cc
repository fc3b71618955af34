#include "client/reservations.h"

#include "core/base/log.h"

namespace skua::client {

namespace {

constexpr u32 kRange = 1000;
constexpr u64 kKeepEvery = 15 * kMinute;
// A reservation that nobody used for so long is forgotten rather than trusted: it lapses after an hour.
constexpr u64 kIdle = 40 * kMinute;

} // namespace

Reservations::Reservations(Clock& clock, net::GroupCaller& caller) : clock_(clock), caller_(caller) {}

void Reservations::start() { tasks_.spawn(keep()); }

void Reservations::stop() {
    stopping_ = true;
    stop_.set();
    fetched_.pulse();
}

Task<> Reservations::stopped() {
    (void)co_await tasks_.all();
    co_return Ok{};
}

std::optional<NewId> Reservations::tryTake(ShardId shard) {
    OfShard& s = shards_[shard.value];
    const u64 now = clock_.now().value;
    if (s.current && (s.current->next == s.current->end || now - s.current->kept.value > kIdle)) s.current.reset();
    if (!s.current && s.next) {
        s.current = std::move(s.next);
        s.next.reset();
        if (now - s.current->kept.value > kIdle) s.current.reset();
    }
    const bool low = !s.current || s.current->end - s.current->next <= kRange / 2;
    if (low && !s.next && !s.asking && !stopping_) {
        s.asking = true;
        tasks_.spawn(fetch(shard));
    }
    if (!s.current) return std::nullopt;
    NewId id;
    id.from = s.current;
    id.counter = s.current->next++;
    id.written = std::make_shared<Written>();
    return id;
}

Task<Result<NewId>> Reservations::take(ShardId shard) {
    for (int round = 0; round < 64; round++) {
        if (auto id = tryTake(shard)) co_return *id;
        if (stopping_) break;
        while (shards_[shard.value].asking) {
            auto waiting = fetched_.wait();
            (void)co_await waiting;
        }
        OfShard& s = shards_[shard.value];
        if (!s.next && !s.current && s.last.code != Code::Ok) co_return s.last;
    }
    co_return Error(Code::Unavailable, "no ids could be reserved in shard " + std::to_string(shard.value));
}

Task<> Reservations::fetch(ShardId shard) {
    shard::ReserveIds request;
    request.count = kRange;
    auto reply = co_await caller_.mutate(groupOf(shard), request);
    OfShard& s = shards_[shard.value];
    s.asking = false;
    if (reply && reply->count > 0) {
        auto r = std::make_shared<Reservation>();
        r->shard = shard;
        r->id = reply->reservation;
        r->next = reply->first;
        r->end = reply->first + reply->count;
        r->kept = clock_.now();
        s.last = Error();
        all_[{shard.value, r->id.value}] = r;
        s.next = std::move(r);
    } else {
        s.last = reply ? Error(Code::Unavailable, "a shard reserved no ids") : reply.error();
    }
    fetched_.pulse();
    co_return Ok{};
}

void Reservations::drop(ShardId shard, ReservationId id) {
    OfShard& s = shards_[shard.value];
    if (s.current && s.current->id == id) s.current.reset();
    if (s.next && s.next->id == id) s.next.reset();
}

std::shared_ptr<Reservation> Reservations::find(ShardId shard, ReservationId id) const {
    const auto known = all_.find({shard.value, id.value});
    return known == all_.end() ? nullptr : known->second.lock();
}

// Extends every reservation that somebody besides this object holds an id of.
Task<> Reservations::keep() {
    while (!stopping_) {
        auto waiting = stop_.wait(clock_, kKeepEvery);
        (void)co_await waiting;
        if (stopping_) break;
        std::map<u16, std::vector<std::shared_ptr<Reservation>>> due;
        for (auto it = all_.begin(); it != all_.end();) {
            auto r = it->second.lock();
            if (!r) {
                it = all_.erase(it);
                continue;
            }
            const OfShard& s = shards_[it->first.first];
            const long own = 1 + (s.current == r) + (s.next == r);
            if (r.use_count() > own) due[it->first.first].push_back(std::move(r));
            ++it;
        }
        TaskGroup group;
        for (auto& [shard, all] : due) group.spawn(keepOne(ShardId{shard}, std::move(all)));
        (void)co_await group.all();
    }
    co_return Ok{};
}

Task<> Reservations::keepOne(ShardId shard, std::vector<std::shared_ptr<Reservation>> all) {
    shard::KeepReservation request;
    for (auto& r : all) request.reservations.push_back(r->id);
    const Monotonic asked = clock_.now();
    auto reply = co_await caller_.mutate(groupOf(shard), request);
    if (!reply) co_return Ok{};
    for (auto& r : all) r->kept = asked;
    for (ReservationId gone : reply->gone) {
        log::warn("reservation is gone shard={} reservation={}", shard.value, gone.value);
        drop(shard, gone);
    }
    co_return Ok{};
}

} // namespace skua::client
