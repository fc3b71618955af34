#include "client/cluster.h"

#include <algorithm>
#include "core/base/log.h"

namespace skua::client {

namespace {

constexpr u64 kPollLimit = 30 * kSecond; // the registry answers a waiting GetMap earlier
constexpr u64 kHintEvery = 5 * kSecond, kHintUsed = 10 * kSecond, kHintPause = 200 * kMillisecond;

net::CallerLimits limitsOf(u64 attempt_ns, u64 total_ns) {
    net::CallerLimits limits;
    limits.attempt_ns = attempt_ns;
    limits.total_ns = total_ns;
    return limits;
}

} // namespace

Cluster::Cluster(Clock& clock, net::Transport& transport, std::vector<std::string> registry, Random random)
    : clock_(clock),
      caller_(clock, transport, *this, ClientId{}, Random(random.next()), limitsOf(2 * kSecond, 3 * kSecond)),
      poller_(clock, transport, *this, ClientId{}, Random(random.next()), limitsOf(kPollLimit, 1)) {
    for (auto& a : registry) registry_.push_back(net::Address{a});
}

void Cluster::start() {
    if (started_) return;
    started_ = true;
    tasks_.spawn(follow());
    tasks_.spawn(hint());
}

void Cluster::stop() {
    stopping_ = true;
    stop_.set();
    wake_.set();
    arrived_.set();
}

Task<> Cluster::stopped() {
    (void)co_await tasks_.all();
    co_return Ok{};
}

Task<Result<>> Cluster::waitForMap(u64 limit_ns) {
    const u64 end = clock_.now().value + limit_ns;
    while (!known() && !stopping_) {
        const u64 now = clock_.now().value;
        if (now >= end) {
            std::string tried;
            for (auto& a : registry_) tried += (tried.empty() ? "" : ", ") + a.text;
            co_return Error(Code::Unavailable, "no registry answered at " + tried + "; is the cluster up?");
        }
        auto waiting = arrived_.wait(clock_, end - now);
        (void)co_await waiting;
    }
    if (!known()) co_return Error(Code::Unavailable, "stopping");
    co_return Ok{};
}

Task<Result<>> Cluster::refresh() {
    auto done = co_await ask(false);
    co_return done;
}

Task<Result<>> Cluster::ask(bool wait) {
    registry::GetMap request;
    request.since = map_.version;
    request.wait = wait;
    net::GroupCaller& caller = wait ? poller_ : caller_;
    CO_TRY(auto reply, co_await caller.query(kRegistryGroup, request, wait));
    install(std::move(reply));
    co_return Ok{};
}

void Cluster::install(registry::GetMap::Reply&& reply) {
    edition_++;
    asked_ = clock_.now();
    if (reply.map && (!known() || reply.map->version > map_.version)) {
        map_ = std::move(*reply.map);
        addresses_.clear();
        groups_.clear();
        std::map<u32, const registry::ServerRow*> servers;
        for (auto& s : map_.servers) {
            addresses_[s.id.value] = s.address;
            servers[s.id.value] = &s;
        }
        for (auto& g : map_.groups)
            for (const raft::Member& m : g.members)
                if (auto a = addresses_.find(m.server.value); a != addresses_.end()) groups_[g.id.value].push_back(a->second);
        std::map<u32, Service> now;
        for (auto& d : map_.disks) {
            Service& s = now[d.id.value];
            if (auto old = services_.find(d.id.value); old != services_.end()) s = old->second;
            else s.free = d.capacity;
            s.id = d.id;
            s.disk_class = d.disk_class;
            s.capacity = d.capacity;
            s.state = d.state;
            s.incarnation = d.incarnation;
            s.address = {};
            if (auto server = servers.find(d.server.value); server != servers.end()) {
                s.address = server->second->address;
                s.domain = server->second->domain;
                if (s.domain.empty()) s.domain = server->second->name;
            }
        }
        services_ = std::move(now);
        if (known()) arrived_.set();
    }
    for (auto& h : reply.disks)
        if (auto s = services_.find(h.id.value); s != services_.end()) {
            s->second.up = h.up;
            if (h.free != 0 || h.used != 0) {
                s->second.free = h.free;
                s->second.used = h.used;
            }
        }
    if (!reply.servers.empty()) {
        serverHints_.clear();
        for (auto& h : reply.servers) serverHints_[h.id.value] = h;
    }
}

Task<> Cluster::follow() {
    u64 pause = 100 * kMillisecond;
    while (!stopping_) {
        auto answer = co_await ask(known());
        if (stopping_) break;
        if (answer) {
            pause = 100 * kMillisecond;
            // A registry that answers a waiting question at once must not be asked in a tight loop.
            auto breath = stop_.wait(clock_, 20 * kMillisecond);
            (void)co_await breath;
            continue;
        }
        auto waiting = stop_.wait(clock_, pause);
        (void)co_await waiting;
        pause = std::min(pause * 2, 2 * kSecond);
    }
    co_return Ok{};
}

Task<> Cluster::hint() {
    while (!stopping_) {
        auto waiting = wake_.wait(clock_, kHintEvery);
        const bool woken = co_await waiting;
        if (stopping_) break;
        wake_.reset();
        const bool used = used_.value != 0 && clock_.now().value - used_.value < kHintUsed;
        if (!woken && !used) continue;
        (void)co_await ask(false);
        if (stopping_) break;
        auto pause = stop_.wait(clock_, kHintPause);
        (void)co_await pause;
    }
    co_return Ok{};
}

const Service* Cluster::service(BlockServiceId id) {
    used_ = clock_.now();
    auto found = services_.find(id.value);
    if (found == services_.end()) {
        suspectMap();
        return nullptr;
    }
    return &found->second;
}

const std::map<u32, Service>& Cluster::services() {
    // Somebody begins to use hints after a pause: those here may be old.
    if (used_.value != 0 && clock_.now().value - used_.value > kHintUsed) suspectMap();
    used_ = clock_.now();
    return services_;
}

void Cluster::suspectMap() {
    if (started_) wake_.set();
}

std::vector<net::Address> Cluster::membersOf(GroupId group) {
    std::vector<net::Address> members;
    if (auto known = groups_.find(group.value); known != groups_.end()) members = known->second;
    if (group == kRegistryGroup)
        for (auto& a : registry_)
            if (std::find(members.begin(), members.end(), a) == members.end()) members.push_back(a);
    for (auto& [id, hint] : serverHints_)
        if (std::find(hint.leads.begin(), hint.leads.end(), group) != hint.leads.end())
            if (auto at = std::find(members.begin(), members.end(), addressOf(ServerId{id})); at != members.end())
                std::rotate(members.begin(), at, at + 1);
    return members;
}

net::Address Cluster::addressOf(ServerId server) {
    auto found = addresses_.find(server.value);
    return found == addresses_.end() ? net::Address{} : found->second;
}

void Cluster::suspect(GroupId group) {
    if (group != kRegistryGroup) suspectMap();
}

} // namespace skua::client
