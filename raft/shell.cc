#include "raft/shell.h"

#include <fcntl.h>
#include <unistd.h>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include "core/async/signals.h"
#include "core/base/config.h"
#include "core/base/log.h"
#include "core/base/version.h"
#include "core/net/address.h"
#include "raft/log_cut.h"
#include "raft/presence.h"
#include "raft/registry_peers.h"

namespace skua::raft {

namespace {

constexpr u64 kFlushCheckNs = kSecond;
constexpr u32 kMostFrames = 64; // under way to one host that wait for a connection or an answer
constexpr u64 kAskNs = 500 * kMillisecond;

class Shell final : net::Handler, Guest {
public:
    Shell(Ring& ring, const HostOptions& options, HostRole role, net::Keys keys, DataDir dir, Directory::Addresses registry)
        : ring_(ring),
          options_(options),
          role_(std::move(role)),
          keys_(std::move(keys)),
          dir_(std::move(dir)),
          offload_(ring, 3, "host"),
          room_(ring, offload_, dir_.path(), dir_.reservePath(), options.segment_bytes),
          credentials_(net::Credentials::server(keys_, options.name)),
          network_(ring, credentials_, *this),
          pool_(ring, credentials_),
          directory_(std::move(registry)),
          caller_(ring, pool_, directory_, ClientId{}, Random(randomFromKernel()), net::CallerLimits{.total_ns = 0}),
          registrar_(ring, pool_, directory_, ClientId{randomFromKernel() | 1}, Random(randomFromKernel()),
                     net::CallerLimits{.total_ns = 0}),
          peers_(ring, pool_, directory_),
          presence_(ring, caller_, registrar_, directory_) {
        directory_.installed = role_.mapped;
    }

    Result<> open() {
        TRY(kv_, store::KvRocksdb::open(dir_.rowsPath()));
        rows_ = std::make_unique<store::RowBuffer>(*kv_);
        const net::Keys keys = keys_;
        auto machine = role_.machine;
        ServerOptions own;
        own.seed = randomFromKernel();
        own.store = dir_.logId();
        own.process = randomFromKernel();
        own.name = options_.name;
        own.clock = [this] { return ring_.now(); };
        server_ = std::make_unique<Server>(*rows_, [machine, keys](GroupId g) { return machine(g, keys); }, std::move(own));
        u64 records = 0, foreign = 0, bytes = 0;
        const u64 began = ring_.now().value;
        SegmentLogOptions options;
        options.log_id = dir_.logId();
        options.segment_bytes = options_.segment_bytes;
        options.state = [this](GroupId g) { return server_->voteRow(g); };
        TRY(log_, SegmentLog::open(ring_, offload_, dir_.logPath(), options, [&](const Record& record) {
                if (!ours(record.group)) {
                    foreign++;
                    return;
                }
                server_->recover(record.kind, record.group, record.payload);
                records++;
                bytes += record.payload.size();
            }));
        if (!log_->trouble().empty()) {
            log::error("log damaged {}", log_->trouble());
            server_->discover();
            // What was promised may be lost with it: as a new store it has promised nothing, and the others have all.
            if (server_->othersHaveAll()) {
                log_.reset();
                server_.reset();
                rows_.reset();
                kv_.reset();
                TRY_OK(dir_.setAside());
                log::warn("set aside in {}/suspect; beginning anew as another member, the others have all of it", dir_.path());
                TRY_OK(open());
                return Ok{};
            }
            // One member: nobody else has what was lost. The group stays down rather than forget a promise.
            // Nor can the others go on: nothing is appended behind damage.
            server_->setTroubleOfAll("its log is damaged (" + log_->trouble() + "); see docs/failures.md");
        }
        log::info("recovered records={} foreign={} groups={} bytes={} ms={}", records, foreign, server_->appliedIndexes().size(),
                  bytes, (ring_.now().value - began) / kMillisecond);
        TRY_OK(network_.listen(options_.common.listen));
        if (!options_.address_file.empty()) TRY_OK(tellAddress());
        return Ok{};
    }

