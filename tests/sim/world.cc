#include "tests/sim/world.h"

#include <cstdio>
#include <cstdlib>

namespace skua::sim {

namespace {
constexpr std::size_t kLately = 50;
}

void World::at(u64 when, std::function<void()> what) {
    events_.emplace(Key{std::max(when, now_), ++order_}, Event{std::move(what), nullptr, nullptr});
}

bool World::step() {
    ReadyQueue::drain();
    if (events_.empty()) return false;
    auto first = events_.begin();
    now_ = first->first.first;
    Event event = std::move(first->second);
    events_.erase(first);
    events++;
    if (event.timer && event.clock->stopped_until_ > now_) {
        const Key later{event.clock->stopped_until_, ++order_};
        event.clock->where_[event.timer] = later;
        events_.emplace(later, std::move(event));
        return true;
    }
    if (event.timer) event.clock->fire(*event.timer);
    else event.what();
    ReadyQueue::drain();
    return true;
}

void World::runUntil(u64 when) {
    while (!events_.empty() && events_.begin()->first.first <= when) step();
    now_ = std::max(now_, when);
}

bool World::runUntil(const std::function<bool()>& done, u64 limit_ns) {
    const u64 end = now_ + limit_ns;
    while (!done()) {
        if (now_ > end || !step()) return false;
    }
    return true;
}

void World::line(std::string text) {
    for (const char c : text) print_ = (print_ ^ static_cast<u8>(c)) * 1099511628211ull;
    print_ ^= now_;
    std::string whole = fmt::format("{:14.6f} {}", static_cast<double>(now_) / 1e9, text);
    if (trace_) std::printf("%s\n", whole.c_str());
    lately_.push_back(std::move(whole));
    if (lately_.size() > kLately) lately_.pop_front();
}

void World::tellEnd(const char* why) {
    if (!current_) return;
    const World& w = *current_;
    if (!w.trace_)
        for (const auto& line : w.lately_) std::printf("%s\n", line.c_str());
    std::printf("seed %llu failed after %.6f s: %s\n", static_cast<unsigned long long>(w.seed_),
                static_cast<double>(w.now_) / 1e9, why);
    std::printf("replay it with: make sim SEED=%llu TRACE=1%s\n", static_cast<unsigned long long>(w.seed_), replay_flags.c_str());
    std::fflush(stdout);
}

void World::fail(const std::string& why) {
    tellEnd(why.c_str());
    std::_Exit(1);
}

NodeClock::~NodeClock() { CHECK(where_.empty()); }

Monotonic NodeClock::now() {
    const u64 passed = world_.now() - from_;
    return Monotonic{base_ + static_cast<u64>(static_cast<__int128>(passed) * (1'000'000 + rate_ppm_) / 1'000'000)};
}

Wall NodeClock::wall() { return Wall{static_cast<u64>(static_cast<i64>(kBegin + world_.now()) + wall_offset_)}; }

void NodeClock::insert(Timer& t) {
    const u64 local = at(t).value > base_ ? at(t).value - base_ : 0;
    const u64 passed =
        static_cast<u64>((static_cast<__int128>(local) * 1'000'000 + 1'000'000 + rate_ppm_ - 1) / (1'000'000 + rate_ppm_));
    const World::Key key{std::max(from_ + passed, world_.now()), ++world_.order_};
    world_.events_.emplace(key, World::Event{{}, &t, this});
    where_[&t] = key;
}

void NodeClock::remove(Timer& t) {
    auto found = where_.find(&t);
    if (found == where_.end()) return;
    world_.events_.erase(found->second);
    where_.erase(found);
}

void NodeClock::fire(Timer& t) {
    where_.erase(&t);
    setFired(t);
    t.fire();
}

} // namespace skua::sim
