#include "client/services.h"

#include <algorithm>
#include <functional>
#include <set>
#include "core/base/log.h"

namespace skua::client {

namespace {

constexpr std::size_t kReadsKept = 128;
constexpr u64 kHedgeMin = 30 * kMillisecond, kHedgeMax = 700 * kMillisecond;
constexpr u64 kHedgeCost = 20, kHedgeTokensMost = 64 * kHedgeCost;
constexpr u64 kProbeFirst = 1 * kSecond, kProbeMost = 30 * kSecond, kTrustAnswer = 5 * kSecond;
constexpr u64 kProbeAway = 1 * kSecond; // who is waited for no more is asked so often how it is
constexpr u64 kAtOnce = 1 * kSecond;    // a connection that fails within it was refused; later, nobody answered
constexpr u64 kRefusedFor = 5 * kSecond;
constexpr u64 kTriedAnyway = 1u << 20; // such blocks may find room where a disk reports none (blocks/store.cc:freeBytes)
constexpr u64 kTriedUnsaid = 8u << 10; // of those, what roomIn() promises: they need no slot
constexpr u64 kShortAnew = 10 * kSecond;
constexpr u64 kWaitSaidAfter = 1 * kSecond; // a service that is started anew is nothing to speak of
constexpr std::size_t kNamedMost = 8;       // disks in one message
constexpr u64 kRoomFresh = 1 * kSecond, kRoomOld = 10 * kSecond, kFreshenFor = 200 * kMillisecond;
constexpr u64 kRoomSoonGone = 4ull << 30; // of a disk: what others can write until hints are asked for again, and more
constexpr u64 kReportAgain = 10 * kMinute;
constexpr std::size_t kReportedMost = 4096;

} // namespace

Services::Services(Clock& clock, net::Transport& transport, Cluster& cluster, Random random, Patience patience)
    : clock_(clock), transport_(transport), cluster_(cluster), random_(random), patience_(patience) {}

Task<Result<net::Message>> Services::call(BlockServiceId id, std::string body, Buffer payload, u64 limit_ns) {
    const u64 start = clock_.now().value, end = start + limit_ns;
    const bool read = !body.empty() && static_cast<u8>(body[0]) == blocks::ReadBlock::kTag;
    u64 pause = 4 * kMillisecond;
    for (;;) {
        const Service* service = cluster_.service(id);
        if (!service || service->address.text.empty())
            co_return Error(Code::Unavailable, "block service " + std::to_string(id.value) + " is not in the map");
        const net::Address to = service->address;
        net::Message message;
        message.kind = net::Kind::kBlocks;
        message.body = body;
        message.payload = payload;
        const u64 sent = clock_.now().value;
        if (sent >= end) co_return Error(Code::Busy, "block service " + std::to_string(id.value) + " stayed too busy");
        stats.calls++;
        auto answer = co_await transport_.call(to, std::move(message), end - sent);
        const Code code = answer.code();
        if (code == Code::Unavailable || code == Code::OutcomeUnknown) {
            failed(id, code == Code::Unavailable && clock_.now().value - sent < kAtOnce);
            co_return answer.error();
        }
        if (code == Code::Busy) {
            Sleep nap(clock_, pause / 2 + random_.below(pause));
            co_await nap;
            pause = std::min(pause * 2, 200 * kMillisecond);
            continue;
        }
        answered(id, clock_.now().value - sent, read && code == Code::Ok);
        if (code == Code::Stale) cluster_.suspectMap();
        co_return answer;
    }
}

void Services::answered(BlockServiceId service, u64 ns, bool read) {
    Health& h = health_[service.value];
    h.answered = clock_.now();
    if (h.failures != 0) candidatesEdition_ = ~0ull;
    h.failures = 0;
    h.refuses = h.givenUp = false;
    h.latency_ns = h.latency_ns == 0 ? ns : (h.latency_ns * 7 + ns) / 8;
    if (!read) return;
    hedgeTokens_ = std::min(hedgeTokens_ + 1, kHedgeTokensMost);
    if (reads_.size() < kReadsKept) reads_.push_back(ns);
    else reads_[nextRead_] = ns;
    nextRead_ = (nextRead_ + 1) % kReadsKept;
    if (reads_.size() >= 16 && nextRead_ % 16 == 0) {
        std::vector<u64> sorted = reads_;
        const auto at = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() * 95 / 100);
        std::nth_element(sorted.begin(), at, sorted.end());
        percentile_ = *at;
    }
}

void Services::failed(BlockServiceId service, bool refused_connection) {
    Health& h = health_[service.value];
    stats.failures++;
    if (h.failures == 0) h.failing_since = clock_.now();
    h.refuses = refused_connection;
    const u64 pause = std::min(kProbeFirst << std::min(h.failures, 5u), kProbeMost);
    h.failures++;
    h.probe_at = Monotonic{clock_.now().value + pause};
    candidatesEdition_ = ~0ull;
    if (h.failures == 1) {
        static log::OncePerSecond often;
        if (often.allow()) log::warn("block service does not answer service={}{}", service.value, often.skipped());
        cluster_.suspectMap();
    }
}