    void start() {
        server_->begin(now(), effects_);
        carryOut();
        if (role_.bootstrap && formless()) startForming();
        ring_.spawn(ticks());
        ring_.spawn(catchUps());
        ring_.spawn(followMap(ring_, caller_, directory_, stopping_));
        registry::Register self;
        self.name = options_.name;
        self.role = role_.role;
        self.address = network_.address();
        self.domain = options_.common.domain;
        self.store = dir_.logId();
        ring_.spawn(presence_.keep(std::move(self), dir_.path(), *server_));
        ring_.spawn(flushes());
        ring_.spawn(room_.watch(*server_, *log_, *kv_, presence_.changed()));
        if (role_.role == registry::ServerRole::kRegistry) ring_.spawn(peers_.find());
        log::info("listening name={} address={} {}", options_.name, network_.address().text, versionText());
    }

private:
    bool ours(GroupId g) const {
        switch (role_.role) {
            case registry::ServerRole::kRegistry: return g == kRegistryGroup;
            case registry::ServerRole::kCoordinator: return g == kCoordinatorGroup;
            default: return kindOf(g) == GroupKind::kShard;
        }
    }
    bool formless() const {
        const Group* g = server_->group(kRegistryGroup);
        return !g || g->empty();
    }
    void startForming() {
        registry::RegistryConfig config = *role_.bootstrap;
        config.cluster = keys_.cluster();
        auto here = [this](std::string format) {
            server_->hostRequest(now(), 0, format, effects_);
            ring_.prepareSoon(*this);
        };
        ring_.spawn(peers_.form(std::move(config), dir_.logId(), [this] { return formless(); }, here));
    }
    Moment now() { return {ring_.now(), ring_.wall()}; }

    Result<> tellAddress() {
        const std::string temporary = options_.address_file + ".new";
        std::FILE* f = std::fopen(temporary.c_str(), "we");
        if (!f) return Error(Code::Io, temporary + ": cannot be written");
        std::fprintf(f, "%s\n", network_.address().text.c_str());
        std::fclose(f);
        if (std::rename(temporary.c_str(), options_.address_file.c_str()) != 0)
            return Error(Code::Io, options_.address_file + ": cannot be written");
        return Ok{};
    }

    // --- net::Handler --------------------------------------------------------------------------------------
    void request(const net::Peer& peer, net::Reply reply, net::Message&& message) override {
        const bool server = peer.role == net::Role::kServer;
        const u64 token = ++lastToken_;
        if (message.kind == net::Kind::kGroup) {
            replies_.emplace(token, std::move(reply));
            server_->arrive(token, {peer.connection, server}, message.body, effects_);
        } else if (message.kind == net::Kind::kHost) {
            if (!server) return reply.fail(Error(Code::NotPermitted, "only servers of this cluster say this"));
            replies_.emplace(token, std::move(reply));
            if (!formatsOurs(message.body))
                effects_.host_replies.push_back({token, Error(Code::Invalid, options_.name + " does not run such groups")});
            else server_->hostRequest(now(), token, message.body, effects_);
        } else if (message.kind == net::Kind::kRaft) {
            if (!server) return reply.fail(Error(Code::NotPermitted, "only servers of this cluster say this"));
            server_->frame(now(), message.body, effects_);
            net::Message taken; // nothing to say: only that the next one may come
            taken.kind = net::Kind::kRaft;
            reply.send(std::move(taken));
        } else {
            return reply.fail(Error(Code::NotSupported, options_.name + " is a " + role_.kind + " server"));
        }
        ring_.prepareSoon(*this);
    }
    void closed(const net::Peer& peer) override {
        server_->gone(peer.connection, effects_);
        ring_.prepareSoon(*this);
    }
    bool formatsOurs(std::string_view body) const {
        HostRequest request;
        if (!wire::decode(body, request)) return true; // refused there
        auto* format = std::get_if<Format>(&request);
        return !format || (ours(format->group) && format->cluster == keys_.cluster());
    }

