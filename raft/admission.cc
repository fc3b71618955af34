#include "raft/admission.h"

#include <xxhash.h>
#include <algorithm>
#include "core/base/probe.h"

namespace skua::raft {

namespace {
std::size_t at(Admission::Lane lane) { return static_cast<std::size_t>(lane); }
} // namespace

bool Admission::Client::idle() const {
    return std::all_of(lanes.begin(), lanes.end(), [](const auto& items) { return items.empty(); });
}

Admission::Class Admission::classOf(Lane lane) {
    if (lane == Lane::kSteps) return kOfServers;
    return lane == Lane::kBackground ? kOfBackground : kOfClients;
}

net::RetryAfter Admission::retryAfter() const {
    return {static_cast<u32>(std::min<std::size_t>(kRetryMostMs, kRetryLeastMs + held_.size() / kServedPerMs))};
}

// Who matters more is refused later: background at half of what may wait, clients at three quarters.
std::optional<net::RetryAfter> Admission::refuse(const From& from, bool background, std::size_t bytes) {
    bool over = false;
    if (auto client = clients_.find(from.connection); !from.server && client != clients_.end()) {
        const Client& c = client->second;
        over = c.outstanding >= limits_.window || (c.outstanding != 0 && c.bytes + bytes > limits_.window_bytes);
    }
    const std::size_t quarters = background ? 2 : from.server ? 4 : 3;
    over = over || queued_ * 4 >= limits_.queued * quarters ||
           (queued_ != 0 && (queuedBytes_ + bytes) * 4 > limits_.queued_bytes * quarters);
    if (!over) return std::nullopt;
    PROBE("a request is refused before it is looked at");
    counters_.refused++;
    return retryAfter();
}

void Admission::take(u64 token, const From& from, Lane lane, bool joins, net::GroupRequest&& request, std::size_t bytes) {
    counters_.admitted++;
    Client& client = clients_[from.connection];
    client.outstanding++;
    client.bytes += bytes;
    held_[token] = {from.connection, bytes};
    u64 hash = 0;
    if (joins && request.body.value.size() <= kMaxJoinedBody) {
        const u64 seed = u64{request.group.value} << 1 | u64{from.server};
        hash = std::max<u64>(XXH3_64bits_withSeed(request.body.value.data(), request.body.value.size(), seed), 1);
        if (auto same = joinable_.find(hash); same != joinable_.end()) {
            Asked& first = same->second->asked;
            if (first.request.group == request.group && first.from_server == from.server &&
                first.request.body.value == request.body.value) {
                PROBE("a read joins another one that waits");
                counters_.joined++;
                first.also.push_back(token);
                return;
            }
            hash = 0; // another one with the same hash
        }
    }
    auto& items = client.lanes[at(lane)];
    if (items.empty()) rings_[at(lane)].push_back(from.connection);
    items.push_back({{token, lane, from.server, std::move(request), {}}, bytes, hash});
    if (hash != 0) joinable_[hash] = &items.back();
    queued_++;
    queuedBytes_ += bytes;
}

bool Admission::waits(Lane lane, Hold hold) const {
    if ((lane == Lane::kWrites && hold.writes) || (lane == Lane::kBackground && hold.background)) return false;
    return !rings_[at(lane)].empty();
}

std::size_t Admission::keptFor(Class c, Hold hold) const {
    const bool some = c == kOfClients ? waits(Lane::kReads, hold) || waits(Lane::kWrites, hold) : waits(Lane::kBackground, hold);
    const std::size_t least = !some ? 0 : c == kOfClients ? kLeastClients : kLeastBackground;
    const std::size_t kept = std::min(least, limits_.turn_requests / 4);
    return kept - std::min(kept, turn_.served[c]);
}

bool Admission::mayServe(Lane lane, Hold hold) const {
    if (!waits(lane, hold) || turn_.all >= limits_.turn_requests) return false;
    const Class c = classOf(lane);
    if (turn_.bytes + turn_.answers >= limits_.turn_bytes && turn_.served[c] != 0) return false;
    std::size_t kept = 0;
    if (c == kOfServers) kept = keptFor(kOfClients, hold) + keptFor(kOfBackground, hold);
    else if (c == kOfClients) kept = keptFor(kOfBackground, hold);
    return turn_.all + kept < limits_.turn_requests;
}

bool Admission::wantsTurn(Hold hold) const {
    return waits(Lane::kSteps, hold) || waits(Lane::kReads, hold) || waits(Lane::kWrites, hold) || waits(Lane::kBackground, hold);
}

std::optional<Admission::Asked> Admission::next(std::size_t answers, Hold hold) {
    turn_.answers = answers;
    std::optional<Lane> lane;
    const Lane first = readsNext_ ? Lane::kReads : Lane::kWrites, second = readsNext_ ? Lane::kWrites : Lane::kReads;
    for (const Lane one : {Lane::kSteps, first, second, Lane::kBackground})
        if (!lane && mayServe(one, hold)) lane = one;
    if (!lane) return std::nullopt;
    if (*lane == Lane::kReads || *lane == Lane::kWrites) readsNext_ = *lane == Lane::kWrites;
    return pop(*lane);
}

Admission::Asked Admission::pop(Lane lane) {
    auto& ring = rings_[at(lane)];
    const u64 connection = ring.front();
    ring.pop_front();
    Client& client = clients_.at(connection);
    auto& items = client.lanes[at(lane)];
    Item item = std::move(items.front());
    drop(items.front());
    items.pop_front();
    if (!items.empty()) ring.push_back(connection);
    else if (client.gone && client.idle()) clients_.erase(connection);
    turn_.all++;
    turn_.bytes += item.bytes;
    turn_.served[classOf(lane)]++;
    return std::move(item.asked);
}

// Of the counts and the index; its place in the list is the caller's.
void Admission::drop(Item& item) {
    if (item.hash != 0) joinable_.erase(item.hash);
    queued_--;
    queuedBytes_ -= item.bytes;
}

void Admission::answered(u64 token) {
    auto held = held_.find(token);
    if (held == held_.end()) return;
    if (auto client = clients_.find(held->second.connection); client != clients_.end()) {
        client->second.outstanding--;
        client->second.bytes -= held->second.bytes;
    }
    held_.erase(held);
}

void Admission::gone(u64 connection, std::vector<u64>& dropped) {
    auto client = clients_.find(connection);
    if (client == clients_.end()) return;
    for (std::size_t lane = 0; lane < kLanes; lane++) {
        auto& items = client->second.lanes[lane];
        if (items.empty()) continue;
        for (auto item = items.begin(); item != items.end();) {
            if (!item->asked.also.empty()) { // others wait for it
                ++item;
                continue;
            }
            dropped.push_back(item->asked.token);
            drop(*item);
            held_.erase(item->asked.token);
            item = items.erase(item);
        }
        if (items.empty()) std::erase(rings_[lane], connection);
    }
    client->second.gone = true;
    if (client->second.idle()) clients_.erase(client);
}

} // namespace skua::raft