void Services::refused(BlockServiceId service, u64 bytes) {
    Health& h = health_[service.value];
    const bool before = h.refused_until.value > clock_.now().value;
    h.refused_bytes = before ? std::min(h.refused_bytes, bytes) : bytes;
    h.refused_until = Monotonic{clock_.now().value + kRefusedFor};
    candidatesEdition_ = ~0ull;
}

// Whether one that failed is back, asked at nobody's expense.
Task<> Services::probe(BlockServiceId service) {
    blocks::Info request;
    request.service = service;
    (void)co_await ask(service, request, Buffer(), 2 * kSecond);
    Health& h = health_[service.value];
    h.probing = false;
    h.probed = clock_.now();
    co_return Ok{};
}

void Services::startProbe(BlockServiceId service, Health& h) {
    if (h.probing) return;
    h.probing = true;
    background_.spawn(probe(service));
}

bool Services::away(BlockServiceId service) {
    if (!doubtful(service)) return false;
    const Service* s = cluster_.service(service);
    if (!s || s->address.text.empty()) return true;
    Health& h = health_[service.value];
    const u64 now = clock_.now().value;
    if (h.failures == 0) return false; // the registry did not hear of it: that is worth asking
    const bool dead = s->state == registry::DiskState::kDead || s->state == registry::DiskState::kRemoved;
    const u64 patience = dead || h.givenUp ? 0 : h.refuses ? patience_.refused_ns : patience_.silent_ns;
    if (now - h.failing_since.value < patience) return false;
    if (now - std::max(h.probed.value, h.failing_since.value) >= kProbeAway) startProbe(service, h);
    return true;
}

void Services::giveUp(BlockServiceId service) {
    Health& h = health_[service.value];
    if (h.failures != 0) h.givenUp = true;
}

bool Services::lost(BlockServiceId service) {
    const Service* s = cluster_.service(service); // one that the map does not have is newer than the map
    return s && (s->state == registry::DiskState::kDead || s->state == registry::DiskState::kRemoved);
}

void DiskWait::waits(const std::string& missing) {
    const Monotonic now = services_.clock_.now();
    if (since_.value == 0) since_ = now;
    if (told_ || now.value - since_.value < kWaitSaidAfter) return;
    told_ = true;
    services_.waitBegins(missing);
}

void Services::waitBegins(const std::string& missing) {
    if (waits_++ > 0) return;
    waitsSince_ = clock_.now();
    log::warn("waiting for disks missing=\"{}\"; who waits can be interrupted", missing);
    if (waitingTold_) waitingTold_(missing);
}

void Services::waitEnds() {
    if (--waits_ > 0) return;
    log::info("nobody waits for disks any more seconds={}", (clock_.now().value - waitsSince_.value) / kSecond);
    if (waitingTold_) waitingTold_("");
}

std::string Services::describe(BlockServiceId service) {
    std::string text = "disk " + std::to_string(service.value);
    for (const auto& disk : cluster_.map().disks)
        for (const auto& server : cluster_.map().servers)
            if (disk.id == service && server.id == disk.server) text += " (" + server.name + ")";
    return text;
}

bool Services::doubtful(BlockServiceId service) {
    const Service* s = cluster_.service(service);
    if (!s || s->address.text.empty()) return true;
    const u64 now = clock_.now().value;
    auto found = health_.find(service.value);
    if (found != health_.end()) {
        Health& h = found->second;
        if (h.failures != 0) {
            if (now >= h.probe_at.value) startProbe(service, h);
            return true;
        }
        if (h.answered.value != 0 && now - h.answered.value < kTrustAnswer) return false;
    }
    return !s->up || s->state == registry::DiskState::kDead || s->state == registry::DiskState::kRemoved;
}

const std::vector<Candidate>& Services::candidates() {
    const u64 now = clock_.now().value;
    const auto& all = cluster_.services();
    if (candidatesEdition_ == cluster_.edition() && now - candidatesAt_.value < kSecond) return candidates_;
    candidatesEdition_ = cluster_.edition();
    candidatesAt_ = clock_.now();
    candidates_.clear();
    for (const auto& [id, s] : all) {
        Candidate c;
        c.service = s.id;
        c.domain = s.domain;
        c.free = std::max(s.free, kTriedAnyway);
        c.disk_class = s.disk_class;
        c.writable = s.state == registry::DiskState::kUp && !doubtful(s.id);
        if (auto h = health_.find(id); h != health_.end()) {
            c.latency_ns = h->second.latency_ns;
            if (h->second.takesNothing(now)) c.writable = false;
            else if (h->second.refused_until.value > now) c.free = std::min(c.free, h->second.refused_bytes - 1);
        }
        candidates_.push_back(std::move(c));
    }
    std::map<std::string_view, u64> room;
    for (const Candidate& c : candidates_)
        if (c.writable) {
            // Who refused a block of any size has less than its report, which is seconds old, says.
            const auto h = health_.find(c.service.value);
            const bool refused = h != health_.end() && h->second.refused_until.value > now;
            const u64 said = refused ? kTriedUnsaid : std::max(all.at(c.service.value).free, kTriedUnsaid);
            room[c.domain] = std::max(room[c.domain], std::min(c.free, said));
        }
    roomByDomain_.clear();
    for (const auto& [domain, bytes] : room) roomByDomain_.push_back(bytes);
    std::sort(roomByDomain_.begin(), roomByDomain_.end(), std::greater<>());
    return candidates_;
}