    // --- a turn's end: Guest ----------------------------------------------------------------------------------
    void prepare() override { carryOut(); }

    void carryOut() {
        server_->flush(now(), effects_, log_->full() ? 0 : 2);
        Effects now_due = std::move(effects_);
        effects_ = {};
        if (now_due.rows_refused) endForRows();
        if (now_due.write != 0) tasks_.spawn(append(now_due.write, std::move(now_due.log)));
        for (const std::string& line : now_due.said) log::error("{}", line);
        for (auto& f : now_due.frames) sendFrame(f.to, std::move(f.body));
        if (now_due.flush_rows != 0) tasks_.spawn(flushFor(now_due.flush_rows));
        // Dropped unanswered, they are told that the outcome is not known here.
        for (u64 token : now_due.lost) replies_.erase(token);
        for (auto& r : now_due.replies) {
            auto at = replies_.find(r.token);
            if (at == replies_.end()) continue;
            net::Message message;
            message.kind = net::Kind::kGroup;
            message.body = wire::encode(r.reply);
            at->second.send(std::move(message));
            replies_.erase(at);
        }
        for (auto& r : now_due.host_replies) {
            auto at = replies_.find(r.token);
            if (at == replies_.end()) continue;
            if (r.reply) {
                net::Message message;
                message.kind = net::Kind::kHost;
                message.body = std::move(*r.reply);
                at->second.send(std::move(message));
            } else {
                at->second.fail(r.reply.error());
            }
            replies_.erase(at);
        }
        if (server_->behind() || server_->wantsTurn() || !rows_->settled()) behind_.pulse();
        for (auto& c : now_due.calls) tasks_.spawn(call(c.group, c.to, std::move(c.body), c.token));
        for (auto& t : now_due.tells) tasks_.spawn(tell(t.group, std::move(t.address), std::move(t.body), t.token));
    }

    Task<> append(u64 write, std::vector<RecordToWrite> records) {
        auto done = co_await log_->append(std::move(records));
        if (!done) {
            // Without a log there is no promise to make. A restart replays what was promised.
            log::error("log cannot be written, ending why=\"{}\"", done.error().message());
            ::_exit(1);
        }
        lastAppend_ = ring_.now();
        server_->durable(now(), write, effects_);
        presence_.note(*server_);
        ring_.prepareSoon(*this);
        co_return Ok{};
    }
    // Without rows there is no answer to give. A restart replays what was applied.
    [[noreturn]] void endForRows() {
        log::error("rows cannot be written, ending dir={} why=\"{}\"", dir_.rowsPath(), kv_->trouble());
        ::_exit(1);
    }
    // What was applied goes down to RocksDB. False: it has no room just now.
    bool settle() {
        if (rows_->settle()) return true;
        if (rows_->refusedForRoom()) return false;
        endForRows();
    }
    Task<> flushFor(u64 number) {
        while (!settle()) {
            Sleep wait(ring_, 50 * kMillisecond);
            co_await wait;
        }
        bool fine = false;
        auto job = offload_.run([&] { fine = kv_->flush(); });
        co_await job;
        if (!fine) {
            log::error("rows cannot be flushed, ending dir={}", dir_.rowsPath());
            ::_exit(1);
        }
        server_->rowsFlushed(now(), number, effects_);
        ring_.prepareSoon(*this);
        co_return Ok{};
    }
    // May be lost; a host that does not answer gets no more than a few at a time.
    void sendFrame(ServerId to, std::string body) {
        const net::Address address = peers_.addressOf(to);
        if (address.text.empty()) return peers_.lost();
        net::Message message;
        message.kind = net::Kind::kRaft;
        message.body = std::move(body);
        Way& way = ways_[to];
        const bool ask = ring_.now().value >= way.asked.value + kAskNs;
        if (!ask && pool_.post(address, std::move(message))) return;
        if (way.under_way >= kMostFrames) return;
        way.under_way++;
        way.asked = ring_.now();
        tasks_.spawn(carryFrame(to, address, std::move(message)));
    }
    // Now and then one is to be answered: of a connection that leads nowhere any more TCP would tell late.
    Task<> carryFrame(ServerId to, net::Address address, net::Message message) {
        const Monotonic asked = ring_.now();
        auto taken = co_await pool_.call(address, std::move(message), kSecond);
        ways_[to].under_way--;
        if (!taken) {
            if (taken.error().code == Code::OutcomeUnknown) pool_.drop(address, asked);
            peers_.lost();
            peers_.forget(to, address);
            log::debug("frame lost to={} why=\"{}\"", to.value, taken.error().message());
        }
        co_return Ok{};
    }
    Task<> call(GroupId group, GroupId to, std::string body, u64 token) {
        auto reply = co_await caller_.run(to, std::move(body), false);
        server_->heard(now(), group, token, reply, effects_);
        ring_.prepareSoon(*this);
        co_return Ok{};
    }
    Task<> tell(GroupId group, std::string address, std::string body, u64 token) {
        net::Message message;
        message.kind = net::Kind::kHost;
        message.body = std::move(body);
        net::Address to{address};
        auto reply = co_await pool_.call(to, std::move(message), 10 * kSecond);
        Result<std::string> heard = Error(Code::Unavailable);
        if (reply) heard = reply->body;
        else heard = reply.error();
        server_->heard(now(), group, token, heard, effects_);
        ring_.prepareSoon(*this);
        co_return Ok{};
    }

