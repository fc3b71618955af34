#include "tests/sim/run.h"

#include "core/data/geometry.h"
#include "tests/sim/verify.h"

namespace skua::sim {

namespace {

constexpr u32 kWorkers = 3;

class Run {
public:
    Run(const RunOptions& options, Counts& counts)
        : options_(options),
          world_(options.seed, options.trace, counts),
          chaos_(draw()),
          cluster_(world_, options.bugs, shape(), policy(), !options.calm && world_.random.oneIn(3)) {}
    ~Run() {
        for (auto& w : workers_) w->end();
        if (admin_) admin_->die();
        for (auto& m : cluster_.machines) m->crash();
        for (auto& s : cluster_.services) s->crash();
        // Their tasks end by their limits.
        for (int i = 0; i < 1000 && world_.step(); i++) {}
        world_.runUntil(world_.now() + 20 * kMinute);
    }

    RunResult go() {
        RunResult result;
        story();
        result.seconds = world_.now() / kSecond;
        result.events = world_.events;
        result.operations = crew_.operations;
        for (const auto& a : arenas_) result.answers += a->checker.answers();
        result.print = world_.print();
        return result;
    }

private:
    // Each seed is bad in its own way.
    Faults draw() {
        Faults f;
        if (options_.calm) return f;
        const u32 some[] = {0, 2, 10, 40};
        f.lose = some[world_.random.below(4)];
        f.repeat = some[world_.random.below(4)];
        f.delay = some[world_.random.below(4)];
        f.slow_disk = some[world_.random.below(3)];
        const u64 latencies[] = {300 * kMicrosecond, 300 * kMicrosecond, 10 * kMillisecond, 150 * kMillisecond};
        f.latency = latencies[world_.random.below(4)];
        f.crashes = !world_.random.oneIn(5);
        f.crash_busy = some[world_.random.below(4)];
        f.late_votes = world_.random.oneIn(3) ? 300 : 0;
        return f;
    }
    Shape shape() {
        Shape s;
        s.replicas = world_.random.oneIn(5) ? 1 : 3;
        s.shards = static_cast<u16>(2 + world_.random.below(3));
        s.shard_processes = s.replicas == 1 ? 1 + static_cast<u32>(world_.random.below(3)) : 3 + world_.random.oneIn(3);
        s.services = 4 + static_cast<u32>(world_.random.below(2));
        const u64 paces[] = {1, 2, 4, 4};
        s.pace = paces[world_.random.below(4)];
        const std::size_t kept[] = {2'000, 20'000, 16u << 20};
        s.keep_bytes = kept[world_.random.below(3)];
        if (world_.random.oneIn(3)) s.keep_total_bytes = 40'000;
        s.part_bytes = world_.random.oneIn(2) ? 2'000 : 1u << 20;
        return s;
    }
    static Policy policy() {
        Policy p = geometry::defaultPolicy(4);
        p.retention = kHour + 1;
        return p;
    }

    void story() {
        cluster_.start(world_.random.oneIn(3) ? chaos_ : Faults{});
        makeArenas();
        world_.tell("faults lose={} repeat={} delay={} slow={} crashes={} drift={}", chaos_.lose, chaos_.repeat, chaos_.delay,
                    chaos_.slow_disk, chaos_.crashes, cluster_.drifting);
        // Seeds differ in how much happens at once, and on the same names.
        const u64 rests[] = {300 * kMicrosecond, 3 * kMillisecond, 30 * kMillisecond};
        crew_.rest_ns = rests[world_.random.below(3)];
        crew_.stops = options_.calm ? 0 : 4;
        crew_.theme = world_.random.below(4);
        const u32 shares[] = {150, 333, 700};
        crew_.together = shares[world_.random.below(3)];
        const u32 hands = 1 + static_cast<u32>(world_.random.below(2));
        const u32 often = 4 + static_cast<u32>(world_.random.below(30));
        if (!options_.calm)
            crew_.began = [this, often] {
                if (!healed_ && world_.random.oneIn(often))
                    world_.after(world_.random.below(2 * kMillisecond), [this] {
                        if (!healed_) chaos();
                    });
            };
        for (u32 i = 0; i < kWorkers; i++) {
            workers_.push_back(std::make_unique<Worker>(cluster_, crew_, i + 1, *arenas_[i + 1], *arenas_[0]));
            workers_.back()->left = options_.operations;
            workers_.back()->hands = hands;
            workers_.back()->begin();
        }
        world_.faults = chaos_;
        chaosSoon();
        if (!options_.calm) nights_ = 1 + static_cast<u32>(world_.random.below(2));
        if (!done(12 * kHour)) world_.fail("the workers did not come to an end within 12 hours");
        heal();
        if (!done(kHour)) world_.fail("nothing fails any more, and the workers did not come to an end within an hour");
        for (auto& w : workers_) w->end();
        // Messages that are still somewhere arrive, or are too old.
        world_.quiet = false;
        cluster_.night(false);
        world_.runUntil(world_.now() + 4 * kMinute);
        if (!world_.runUntil([this] { return atRest(cluster_); }, kMinute))
            world_.fail("transactions or messages between shards do not come to an end");
        world_.tell("at rest");
        agree();
        verifyInvariants(cluster_);
        for (auto& a : arenas_) verifyTree(cluster_, *a);
        world_.quiet = true;
        cluster_.night(true);
        world_.runUntil(world_.now() + (world_.seed() % 8 == 0 ? 28 * kHour : 4 * kHour));
        world_.quiet = false;
        cluster_.night(false);
        world_.runUntil(world_.now() + kMinute);
        agree();
        verifyInvariants(cluster_);
        if (world_.seed() % 8 == 0) verifyNothingLeft(cluster_);
    }

