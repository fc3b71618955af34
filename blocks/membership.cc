#include "blocks/membership.h"

#include <algorithm>
#include "core/base/config.h"
#include "core/base/log.h"
#include "shard/messages.h"

namespace skua::blocks {
namespace {

constexpr u64 kBeat = kSecond;
constexpr u64 kAskGapNs = 25 * kMillisecond; // between two shards on average
constexpr u32 kGarbageTogether = 1000, kFatesTogether = 1000;

net::CallerLimits limitsOf(u64 total_ns) {
    net::CallerLimits l;
    l.total_ns = total_ns;
    l.attempt_ns = std::min(total_ns, 5 * kSecond);
    return l;
}

} // namespace

Membership::Membership(Ring& ring, net::Transport& transport, Service& service, MembershipOptions options)
    : ring_(ring),
      service_(service),
      options_(std::move(options)),
      registry_(ring, transport, *this, ClientId{}, Random(randomFromKernel()), limitsOf(3 * kSecond)),
      shards_(ring, transport, *this, ClientId{}, Random(randomFromKernel()), limitsOf(10 * kSecond)) {
    for (const auto& a : options_.registry) addresses_.push_back(net::Address{a});
}

void Membership::start() {
    ring_.spawn(beat());
    ring_.spawn(collectGarbage());
    ring_.spawn(sweep());
    if (options_.scrub_ns) ring_.spawn(scrub());
}

Task<> Membership::rest(u64 ns) {
    auto pause = stopping_.wait(ring_, ns);
    (void)co_await pause;
    co_return Ok{};
}

bool Membership::usable(std::size_t disk) const {
    const Served& d = *service_.disks()[disk];
    return d.disk.info().service.value != 0 && !d.fenced;
}

// --- who serves what ------------------------------------------------------------------------------------

std::vector<net::Address> Membership::membersOf(GroupId group) {
    std::vector<net::Address> out;
    for (const auto& row : map_.groups)
        if (row.id == group)
            for (const raft::Member& m : row.members)
                if (const auto it = servers_.find(m.server.value); it != servers_.end()) out.push_back(it->second);
    if (group == kRegistryGroup)
        for (const auto& a : addresses_)
            if (std::ranges::find(out, a) == out.end()) out.push_back(a);
    return out;
}

net::Address Membership::addressOf(ServerId server) {
    const auto it = servers_.find(server.value);
    return it == servers_.end() ? net::Address{} : it->second;
}

// After a restart the registry's ports may be others: the configuration knows.
void Membership::suspect(GroupId group) {
    if (group != kRegistryGroup || options_.config.empty()) return;
    const auto config = Config::load(options_.config);
    if (!config) return;
    const auto found = config->registry();
    if (!found) return;
    addresses_.clear();
    for (const auto& a : *found) addresses_.push_back(net::Address{a});
}

// --- registry -----------------------------------------------------------------------------------------

Task<> Membership::beat() {
    static log::OncePerSecond often;
    u64 silent_since = 0;
    while (!stopping_.isSet()) {
        Result<> done = Ok{};
        if (!registered_) done = co_await registerAll();
        if (done && registered_) done = co_await heartbeat();
        if (!done && !stopping_.isSet()) {
            if (silent_since == 0) silent_since = ring_.now().value;
            if (ring_.now().value > silent_since + 5 * kSecond && often.allow())
                log::warn("registry error=\"{}\"{}", done.error().message(), often.skipped());
        } else {
            silent_since = 0;
        }
        co_await rest(kBeat);
    }
    co_return Ok{};
}

Task<Result<>> Membership::registerAll() {
    registry::Register request;
    request.name = options_.name;
    request.role = registry::ServerRole::kBlocks;
    request.address = options_.address;
    request.domain = options_.domain;
    CO_TRY(const auto reply, co_await registry_.mutate(kRegistryGroup, request));
    server_ = reply.id;
    incarnation_ = reply.incarnation;
    bool all = true;
    for (const auto& disk : service_.disks()) {
        const DiskFormat info = disk->disk.info();
        registry::RegisterDisk ask;
        ask.id = info.service;
        ask.uuid = info.uuid;
        ask.server = server_;
        ask.disk_class = options_.disk_class;
        ask.capacity = info.capacity;
        const auto told = co_await registry_.mutate(kRegistryGroup, ask);
        if (!told) {
            all = false;
            log::error("disk not registered dir={} error=\"{}\"", disk->disk.dir(), told.error().message());
            continue;
        }
        // A number given once is durable before anything is written under it.
        const auto kept = service_.setIdentity(*disk, told->id, told->incarnation);
        if (!kept) {
            all = false;
            log::error("identity not kept dir={} error=\"{}\"", disk->disk.dir(), kept.error().message());
            continue;
        }
        disk->state = told->state;
    }
    if (all) {
        registered_ = true;
        log::info("registered name={} server={} disks={}", options_.name, server_.value, service_.disks().size());
    }
    co_return Ok{};
}

Task<Result<>> Membership::heartbeat() {
    registry::Heartbeat request;
    request.server = server_;
    request.incarnation = incarnation_;
    request.wall = ring_.wall();
    for (std::size_t i = 0; i < service_.disks().size(); i++) {
        if (!usable(i)) continue;
        const DiskInfo info = service_.infoOf(*service_.disks()[i]);
        registry::DiskHint hint;
        hint.id = info.service;
        hint.up = service_.disks()[i]->store->present();
        hint.free = service_.disks()[i]->takesBlocks() ? info.free : 0;
        hint.used = info.used;
        hint.blocks = info.blocks;
        hint.errors = info.errors;
        request.disks.push_back(hint);
    }
    const auto reply = co_await registry_.query(kRegistryGroup, request);
    if (!reply) {
        // A registry that lost or replaced our row: tell it again who we are.
        if (reply.code() == Code::NotFound || reply.code() == Code::Stale) registered_ = false;
        co_return reply.error();
    }
    if (reply->version > map_.version) co_await fetchMap();
    co_return Ok{};
}

Task<> Membership::fetchMap() {
    registry::GetMap request;
    request.since = map_.version;
    auto reply = co_await registry_.query(kRegistryGroup, request);
    if (!reply || !reply->map || !(reply->map->version > map_.version)) co_return Ok{};
    if (reply->map->shards == 0) co_return Ok{};
    if (map_.shards != 0 && (reply->map->cluster != map_.cluster || reply->map->shards != map_.shards)) {
        log::error("map refused: it is of another cluster, or has other shards number={}", reply->map->version.number);
        co_return Ok{};
    }
    map_ = std::move(*reply->map);
    servers_.clear();
    for (const auto& row : map_.servers) servers_[row.id.value] = row.address;
    look(map_);
    co_return Ok{};
}

// What the map says of our own disks.
void Membership::look(const registry::ClusterMap& map) {
    for (const auto& disk : service_.disks()) {
        const DiskFormat info = disk->disk.info();
        for (const auto& row : map.disks) {
            if (row.id != info.service) continue;
            if (row.state != disk->state)
                log::info("state service={} from={} to={}", info.service.value, static_cast<int>(disk->state),
                          static_cast<int>(row.state));
            disk->state = row.state;
            if (row.incarnation > info.incarnation && !disk->fenced) {
                disk->fenced = true;
                log::error("fenced service={} dir={}: this disk has appeared in another process", info.service.value,
                           disk->disk.dir());
            }
        }
    }
}

// --- garbage: what shards say is not needed any more ------------------------------------------------------

Task<> Membership::collectGarbage() {
    while (!stopping_.isSet()) {
        const u64 started = ring_.now().value;
        for (u32 shard = 0; shard < map_.shards && !stopping_.isSet(); shard++)
            for (std::size_t disk = 0; disk < service_.disks().size() && !stopping_.isSet(); disk++) {
                if (!usable(disk)) continue;
                const ShardId id{static_cast<u16>(shard)};
                bool more = true;
                while (more && !stopping_.isSet()) more = co_await garbageOf(id, disk);
            }
        // Hundreds of idle shards are asked less often each: what a shard has for us is not urgent.
        const u64 usual = std::max(map_.local ? 2 * kSecond : 10 * kSecond, map_.shards * kAskGapNs);
        const u64 round = options_.garbage_ns ? options_.garbage_ns : usual;
        const u64 took = ring_.now().value - started;
        const u64 left = took < round ? round - took : kMillisecond;
        co_await rest(left);
    }
    co_return Ok{};
}

Task<bool> Membership::garbageOf(ShardId shard, std::size_t disk) {
    Served& d = *service_.disks()[disk];
    shard::TakeGarbage take;
    take.service = d.disk.info().service;
    take.limit = kGarbageTogether;
    const auto taken = co_await shards_.query(groupOf(shard), take);
    if (!taken || taken->blocks.empty()) co_return false;
    // At least once, and the same again does no harm: erase, durably, then say so.
    const auto erased = co_await d.store->erase(taken->blocks);
    if (!erased) {
        log::warn("garbage not erased service={} error=\"{}\"", take.service.value, erased.error().message());
        co_return false;
    }
    shard::DoneGarbage done;
    done.service = take.service;
    done.blocks = taken->blocks;
    const auto told = co_await shards_.mutate(groupOf(shard), done);
    co_return told && taken->blocks.size() >= kGarbageTogether;
}

// --- the sweep: blocks whose writer may have died before the commit ------------------------------------------

Task<> Membership::sweep() {
    while (!stopping_.isSet()) {
        const u64 usual = map_.local ? 5 * kSecond : 10 * kSecond, pause = options_.sweep_ns ? options_.sweep_ns : usual;
        co_await rest(pause);
        if (map_.shards == 0) continue;
        const u64 first = options_.first_ask_ns.value_or(map_.local ? 15 * kSecond : kMinute);
        const u64 again = options_.ask_again_ns ? options_.ask_again_ns : map_.local ? kMinute : 10 * kMinute;
        for (std::size_t disk = 0; disk < service_.disks().size() && !stopping_.isSet(); disk++) {
            if (!usable(disk)) continue;
            std::map<u16, std::vector<BlockId>> by_shard;
            for (const BlockId& id : service_.disks()[disk]->store->toAsk(first, again, 16 * kFatesTogether))
                by_shard[id.content.shard().value].push_back(id);
            for (auto& [shard, blocks] : by_shard) {
                if (shard >= map_.shards) continue; // without a shard's word nothing is erased
                for (std::size_t from = 0; from < blocks.size(); from += kFatesTogether) {
                    const auto begin = blocks.begin() + static_cast<std::ptrdiff_t>(from);
                    const auto end =
                        blocks.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(blocks.size(), from + kFatesTogether));
                    std::vector<BlockId> some(begin, end);
                    const ShardId id{shard};
                    co_await ask(id, disk, std::move(some));
                }
            }
        }
    }
    co_return Ok{};
}