u64 Services::roomIn(u32 domains) {
    (void)candidates();
    return domains == 0 || roomByDomain_.size() < domains ? ~0ull : roomByDomain_[domains - 1];
}

Task<> Services::refreshMap(Cluster& cluster, std::shared_ptr<Event> done) {
    auto heard = co_await cluster.refresh();
    if (heard) done->set();
    co_return Ok{};
}

Task<> Services::freshenRoom(u64 room) {
    const u64 now = clock_.now().value, age = now - cluster_.hintsHeard().value;
    const bool doubtful = age >= kRoomOld || (age >= kRoomFresh && room < kRoomSoonGone);
    if (!doubtful || now < freshenAgain_.value) co_return Ok{};
    freshenAgain_ = Monotonic{now + kRoomFresh};
    auto done = std::make_shared<Event>();
    background_.spawn(refreshMap(cluster_, done));
    auto waiting = done->wait(clock_, kFreshenFor);
    const bool heard = co_await waiting;
    // Without a registry writers go on with what they know, and need not be slow.
    if (!heard) freshenAgain_ = Monotonic{clock_.now().value + kRoomOld};
    co_return Ok{};
}

std::vector<Candidate> Services::lastCandidates() {
    std::vector<Candidate> all = candidates();
    const u64 now = clock_.now().value;
    for (Candidate& c : all) {
        const Service* s = cluster_.service(c.service);
        const auto h = health_.find(c.service.value);
        const bool refused = h != health_.end() && h->second.takesNothing(now);
        if (s && s->up && s->state == registry::DiskState::kUp && !s->address.text.empty() && !refused) c.writable = true;
    }
    return all;
}

Services::Shortage Services::shortage(u64 bytes) {
    Shortage s;
    std::set<std::string> domains, live, hoped, with_room;
    std::vector<BlockServiceId> full, silent, closed;
    const u64 now = clock_.now().value;
    for (const Candidate& c : std::vector<Candidate>(candidates())) {
        const Service* service = cluster_.service(c.service);
        if (!service || service->state == registry::DiskState::kRemoved) continue;
        domains.insert(c.domain);
        const auto h = health_.find(c.service.value);
        const bool dead = service->state == registry::DiskState::kDead;
        const bool silent_now = dead || doubtful(c.service);
        if (silent_now && !dead && service->state == registry::DiskState::kUp) hoped.insert(c.domain);
        if (silent_now) silent.push_back(c.service);
        else if (service->state != registry::DiskState::kUp || (h != health_.end() && h->second.takesNothing(now)))
            closed.push_back(c.service);
        else live.insert(c.domain);
        if (!c.writable) continue;
        if (c.free >= bytes) with_room.insert(c.domain);
        else full.push_back(c.service);
    }
    s.domains = static_cast<u32>(domains.size());
    s.live = static_cast<u32>(live.size());
    hoped.insert(live.begin(), live.end());
    s.hoped = static_cast<u32>(hoped.size());
    s.with_room = static_cast<u32>(with_room.size());
    const auto name = [&](const char* what, const std::vector<BlockServiceId>& disks) {
        if (disks.empty()) return;
        s.why += std::string("; ") + what + ":";
        for (std::size_t i = 0; i < std::min(disks.size(), kNamedMost); i++) s.why += " " + std::to_string(disks[i].value);
        if (disks.size() > kNamedMost) s.why += " and " + std::to_string(disks.size() - kNamedMost) + " more";
    };
    name("do not answer", silent);
    name("full", full);
    name("take no blocks", closed);
    return s;
}

bool Services::waitForMore() {
    const u64 now = clock_.now().value;
    if (now - shortAt_.value > kShortAnew) shortSince_ = clock_.now();
    shortAt_ = clock_.now();
    return now - shortSince_.value < patience_.place_ns;
}

u64 Services::hedgeAfter() const {
    if (percentile_ == 0) return kHedgeMax;
    return std::clamp(3 * percentile_, kHedgeMin, kHedgeMax);
}

bool Services::mayRefresh() {
    if (clock_.now().value - refreshedAt_.value < kSecond) return false;
    refreshedAt_ = clock_.now();
    return true;
}

bool Services::mayHedge() {
    if (hedgeTokens_ < kHedgeCost) return false;
    hedgeTokens_ -= kHedgeCost;
    return true;
}

void Services::reportBad(BlockServiceId service, const BlockId& block) {
    if (!report_) return;
    const u64 now = clock_.now().value;
    if (auto before = reported_.find(block); before != reported_.end() && now - before->second.value < kReportAgain) return;
    if (reported_.size() >= kReportedMost) reported_.clear();
    reported_[block] = clock_.now();
    stats.bad_pages++;
    background_.spawn(report_(service, block));
}

} // namespace skua::client
