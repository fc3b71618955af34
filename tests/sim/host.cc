#include "tests/sim/host.h"

#include <algorithm>
#include "cdc/state.h"
#include "raft/server_leader.h"
#include "registry/state.h"
#include "shard/state.h"
#include "tests/sim/cluster.h"

namespace skua::sim {

namespace {

std::unique_ptr<raft::StateMachine> machineOf(GroupId group, const net::Keys& keys, std::shared_ptr<const shard::Disks> disks) {
    switch (kindOf(group)) {
        case GroupKind::kRegistry: return std::make_unique<registry::Registry>();
        case GroupKind::kCoordinator: return std::make_unique<cdc::Coordinator>();
        case GroupKind::kShard: break;
    }
    return std::make_unique<shard::Shard>(keys, std::move(disks));
}

net::CallerLimits limitsOf(u64 total_ns) {
    net::CallerLimits limits;
    limits.total_ns = total_ns;
    return limits;
}

} // namespace

// --- one life ----------------------------------------------------------------------------------------------

Host::Host(Machine& machine, i64 rate_ppm, i64 wall_offset)
    : machine_(machine),
      world_(machine.cluster.world),
      clock_(world_, rate_ppm, kHour + world_.random.below(kDay), wall_offset),
      transport_(machine.cluster.network, clock_, machine.node, true),
      directory_([&c = machine.cluster] { return c.registryAddresses(); }),
      caller_(clock_, transport_, directory_, ClientId{}, Random(world_.random.next()), limitsOf(0)),
      registrar_(clock_, transport_, directory_, ClientId{world_.random.next() | 1}, Random(world_.random.next()),
                 limitsOf(kMinute)),
      cut_(machine.cluster.segment_bytes) {}

Host::~Host() { CHECK(tasks_.running() == 0); }

std::string Host::readLog() {
    std::vector<raft::RecordToWrite> found;
    auto trouble = machine_.log.recover(
        machine_.store, machine_.cluster.segment_bytes, [this](GroupId g) { return server_->voteRow(g); },
        [&](const raft::Record& r) {
            server_->recover(r.kind, r.group, r.payload);
            found.push_back({r.kind, r.group, r.running, std::string(r.payload)});
        });
    if (trouble.empty())
        for (const auto& record : found) machine_.disk.wrote(record);
    return trouble;
}

std::unique_ptr<raft::Server> Host::makeServer() {
    Cluster& cluster = machine_.cluster;
    replays_ = std::make_shared<bool>(true);
    const auto disks = std::make_shared<shard::Disks>();
    directory_.installed = [disks](const registry::ClusterMap& map) { disks->install(map); };
    server_.reset();
    rows_ = std::make_unique<store::RowBuffer>(machine_.kv);
    raft::ServerOptions options;
    options.seed = world_.random.next();
    options.store = machine_.store;
    options.process = world_.random.next();
    options.keep_bytes = cluster.keep_bytes;
    options.keep_total_bytes = cluster.keep_total_bytes;
    options.part_bytes = cluster.part_bytes;
    // Little is asked at once here: in some seeds it is too much all the same, in others more than one turn takes.
    if (world_.seed() % 4 == 1) options.admission.window = 1;
    if (world_.seed() % 4 == 2) options.admission.turn_requests = 2;
    const u64 pace = cluster.slow ? kSlower : cluster.pace;
    options.heartbeat_ns *= pace;
    options.election_ns *= pace;
    return std::make_unique<raft::Server>(
        *rows_,
        [this, disks, replays = replays_, &cluster](GroupId g) -> std::unique_ptr<raft::StateMachine> {
            return watch(world_, cluster.witness, g, machine_.store, machineOf(g, cluster.keys, disks), replays);
        },
        std::move(options));
}

void Host::begin() {
    Cluster& cluster = machine_.cluster;
    server_ = makeServer();
    if (const std::string trouble = readLog(); !trouble.empty()) { // as raft/shell.cc has it
        world_.tell("{} has a damaged log: {}", machine_.name, trouble);
        server_->discover();
        world_.count(server_->othersHaveAll() ? "damaged log set aside" : "damaged log, emptied by a human");
        server_.reset();
        machine_.wipe();
        server_ = makeServer();
        (void)readLog();
    }
    server_->begin(now(), effects_);
    rowsAreDurable();
    cluster.network.join(machine_.address, machine_.node, *this);
    const raft::Group* own = server_->group(kRegistryGroup);
    if (machine_.role == registry::ServerRole::kRegistry && machine_.wiped == 0 && (!own || own->empty()))
        server_->hostRequest(now(), 0, wire::encode(raft::HostRequest{cluster.registryFormat()}), effects_);
    carryOut();
    tick();
    flushRows();
    tasks_.spawn(raft::followMap(clock_, caller_, directory_, dead_));
    tasks_.spawn(presence());
}

void Host::die() {
    dead_ = true;
    world_.tell("{} dies unsynced={}", machine_.name, writing_.size());
    machine_.cluster.network.leave(machine_.address);
    if (!writing_.empty()) world_.count("fault crash with log writes under way");
    machine_.log.crash(world_);
    writing_.clear();
    answers_.clear();
    server_.reset();
    transport_.close();
    leadsChanged_.set();
    burial_.emplace(bury());
    burial_->start();
}

Task<> Host::bury() {
    auto self = shared_from_this();
    (void)co_await tasks_.all();
    // Let go only from outside of this coroutine's frame.
    auto last = std::make_shared<std::shared_ptr<Host>>(std::move(self));
    world_.after(1, [last] {
        if ((*last)->burial_ && (*last)->burial_->done()) (*last)->burial_.reset();
        last->reset();
    });
    co_return Ok{};
}

void Host::receive(u32 from, bool from_server, net::Message message, Answer answer) {
    if (dead_) return;
    const u64 token = ++lastToken_;
    if (message.kind == net::Kind::kGroup) {
        answers_.emplace(token, std::move(answer));
        server_->arrive(token, {from + 1, from_server}, message.body, effects_);
    } else if (message.kind == net::Kind::kHost && from_server) {
        answers_.emplace(token, std::move(answer));
        server_->hostRequest(now(), token, message.body, effects_);
    } else if (message.kind == net::Kind::kRaft && from_server) {
        server_->frame(now(), message.body, effects_);
        net::Message taken;
        taken.kind = net::Kind::kRaft;
        answer(std::move(taken));
    } else {
        return answer(Error(Code::NotSupported, "not here"));
    }
    soon();
}

void Host::soon() {
    if (turn_ || dead_) return;
    turn_ = true;
    later(world_.now() + world_.random.below(20 * kMicrosecond), [](Host& host) {
        host.turn_ = false;
        host.carryOut();
    });
}

// Not within a turn: whoever is in the middle of something here goes on until then.
void Host::end(const char* why) {
    world_.tell("{} ends: {}", machine_.name, why);
    world_.after(0, [self = weak_from_this()] {
        if (auto host = self.lock(); host && !host->dead_) host->machine_.crash();
    });
}

void Host::later(u64 when, std::function<void(Host&)> what) {
    world_.at(when, [self = weak_from_this(), what = std::move(what)]() mutable {
        auto host = self.lock();
        if (!host || host->dead_) return;
        if (const u64 until = host->clock_.stoppedUntil(); until > host->world_.now()) return host->later(until, std::move(what));
        what(*host);
    });
}

void Host::stop(u64 until) {
    world_.tell("{} stops s={}", machine_.name, (until - world_.now()) / kSecond);
    clock_.stopUntil(until);
    machine_.cluster.network.stop(machine_.node, until);
}

void Host::carryOut() {
    server_->setLow(machine_.room != Machine::Room::kPlenty);
    server_->flush(now(), effects_, machine_.room == Machine::Room::kNone ? 0 : 2);
    raft::Effects due = std::move(effects_);
    effects_ = {};
    if (due.rows_refused) return end("its rows cannot be written");
    if (due.write != 0 && machine_.broken == Machine::Broken::kLog) return end("its log cannot be written");
    if (due.write != 0) {
        machine_.cluster.busy(machine_);
        u64 takes = world_.random.between(100 * kMicrosecond, 600 * kMicrosecond);
        if (world_.chance(world_.faults.slow_disk)) {
            world_.count("fault slow write");
            takes = world_.random.between(20 * kMillisecond, 3 * kSecond);
        }
        for (const auto& r : due.log)
            if (r.kind == raft::RecordKind::kVote) machine_.cluster.voted(machine_, takes);
        writeLog(due.write, std::move(due.log), takes);
    }
    for (const std::string& line : due.said) world_.tell("{}: {}", machine_.name, line);
    if (server_->behind() || !rows_->settled())
        later(world_.now() + 20 * kMicrosecond, [](Host& host) {
            if (host.server_->behind()) {
                host.server_->catchUp(host.now(), host.effects_);
                host.soon();
            }
            (void)host.settle();
        });
    if (server_->wantsTurn()) soon();
    machine_.cluster.witness.look(world_, *server_, seen_);
    machine_.cluster.promises.look(world_, *server_, machine_.store, clock_.now(), promised_);
    for (const auto& f : due.frames) post(f);
    if (due.flush_rows != 0) flushFor(due.flush_rows);
    for (const u64 token : due.lost) {
        auto at = answers_.find(token);
        if (at == answers_.end()) continue;
        at->second(Error(Code::OutcomeUnknown, "decided elsewhere"));
        answers_.erase(at);
    }
    for (auto& r : due.replies) {
        auto at = answers_.find(r.token);
        if (at == answers_.end()) continue;
        net::Message message;
        message.kind = net::Kind::kGroup;
        message.body = wire::encode(r.reply);
        at->second(std::move(message));
        answers_.erase(at);
    }
    for (auto& r : due.host_replies) {
        auto at = answers_.find(r.token);
        if (at == answers_.end()) continue;
        if (r.reply) {
            net::Message message;
            message.kind = net::Kind::kHost;
            message.body = std::move(*r.reply);
            at->second(std::move(message));
        } else {
            at->second(r.reply.error());
        }
        answers_.erase(at);
    }
    for (auto& c : due.calls) tasks_.spawn(call(c.group, c.to, std::move(c.body), c.token));
    for (auto& t : due.tells) tasks_.spawn(tell(t.group, std::move(t.address), std::move(t.body), t.token));
    if (machine_.cluster.bugs.answer_early && due.write != 0) {
        server_->durable(now(), due.write, effects_);
        soon();
    }
}

void Host::post(const raft::Effects::Frame& frame) {
    raft::PeerFrame said;
    if (!wire::decode(frame.body, said)) world_.fail("a frame for another host does not decode");
    bool asks = false;
    for (const raft::GroupMessage& m : said.messages) {
        machine_.cluster.promises.sent(world_, m, *server_, machine_.disk);
        asks = asks || std::holds_alternative<raft::AskVote>(m.body);
    }
    bool offers = false;
    for (const raft::SnapshotMessage& m : said.snapshots) offers = offers || std::holds_alternative<raft::OfferRows>(m.body);
    net::Message message;
    message.kind = net::Kind::kRaft;
    message.body = frame.body;
    Cluster& cluster = machine_.cluster;
    transport_.post(addressOf(frame.to), message, asks ? cluster.lateVote() : offers ? cluster.lateOffer() : 0);
}

void Host::writeLog(u64 number, std::vector<raft::RecordToWrite> records, u64 takes) {
    machine_.log.write(world_, records);
    writing_.push_back({number, std::move(records)});
    lastWrote_ = world_.now();
    diskFree_ = std::max(diskFree_, world_.now()) + takes;
    later(diskFree_, [](Host& host) { host.writeDone(); });
}

void Host::writeDone() {
    Writing w = std::move(writing_.front());
    writing_.pop_front();
    machine_.log.landed();
    for (const auto& entry : w.entries) machine_.disk.wrote(entry);
    if (w.number == 0) return;
    server_->durable(now(), w.number, effects_);
    *replays_ = false;
    noteLeads();
    soon();
}

// What was applied goes down. False: it has no room just now.
bool Host::settle() {
    if (rows_->settle() || rows_->refusedForRoom()) return rows_->settled();
    end("its rows cannot be written");
    return false;
}

void Host::flushFor(u64 number) {
    const u64 takes = world_.random.between(kMillisecond, 50 * kMillisecond);
    later(world_.now() + takes, [number](Host& host) {
        if (host.machine_.room == Machine::Room::kNone) return host.flushFor(number); // it waits
        if (!host.settle()) return host.flushFor(number);
        if (!host.machine_.kv.flush()) return host.end("its rows cannot be flushed");
        host.rowsAreDurable();
        if (host.machine_.cluster.fellInstalling(host.machine_)) return;
        host.server_->rowsFlushed(host.now(), number, host.effects_);
        host.soon();
    });
}

void Host::rowsAreDurable() {
    for (const auto& [group, _] : server_->appliedIndexes()) {
        std::string prefix;
        wire::putKey(prefix, group);
        const auto applied = raft::AppliedRow::get(store::Prefixed(machine_.kv, prefix), {});
        if (applied) machine_.disk.rows(group, applied->index, applied->term);
    }
}

net::Address Host::addressOf(ServerId server) {
    // The registry's own members know each other from their configuration.
    if (machine_.role == registry::ServerRole::kRegistry)
        return net::Address{machine_.cluster.machines.at(server.value - 1)->address};
    return directory_.addressOf(server);
}

void Host::tick() {
    const Cluster& cluster = machine_.cluster;
    const bool seldom = world_.quiet && (cluster.slow || cluster.replicas == 1);
    const u64 next = seldom ? 5 * kSecond : std::max(server_->nextTickNs(clock_.now()), raft::kTickNs * cluster.pace);
    later(world_.now() + next, [](Host& host) {
        host.server_->tick(host.now(), host.effects_);
        host.noteLeads();
        Machine& m = host.machine_;
        if (m.log.wantsMark() && m.room != Machine::Room::kNone && m.broken == Machine::Broken::kNo &&
            host.world_.now() >= host.lastWrote_ + 50 * kMillisecond)
            host.writeLog(0, {}, 300 * kMicrosecond);
        host.carryOut();
        host.tick();
    });
}

// From time to time all rows are flushed, and the log loses the segments that are in them.
void Host::flushRows() {
    const u64 next = world_.random.between(kSecond, 20 * kSecond) * (world_.quiet ? 100 : 1);
    later(world_.now() + next, [](Host& host) {
        host.flushRows();
        if (host.server_->anyTrouble() && host.machine_.broken == Machine::Broken::kNo)
            host.world_.fail(host.machine_.name + " is in trouble: " + host.server_->firstTrouble());
        if (host.server_->anyTrouble()) return; // the log has what the rows have not
        if (!host.settle()) return;
        Machine& m = host.machine_;
        m.cluster.witness.compare(host.world_, *host.server_, m.kv, host.compared_);
        if (host.cut_.idle()) host.dropSegments();
    });
}

// As raft/shell.cc's flushes().
void Host::dropSegments() {
    Machine& m = machine_;
    if (m.broken != Machine::Broken::kNo) return cut_.giveUp();
    const auto due = cut_.next(*server_, m.log.closed(), clock_.now());
    if (due == raft::LogCut::Do::kNothing) return;
    if (server_->carrying()) soon();
    if (due == raft::LogCut::Do::kFlush && settle()) {
        if (!m.cluster.bugs.cut_early && !m.kv.flush()) return cut_.giveUp();
        cut_.flushed();
    } else if (due == raft::LogCut::Do::kBegin) {
        if (m.log.begun()) cut_.begun();
        else if (writing_.empty() && m.room != Machine::Room::kNone && m.broken == Machine::Broken::kNo)
            writeLog(0, {}, 300 * kMicrosecond);
    } else if (due == raft::LogCut::Do::kDrop) {
        world_.count("log segments dropped");
        m.log.drop(cut_.closed());
        return cut_.dropped();
    }
    later(world_.now() + raft::kCutAskNs, [](Host& host) { host.dropSegments(); });
}

Task<> Host::call(GroupId group, GroupId to, std::string body, u64 token) {
    auto reply = co_await caller_.run(to, std::move(body), false);
    if (dead_) co_return Ok{};
    server_->heard(now(), group, token, reply, effects_);
    soon();
    machine_.cluster.busy(machine_);
    co_return Ok{};
}

Task<> Host::tell(GroupId group, std::string address, std::string body, u64 token) {
    net::Message message;
    message.kind = net::Kind::kHost;
    message.body = std::move(body);
    net::Address to{address};
    auto reply = co_await transport_.call(to, std::move(message), 10 * kSecond);
    if (dead_) co_return Ok{};
    Result<std::string> heard = Error(Code::Unavailable);
    if (reply) heard = reply->body;
    else heard = reply.error();
    server_->heard(now(), group, token, heard, effects_);
    soon();
    co_return Ok{};
}

// These three as raft/shell.cc has them.
void Host::noteLeads() {
    std::size_t leads = 0;
    for (const auto& [group, _] : server_->appliedIndexes()) leads += server_->leads(group);
    if (std::exchange(leads_, leads) != leads) leadsChanged_.pulse();
}

std::vector<registry::GroupRow> Host::otherThanMapped() const {
    std::vector<registry::GroupRow> others;
    for (const raft::GroupMembers& led : server_->ledMembers())
        for (const registry::GroupRow& row : directory_.map().groups) {
            if (row.id != led.group || row.configuration >= led.configuration.value) continue;
            if (row.members == led.members.voters && row.learners == led.members.learners) continue;
            others.push_back({led.group, led.members.voters, led.members.learners, true, led.configuration.value, {}});
        }
    return others;
}

Task<> Host::presence() {
    ServerId id;
    Incarnation incarnation;
    while (!dead_) {
        if (id.value == 0) {
            registry::Register reg;
            reg.name = machine_.name;
            reg.role = machine_.role;
            reg.address.text = machine_.address;
            reg.store = machine_.store;
            auto reply = co_await registrar_.mutate(kRegistryGroup, reg);
            if (dead_) break;
            if (!reply) {
                Sleep nap(clock_, kSecond);
                co_await nap;
                continue;
            }
            id = reply->id;
            incarnation = reply->incarnation;
        }
        registry::Heartbeat beat;
        beat.server = id;
        beat.incarnation = incarnation;
        beat.wall = clock_.wall();
        beat.low = server_->low();
        for (const auto& [group, _] : server_->appliedIndexes())
            if (server_->leads(group)) beat.leads.push_back(group);
        beat.groups = otherThanMapped();
        auto heard = co_await caller_.query(kRegistryGroup, beat);
        if (dead_) break;
        if (!heard && heard.error().code == Code::NotFound) id = {};
        if (!heard && heard.error().code == Code::Stale) id = {}; // an older registration arrived late: say it again
        auto due = leadsChanged_.wait(clock_, world_.quiet ? kMinute : kSecond);
        (void)co_await due;
    }
    co_return Ok{};
}

} // namespace skua::sim