    void agree() {
        std::string behind;
        for (u32 s = 0; s < 60; s++) {
            behind = whoIsBehind(cluster_);
            if (behind.empty()) return;
            world_.runUntil(world_.now() + kSecond);
        }
        world_.fail("replicas do not come to the same within a minute: " + behind);
    }

    // The roots of the arenas, without faults, by a client of ours.
    void makeArenas() {
        net::CallerLimits limits;
        auto life = std::make_shared<ClientLife>(cluster_, ++cluster_.nodes, limits, 0);
        life->self = life;
        bool made = false;
        life->tasks.spawn(makeRoots(*life, made));
        if (!world_.runUntil([&] { return made; }, kMinute))
            world_.fail("the first directories could not be made within a minute");
        life->die();
    }
    Task<> makeRoots(ClientLife& life, bool& made) {
        auto started = co_await life.client.start(kMinute);
        if (!started) world_.fail("no map: " + started.error().message());
        for (u32 i = 0; i <= kWorkers; i++) {
            const std::string name = i == 0 ? "shared" : "own-" + std::to_string(i);
            auto root = co_await life.client.metadata.mkdir(kRoot, name, 0755, client::Owner());
            if (!root) world_.fail("mkdir " + name + ": " + root.error().message());
            std::vector<std::string> names{"a", "b", "c"};
            if (i != 0) names = {"d", "e", "f", "g", "h"};
            arenas_.push_back(std::make_unique<Arena>(world_, name, root->inode, names));
        }
        made = true;
        co_return Ok{};
    }

    bool done(u64 limit_ns) {
        return world_.runUntil(
            [this] {
                for (const auto& w : workers_)
                    if (!w->idle()) return false;
                return true;
            },
            limit_ns);
    }

    void chaosSoon() {
        if (options_.calm) return;
        const u64 pause =
            world_.quiet ? world_.random.between(kMinute, 20 * kMinute) : world_.random.between(kSecond, 40 * kSecond);
        world_.after(pause, [this] {
            if (healed_) return;
            chaos();
            chaosSoon();
        });
    }
    void chaos() {
        if (nights_ > 0 && world_.random.oneIn(15)) {
            nights_--;
            const u64 hours = world_.random.between(10 * kMinute, 3 * kHour);
            world_.count("fault hours pass");
            world_.tell("night s={}", hours / kSecond);
            crew_.night = world_.now() + hours;
        }
        Worker* w = workers_[world_.random.below(workers_.size())].get();
        if (crew_.stops > 0 && world_.random.oneIn(25))
            return crew_.stops--,
                   w->stop(world_.random.oneIn(3) ? world_.random.below(3 * kHour) : world_.random.below(8 * kMinute));
        if (!chaos_.crashes) return;
        const u64 what = world_.random.below(27);
        if (what < 8) return cluster_.crashOne();
        if (what < 10) return cluster_.crashLeader();
        if (what < 11) return cluster_.crashGroup();
        if (what < 13) return cluster_.cutOne();
        if (what < 15) return cluster_.cutLeader();
        if (what < 16) return cluster_.stopOne();
        if (what == 17) return cluster_.emptyOne();
        if (what == 20) return cluster_.fillOne();
        if (what == 24) return cluster_.breakOne();
        if (what > 24) return cluster_.spoilOne();
        if (what == 21) return cluster_.flipOne();
        if (what == 22) return cluster_.cornerOne();
        if (what == 23) return replaceOne();
        if (what < 17) return cluster_.drifting ? cluster_.jumpWall() : cluster_.stopOne();
        w->crash();
        world_.after(world_.random.below(5 * kSecond), [w] { w->begin(); });
    }