Task<> Membership::ask(ShardId shard, std::size_t disk, std::vector<BlockId> blocks) {
    Served& d = *service_.disks()[disk];
    shard::Fate request;
    request.service = d.disk.info().service;
    request.blocks = blocks;
    const auto reply = co_await shards_.query(groupOf(shard), std::move(request));
    if (!reply || reply->fates.size() != blocks.size()) co_return Ok{};
    std::vector<BlockId> referenced, dead;
    for (std::size_t i = 0; i < blocks.size(); i++) {
        if (reply->fates[i] == shard::FateOf::kReferenced) referenced.push_back(blocks[i]);
        if (reply->fates[i] == shard::FateOf::kDead) dead.push_back(blocks[i]);
    }
    (void)co_await d.store->settle(std::move(referenced));
    if (!dead.empty()) log::info("swept service={} shard={} blocks={}", d.disk.info().service.value, shard.value, dead.size());
    (void)co_await d.store->erase(std::move(dead));
    co_return Ok{};
}

// --- the scrub: bytes at rest --------------------------------------------------------------------------------

// Each disk is read once in scrub_ns, one block at a time, at an even pace.
Task<> Membership::scrub() {
    std::vector<BlockId> cursors(service_.disks().size());
    while (!stopping_.isSet()) {
        u64 pause = kMinute;
        for (std::size_t disk = 0; disk < service_.disks().size() && !stopping_.isSet(); disk++) {
            Served& d = *service_.disks()[disk];
            const auto part = co_await d.store->list(cursors[disk], 1);
            if (!part) continue;
            if (part->empty()) {
                cursors[disk] = BlockId{};
                continue;
            }
            const BlockId id = part->front().id;
            cursors[disk] = id;
            const auto good = co_await d.store->verify(id);
            if (good && !*good && usable(disk)) co_await reportBad(d.disk.info().service, id);
            const DiskInfo info = service_.infoOf(d);
            pause = std::min(pause, options_.scrub_ns / std::max<u64>(info.blocks, 1));
        }
        co_await rest(std::max(pause, 10 * kMillisecond));
    }
    co_return Ok{};
}

Task<> Membership::reportBad(BlockServiceId service, BlockId block) {
    shard::ReportBad report;
    report.service = service;
    report.blocks.push_back(block);
    const auto told = co_await shards_.mutate(groupOf(block.content.shard()), report);
    if (!told) log::warn("bad block not reported service={} error=\"{}\"", service.value, told.error().message());
    co_return Ok{};
}

} // namespace skua::blocks
