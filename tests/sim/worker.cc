#include "tests/sim/worker.h"

#include <algorithm>

namespace skua::sim {

namespace {
constexpr u32 kMostLoad = 7; // Checker::load
}

// --- an arena --------------------------------------------------------------------------------------------------

void Arena::learn(InodeId inode) {
    auto& list = inode.isDirectory() ? dirs : inode.isFile() ? files : links;
    if (std::find(list.begin(), list.end(), inode) == list.end()) list.push_back(inode);
    if (list.size() > 14) list.erase(list.begin() + 1);
}

void Arena::learn(InodeId dir, const std::string& name, InodeId inode) {
    learn(inode);
    std::erase_if(seen, [&](const Place& p) { return p.dir == dir && p.name == name; });
    seen.push_back({dir, name, inode});
    if (seen.size() > 20) seen.erase(seen.begin());
}

void Arena::forget(InodeId inode) {
    if (inode != root) std::erase(dirs, inode);
    std::erase(files, inode);
    std::erase(links, inode);
}

// --- a life ----------------------------------------------------------------------------------------------------

namespace {

client::ClientOptions optionsOf(Cluster& cluster, net::CallerLimits limits) {
    client::ClientOptions o;
    o.registry = cluster.registryAddresses();
    o.client = ClientId{cluster.world.random.next() | 1};
    o.seed = cluster.world.random.next();
    o.limits = limits;
    return o;
}

} // namespace

ClientLife::ClientLife(Cluster& cluster, u32 node, net::CallerLimits limits, i64 rate_ppm)
    : world(cluster.world),
      clock(world, rate_ppm, kHour, 0),
      transport(cluster.network, clock, node, false),
      client(clock, transport, optionsOf(cluster, limits)) {}

ClientLife::~ClientLife() { CHECK(tasks.running() == 0); }

void ClientLife::die() {
    dead = true;
    stop.set();
    transport.close();
    client.stop();
    burial.emplace(bury());
    burial->start();
}

Task<> ClientLife::bury() {
    (void)co_await tasks.all();
    (void)co_await client.stopped();
    world.after(1, [this] {
        burial.reset();
        self.reset();
    });
    co_return Ok{};
}

// --- a worker ----------------------------------------------------------------------------------------------------

Worker::Worker(Cluster& cluster, Crew& crew, u32 number, Arena& own, Arena& shared)
    : cluster_(cluster),
      world_(cluster.world),
      crew_(crew),
      number_(number),
      node_(++cluster.nodes),
      own_(own),
      shared_(shared) {}

Worker::~Worker() = default;

void Worker::begin() {
    if (life_) return;
    net::CallerLimits limits;
    const u64 patience[] = {10 * kSecond, kMinute, 4 * kMinute};
    limits.total_ns = crew_.strict ? 4 * kMinute : patience[world_.random.below(3)];
    limits.attempt_ns = world_.random.oneIn(2) ? 10 * kSecond : 2 * kSecond;
    const i64 rate = cluster_.drifting ? static_cast<i64>(world_.random.below(200'001)) - 100'000 : 0;
    life_ = std::make_shared<ClientLife>(cluster_, node_, limits, rate);
    life_->self = life_;
    world_.tell("client {} begins id={:x} patience_s={}", number_, life_->client.options.client.value, limits.total_ns / kSecond);
    Life life = life_;
    life_->tasks.spawn(work(life));
}

void Worker::crash() {
    if (!life_) return;
    world_.tell("client {} dies", number_);
    world_.count("fault crash of a client");
    Life life = std::move(life_);
    life_.reset();
    life->die();
    cluster_.network.stop(node_, 0); // the next one is not stopped
}

void Worker::stop(u64 ns) {
    if (!life_) return;
    world_.tell("client {} stops s={}", number_, ns / kSecond);
    world_.count("fault a client stopped");
    cluster_.stop(life_->clock, node_, ns);
}

void Worker::end() {
    if (!life_) return;
    Life life = std::move(life_);
    life_.reset();
    life->die();
}

// While everybody sleeps hours pass quickly.
u64 Worker::sleeps(u64 until) {
    const u64 number = ++crew_.naps;
    crew_.asleep.emplace(until, number);
    crew_.awake--;
    world_.quiet = crew_.awake == 0;
    if (crew_.nights && world_.quiet && crew_.asleep.begin()->first > world_.now() + 5 * kMinute)
        world_.after(0, [this] { cluster_.night(crew_.nights && world_.quiet); });
    return number;
}
void Worker::wakes(u64 until, u64 number) {
    crew_.asleep.erase({until, number});
    crew_.awake++;
    world_.quiet = false;
    if (cluster_.slow) world_.after(0, [this] { cluster_.night(false); });
}

Task<> Worker::nap(Life life, u64 ns) {
    const bool is_long = ns > 3 * kSecond;
    const u64 until = world_.now() + ns;
    const u64 number = is_long ? sleeps(until) : 0;
    auto wait = life->stop.wait(life->clock, ns);
    (void)co_await wait;
    if (is_long) wakes(until, number);
    co_return Ok{};
}

// Until there is something to do.
Task<> Worker::idles(Life life) {
    const u64 number = sleeps(~0ull);
    while (left == 0 && !life->dead) {
        auto wait = life->stop.wait(life->clock, 10 * kSecond);
        (void)co_await wait;
    }
    wakes(~0ull, number);
    co_return Ok{};
}

Task<> Worker::work(Life life) {
    for (bool started = false; !started;) {
        auto start = co_await life->client.start(10 * kMinute);
        if (life->dead) co_return Ok{};
        started = start.has_value();
        if (!started && crew_.strict) world_.fail("nothing fails any more, and a client found no registry within 10 minutes");
    }
    for (u32 i = 0; i < hands; i++) life->tasks.spawn(hand(life));
    co_return Ok{};
}

Task<> Worker::hand(Life life) {
    crew_.awake++;
    world_.quiet = false;
    co_await handWork(life);
    crew_.awake--;
    co_return Ok{};
}

Task<> Worker::handWork(Life life) {
    while (!life->dead) {
        if (left == 0) {
            (void)co_await idles(life);
            continue;
        }
        if (crew_.night > world_.now()) {
            const u64 until = crew_.night - world_.now();
            (void)co_await nap(life, until);
            if (life->dead) break;
        }
        const bool together = world_.chance(crew_.together);
        Arena& arena = together ? shared_ : own_;
        if (left == 0) continue;
        // What nobody heard the end of may still happen for a while: more of it cannot be told apart.
        arena.checker.forget();
        if (arena.checker.load() >= kMostLoad) {
            const u64 ns = arena.checker.onlyUncertain() ? kMinute : kMillisecond;
            (void)co_await nap(life, ns);
            continue;
        }
        const u64 began = world_.now();
        left--;
        busy_++;
        if (crew_.began) crew_.began();
        (void)co_await one(life, arena);
        busy_--;
        crew_.operations++;
        if (life->dead) break;
        if (crew_.strict && world_.now() - began > kMinute)
            world_.fail(fmt::format("nothing fails any more, and client {} waited over a minute", number_));
        u64 rest = world_.random.below(crew_.rest_ns);
        if (!crew_.strict && world_.random.oneIn(30)) rest = world_.random.below(20 * kSecond);
        (void)co_await nap(life, rest);
    }
    co_return Ok{};
}

// What a seed's workers are fond of: of everything, of directories that move, of links between shards, of contents.
static constexpr u32 kFond[4][12] = {
    {5, 2, 2, 6, 4, 1, 2, 4, 2, 2, 1, 1},
    {1, 0, 0, 7, 12, 4, 0, 2, 0, 6, 0, 1},
    {4, 0, 0, 7, 5, 1, 26, 1, 1, 2, 0, 1},
    {6, 6, 7, 3, 2, 0, 1, 5, 1, 2, 3, 1},
};

Task<> Worker::one(Life life, Arena& arena) {
    const u32(&fond)[12] = kFond[crew_.theme % 4];
    u64 which = 0, all = 0;
    for (const u32 weight : fond) all += weight;
    for (u64 at = world_.random.below(all); at >= fond[which]; which++) at -= fond[which];
    if (arena.bringing && world_.random.oneIn(4)) which = 9;
    switch (which) {
        case 0: co_return co_await create(life, arena);
        case 1: co_return co_await content(life, arena);
        case 2: co_return co_await edit(life, arena);
        case 3: co_return co_await names(life, arena);
        case 4: co_return co_await moves(life, arena, false);
        case 5: co_return co_await moves(life, arena, true);
        case 6: co_return co_await link(life, arena);
        case 7: co_return co_await reads(life, arena);
        case 8: co_return co_await attributes(life, arena);
        case 9: co_return co_await past(life, arena);
        case 10: co_return co_await pastContents(life, arena);
        default: co_return co_await other(life, arena);
    }
}

// --- asking and hearing --------------------------------------------------------------------------------------------

u32 Worker::invoke(Arena& arena, Op op) {
    op.client = number_;
    return arena.checker.invoke(std::move(op));
}

void Worker::hear(Arena& arena, u32 id, const Heard& heard) { arena.checker.respond(id, heard); }

// Errors that are no answers go to the checker here.
Worker::Took Worker::took(Life life, Arena& arena, u32 id, const Error* error, Heard& heard) {
    if (life->dead) {
        arena.checker.uncertain(id);
        return Took::kNothing;
    }
    if (!error) return Took::kAnswer;
    world_.tell("client {} op={} got {}", number_, id, error->message());
    switch (error->code) {
        case Code::Unavailable:
        case Code::Busy:
        case Code::Locked:
        case Code::NotLeader:
            world_.count(std::string("heard ") + std::string(name(error->code)));
            if (crew_.strict)
                world_.fail(fmt::format("nothing fails any more, and client {} heard {}\n{}", number_, error->message(),
                                        cluster_.whoLeads()));
            arena.checker.nothingHappened(id);
            return Took::kNothing;
        case Code::OutcomeUnknown:
            world_.count("heard OutcomeUnknown");
            if (crew_.strict)
                world_.fail(fmt::format("nothing fails any more, and client {} heard {}\n{}", number_, error->message(),
                                        cluster_.whoLeads()));
            arena.checker.uncertain(id);
            return Took::kNothing;
        case Code::Expired: // a reservation that lapsed while he slept
            world_.count("heard Expired");
            arena.checker.nothingHappened(id);
            return Took::kNothing;
        default: break;
    }
    heard.code = error->code;
    if (error->code == Code::Exists && !error->inode.none()) {
        heard.names.emplace_back("", error->inode);
        arena.learn(error->inode);
    }
    return Took::kAnswer;
}

InodeId Worker::anyDir(Arena& arena) {
    if (world_.random.oneIn(4)) return arena.root;
    return arena.dirs[world_.random.below(arena.dirs.size())];
}

InodeId Worker::anyFile(Arena& arena) {
    if (arena.files.empty()) return {};
    return arena.files[world_.random.below(arena.files.size())];
}

std::string Worker::anyName(Arena& arena) { return arena.names[world_.random.below(arena.names.size())]; }

Arena::Place Worker::anyPlace(Arena& arena, const std::function<bool(InodeId)>& fits) {
    std::vector<const Arena::Place*> some;
    if (!world_.random.oneIn(3))
        for (const Arena::Place& p : arena.seen)
            if (fits(p.inode)) some.push_back(&p);
    if (!some.empty()) return *some[world_.random.below(some.size())];
    const InodeId dir = anyDir(arena);
    return {dir, anyName(arena), InodeId{}};
}

Data dataOf(const shard::Open::Reply& open) {
    Data d;
    d.size = open.attributes.size;
    if (open.inline_bytes) {
        d.in_line = true;
        if (d.size != 0) d.pieces.push_back({0, d.size, std::hash<std::string>{}(open.inline_bytes->value) | 1});
        return d;
    }
    for (const SpanRecord& s : open.spans) {
        Piece p{s.offset, s.bytes(), 0};
        for (const BlockRef& b : s.blocks)
            if (p.tag == 0 && b.service.value != 0) p.tag = static_cast<u64>(b.id.reservation.value) << 32 | b.id.n;
        d.pieces.push_back(p);
    }
    return d;
}

std::string textOf(const Attributes& a) {
    return attributesText(a.inode.type(), a.mode, a.size, a.content.value, a.generation.value);
}

} // namespace skua::sim