    // A leader's server, alive, is replaced by one that is new: groups lose the leader that says so to them.
    void replaceOne() {
        Machine* old = cluster_.leaderOf(cluster_.anyGroup());
        if (!old || old->role == registry::ServerRole::kRegistry || replaced_ || cluster_.replicas == 1 || !cluster_.mended())
            return;
        replaced_ = true;
        world_.count("fault server replaced");
        const Machine& fresh = cluster_.addSpare(*old);
        world_.tell("{} is to be replaced by {}", old->name, fresh.name);
        net::CallerLimits limits;
        admin_ = std::make_shared<ClientLife>(cluster_, ++cluster_.nodes, limits, 0);
        admin_->self = admin_;
        admin_->tasks.spawn(replaceServer(*admin_, old->name, fresh.name));
    }
    Task<> replaceServer(ClientLife& life, std::string old, std::string fresh) {
        for (bool started = false; !started && !life.dead;) {
            auto start = co_await life.client.start(10 * kMinute);
            started = start.has_value();
        }
        for (bool done = false; !done && !life.dead;) {
            Sleep nap(life.clock, kSecond);
            co_await nap;
            registry::GetMap get;
            auto reply = co_await life.client.metadata.caller().query(kRegistryGroup, get);
            if (!reply || !reply->map) continue;
            registry::ReplaceServer replace;
            for (const registry::ServerRow& row : reply->map->servers) {
                if (row.name == old) replace.id = row.id;
                if (row.name == fresh) replace.with = row.id;
            }
            if (replace.with.value == 0) continue;
            auto told = co_await life.client.metadata.caller().mutate(kRegistryGroup, replace);
            done = told.has_value();
        }
        co_return Ok{};
    }

    void heal() {
        world_.tell("all is well from now on");
        healed_ = true;
        world_.faults = Faults{};
        crew_.night = 0;
        crew_.nights = false;
        world_.quiet = false;
        cluster_.night(false);
        cluster_.network.heal();
        for (auto& m : cluster_.machines) m->kv.unspoil();
        cluster_.startAll();
        for (auto& w : workers_) w->begin();
        // Who was told of failures before is patient; messages under way arrive.
        world_.runUntil(std::max(cluster_.stoppedUntil, world_.now() + 5 * kMinute));
        crew_.strict = true;
        for (auto& w : workers_) w->left = 12;
    }

    const RunOptions options_;
    World world_;
    const Faults chaos_;
    Crew crew_;
    Cluster cluster_;
    std::vector<std::unique_ptr<Arena>> arenas_;
    std::vector<std::unique_ptr<Worker>> workers_;
    u32 nights_ = 0;
    bool healed_ = false; // no new faults
    bool replaced_ = false;
    std::shared_ptr<ClientLife> admin_;
};

} // namespace

RunResult run(const RunOptions& options, Counts& counts) { return Run(options, counts).go(); }

const std::vector<std::string>& mustHappen() {
    static const std::vector<std::string> all{"fault message lost",
                                              "fault answer lost",
                                              "fault message repeated",
                                              "fault message delayed",
                                              "fault message cut off",
                                              "fault connection refused",
                                              "fault crash of registry",
                                              "fault crash of cdc",
                                              "fault crash of shard",
                                              "fault crash of blocks",
                                              "fault crash of a client",
                                              "fault crash while busy",
                                              "fault crash of a leader",
                                              "fault crash of a voter",
                                              "fault question for a vote late",
                                              "fault offer of rows late",
                                              "fault server comes back empty",
                                              "fault server replaced",
                                              "fault metadata disk full",
                                              "fault metadata disk broken",
                                              "a broken disk ended its process",
                                              "fault flipped byte in a log",
                                              "damaged log set aside",
                                              "fault rows lost",
                                              "fault rows spoilt",
                                              "fault crash while a snapshot is installed",
                                              "fault crash of a whole group",
                                              "fault crash of a majority",
                                              "fault leader hears nobody",
                                              "fault leader is not heard",
                                              "fault leader cut off",
                                              "fault metadata process stopped",
                                              "fault wall clock jumped",
                                              "entries applied by another replica",
                                              "rows compared",
                                              "fault a client stopped",
                                              "entries replayed",
                                              "fault crash with log writes under way",
                                              "fault torn log write",
                                              "fault flipped byte in an unacknowledged log write",
                                              "log segments filled",
                                              "log segments dropped",
                                              "fault crash after durable, before applied",
                                              "fault unsynced blocks lost",
                                              "fault slow write",
                                              "fault address changed",
                                              "fault hours pass",
                                              "heard OutcomeUnknown",
                                              "heard Expired",
                                              "spans staged",
                                              "block left out",
                                              "garbage erased",
                                              "sweep: keep",
                                              "sweep: referenced",
                                              "sweep: dead"};
    return all;
}

} // namespace skua::sim