    // A follower's rows, and what this turn's answers are about: after its writes and frames have left, before the thread may
    // sleep.
    Task<> catchUps() {
        while (!stopping_) {
            Event::Waiter due = behind_.wait();
            (void)co_await due;
            if (server_->behind()) {
                server_->catchUp(now(), effects_);
                ring_.prepareSoon(*this);
            }
            settle();
            if (server_->wantsTurn()) ring_.prepareSoon(*this); // what has arrived since is heard before it
        }
        co_return Ok{};
    }

    // --- what goes on by itself -----------------------------------------------------------------------------------
    Task<> ticks() {
        while (!stopping_) {
            Sleep nap(ring_, server_->nextTickNs(ring_.now()));
            co_await nap;
            server_->tick(now(), effects_);
            presence_.note(*server_);
            if (!server_->clocksAgree() && server_->ledGroups() > 0 && ring_.now().value > clockSaid_.value + kMinute) {
                clockSaid_ = ring_.now();
                log::error("this clock is over a minute from most others': nothing ends by wall time here; set it");
            }
            if (log_->wantsMark() && !log_->full() && ring_.now().value - lastAppend_.value >= 50 * kMillisecond) {
                auto marked = co_await log_->markSynced();
                if (!marked) log::warn("log mark failed why=\"{}\"", marked.error().message());
            }
            ring_.prepareSoon(*this);
        }
        co_return Ok{};
    }
    // Segments are dropped once every row of their entries is flushed (log_cut.h).
    Task<> flushes() {
        LogCut cut(options_.segment_bytes);
        while (!stopping_) {
            Sleep nap(ring_, cut.idle() ? kFlushCheckNs : kCutAskNs);
            co_await nap;
            if (!log_->trouble().empty()) continue;
            const LogCut::Do due = cut.next(*server_, log_->closedSegments(), ring_.now());
            if (server_->carrying()) ring_.prepareSoon(*this);
            if (due == LogCut::Do::kFlush && settle()) {
                bool fine = false;
                auto job = offload_.run([&] { fine = kv_->flush(); });
                co_await job;
                if (fine) {
                    cut.flushed();
                } else {
                    cut.giveUp();
                    log::error("rows cannot be flushed, the log is kept dir={}", dir_.rowsPath());
                }
            } else if (due == LogCut::Do::kBegin) {
                auto begun = co_await log_->begin(); // votes that only the old segments have
                if (begun) cut.begun();
                else cut.giveUp();
            } else if (due == LogCut::Do::kDrop) {
                log_->drop(cut.closed());
                cut.dropped();
            }
        }
        co_return Ok{};
    }
    Ring& ring_;
    const HostOptions options_;
    HostRole role_;
    net::Keys keys_;
    DataDir dir_;
    Offload offload_;
    RoomWatch room_;
    net::Credentials credentials_;
    net::Server network_;
    net::Pool pool_;
    Directory directory_;
    net::GroupCaller caller_, registrar_;
    RegistryPeers peers_;
    Presence presence_;
    std::unique_ptr<store::KvRocksdb> kv_;
    std::unique_ptr<store::RowBuffer> rows_; // over kv_
    std::unique_ptr<Server> server_;
    std::unique_ptr<SegmentLog> log_;
    Effects effects_;
    std::map<u64, net::Reply> replies_;
    struct Way { // to another host
        u32 under_way = 0;
        Monotonic asked; // for an answer
    };
    std::map<ServerId, Way> ways_;
    TaskGroup tasks_;
    u64 lastToken_ = 0;
    Event behind_;
    Monotonic lastAppend_, clockSaid_;
    bool stopping_ = false;
};

int fail(const std::string& what) {
    log::error("cannot start why=\"{}\"", what);
    std::fprintf(stderr, "%s\n", what.c_str());
    return 1;
}

Task<> endOnSignal(Signals& signals) {
    const int number = co_await signals.wait();
    log::info("stopped signal={}", number);
    ::_exit(0);
}

} // namespace

void hostFlags(Flags& flags, HostOptions& options) {
    flags.common(options.common);
    flags.option("--name", options.name, "Name of this process in the cluster, as shard-0");
    for (const char* needed : {"--name", "--dir"}) flags.require(needed);
    flags.option("--address-file", options.address_file, "File to write the address to, once listening");
}

int runHost(const HostOptions& options, HostRole role) {
    raiseFileLimit();
    log::Options logging;
    logging.path = options.common.log_file;
    logging.name = options.name;
    if (auto level = log::levelOf(options.common.log_level)) logging.level = *level;
    else return fail(level.error().detail), 2;
    if (auto started = log::start(logging); !started) return fail(started.error().message());
    auto config = Config::find(options.common.config);
    if (!config) return fail(config.error().detail);
    if (auto fine = net::checkRegistry(options.common.registry, *config); !fine) return fail(fine.error().detail);
    auto key = config->clusterKey();
    if (!key) return fail(key.error().detail);
    auto keys = net::Keys::load(*key);
    if (!keys) return fail(keys.error().detail);
    auto dir = DataDir::open(options.common.dir, role.kind, options.name, keys->cluster());
    if (!dir) return fail(dir.error().detail.empty() ? dir.error().message() : dir.error().detail);
    waitForRoomToStart(dir->path(), dir->reservePath(), options.segment_bytes);
    auto ring = Ring::makeOrExit({.spin_ns = 30 * kMicrosecond});
    Signals signals(*ring);
    const Common common = options.common;
    auto registry = [common]() -> std::vector<std::string> {
        if (!common.registry.empty()) return common.registry;
        auto fresh = Config::find(common.config); // its ports may be others by now
        if (!fresh) return {};
        auto addresses = fresh->registry();
        if (!addresses) return {};
        return *addresses;
    };
    auto shell = std::make_unique<Shell>(*ring, options, std::move(role), *keys, std::move(*dir), registry);
    if (auto opened = shell->open(); !opened) return fail(opened.error().message());
    shell->start();
    ring->spawn(endOnSignal(signals));
    ring->run();
    ::_exit(0);
}

} // namespace skua::raft
