#include "registry/state.h"

#include <algorithm>
#include "registry/ops/apply.h"

namespace skua::registry {

namespace {
template <class T>
constexpr bool kLogged = !std::is_same_v<T, GetMap> && !std::is_same_v<T, Heartbeat>;
bool leadersOwn(const Request& r) { return std::holds_alternative<Decide>(r) || std::holds_alternative<DropServer>(r); }
} // namespace

Meta metaOf(const store::Reader& r) { return Metas::get(r, {}).value_or(Meta{}); }

std::string domainOf(const store::Reader& rows, const DiskRow& disk) {
    auto server = Servers::get(rows, {disk.server});
    return server ? server->domain : std::string();
}

u32 deadDomainsPerHour(const store::Reader& rows, const Meta& meta) {
    if (meta.config.local) {
        const auto& scheme = meta.config.policy.scheme;
        return scheme.empty() ? 1 : std::max<u32>(1, scheme.back().parity);
    }
    std::vector<std::string> domains;
    Servers::scan(rows, Servers::All{}, [&](const ServerKey&, const ServerRow& row) {
        if (row.role == ServerRole::kBlocks && std::find(domains.begin(), domains.end(), row.domain) == domains.end())
            domains.push_back(row.domain);
        return true;
    });
    return std::max<u32>(1, static_cast<u32>(domains.size() / 8));
}

ClusterMap mapOf(const store::Reader& rows, const Meta& meta) {
    ClusterMap map;
    map.cluster = meta.config.cluster;
    map.version = meta.version;
    map.shards = meta.config.shards;
    map.local = meta.config.local;
    map.policy = meta.config.policy;
    Servers::scan(rows, Servers::All{}, [&](const ServerKey&, const ServerRow& row) {
        map.servers.push_back(row);
        return true;
    });
    Disks::scan(rows, Disks::All{}, [&](const DiskKey&, const StoredDisk& row) {
        if (row.disk.state != DiskState::kRemoved) map.disks.push_back(row.disk);
        return true;
    });
    Groups::scan(rows, Groups::All{}, [&](const GroupKey&, const GroupRow& row) {
        map.groups.push_back(row);
        return true;
    });
    return map;
}

raft::StateMachine::Class Registry::classify(std::string_view body) const {
    if (body.empty()) return Class::kQuery;
    switch (static_cast<u8>(body[0])) {
        case GetMap::kTag: return Class::kQuery;
        case Heartbeat::kTag: return Class::kVolatile;
        default: break;
    }
    Request request;
    return wire::decode(body, request) ? Class::kCommand : Class::kQuery;
}

Result<> Registry::admit(const store::Reader&, raft::Time, const raft::Command& c) {
    Request request;
    if (!wire::decode(c.body, request)) return Error(Code::Invalid, "the request does not decode");
    if (leadersOwn(request) && !c.own) return Error(Code::NotPermitted, "only a registry's leader decides");
    const bool ofServers = std::holds_alternative<Register>(request) || std::holds_alternative<RegisterDisk>(request) ||
                           std::holds_alternative<SetGroup>(request) || std::holds_alternative<AbandonCopies>(request);
    if (ofServers && !c.server) return Error(Code::NotPermitted, "only who has the cluster's key may say this");
    return Ok{};
}

void Registry::apply(store::Transaction& t, raft::Time now, const raft::Command& c, raft::Outcome& out) {
    Request request;
    if (!wire::decode(c.body, request)) {
        out.answer = raft::Answer{Code::Invalid, {}};
        return;
    }
    if (leadersOwn(request) && !c.own) {
        out.answer = raft::Answer{Code::NotPermitted, {}};
        return;
    }
    Context context{t, now, metaOf(t)};
    out.answer = std::visit(
        [&](const auto& op) -> raft::Answer {
            using Op = std::remove_cvref_t<decltype(op)>;
            if constexpr (kLogged<Op>) {
                auto reply = registry::apply<Op>(context, op);
                if (reply) Metas::put(t, {}, context.meta);
                return raft::answerOf(reply);
            } else {
                return {Code::Invalid, {}};
            }
        },
        request);
}

std::optional<raft::Answer> Registry::query(const store::Reader& r, raft::Time now, const raft::Command& c, bool last) {
    Request request;
    if (!wire::decode(c.body, request)) return raft::Answer{Code::Invalid, {}};
    auto* get = std::get_if<GetMap>(&request);
    if (!get) return raft::Answer{Code::Invalid, {}};
    const Meta meta = metaOf(r);
    const bool newer = get->since < meta.version;
    if (!newer && get->wait && !last) return std::nullopt;
    GetMap::Reply reply;
    if (newer) reply.map = mapOf(r, meta);
    reply.disks = diskHints(r, now.age);
    reply.servers = serverHints(r, now.age);
    return raft::Answer{{}, wire::encode(reply)};
}

raft::Answer Registry::tell(const store::Reader& r, raft::Time now, const raft::Command& c, raft::Leader& leader) {
    Request request;
    if (!wire::decode(c.body, request) || !std::holds_alternative<Heartbeat>(request)) return {Code::Invalid, {}};
    const auto& beat = std::get<Heartbeat>(request);
    auto server = Servers::get(r, {beat.server});
    if (!server) return {Error(Code::NotFound, "this server is not registered"), {}};
    if (!c.server) return {Error(Code::NotPermitted, "only a server of this cluster has heartbeats"), {}};
    if (beat.incarnation != server->incarnation) return {Error(Code::Stale, "a newer process of this name has registered"), {}};
    const u64 off = beat.wall > now.wall ? beat.wall.value - now.wall.value : now.wall.value - beat.wall.value;
    if (beat.wall.value != 0 && off > kMostWallOff)
        return {Error(Code::NotPermitted, "this server's clock is over 10 minutes off; set it"), {}};
    if (beat.disks.size() > 4096 || beat.leads.size() > 8192 || beat.groups.size() > 64)
        return {Error(Code::TooLarge, "a heartbeat is too large"), {}};
    Heard& heard = heard_[beat.server];
    heard.at = now.age;
    heard.incarnation = beat.incarnation;
    heard.leads = beat.leads;
    heard.low = beat.low;
    for (auto& [_, d] : heard.disks) d.told.up = false; // unless it says so
    for (const DiskHint& told : beat.disks) {
        const auto row = Disks::get(r, {told.id});
        if (!row || row->disk.server != beat.server) continue;
        Beat& d = heard.disks[told.id];
        d.told = told;
        if (told.up) d.up_at = now.age;
    }
    for (const GroupRow& told : beat.groups) noteMembers(r, told, leader);
    Heartbeat::Reply reply;
    reply.version = metaOf(r).version;
    return {{}, wire::encode(reply)};
}

std::vector<DiskHint> Registry::diskHints(const store::Reader& r, Age now) const {
    std::vector<DiskHint> hints;
    Disks::scan(r, Disks::All{}, [&](const DiskKey&, const StoredDisk& row) {
        DiskHint hint;
        if (auto h = heard_.find(row.disk.server); h != heard_.end())
            if (auto d = h->second.disks.find(row.disk.id); d != h->second.disks.end()) {
                hint = d->second.told;
                hint.up = hint.up && now.value - h->second.at.value <= kUpWithin;
            }
        // A new leader has not heard of everybody yet: who was up is taken to be.
        if (!heard_.contains(row.disk.server) && now.value - startedAt_.value <= kUpWithin)
            hint.up = row.disk.state != DiskState::kDead;
        hint.id = row.disk.id;
        hints.push_back(hint);
        return true;
    });
    return hints;
}

std::vector<ServerHint> Registry::serverHints(const store::Reader& r, Age now) const {
    std::vector<ServerHint> hints;
    Servers::scan(r, Servers::All{}, [&](const ServerKey& key, const ServerRow&) {
        ServerHint hint;
        hint.id = key.id;
        hint.silent_ms = ~0ull;
        if (auto h = heard_.find(key.id); h != heard_.end()) {
            hint.silent_ms = (now.value - h->second.at.value) / kMillisecond;
            hint.up = now.value - h->second.at.value <= kUpWithin;
            hint.leads = h->second.leads;
            hint.low = h->second.low;
        }
        hints.push_back(hint);
        return true;
    });
    return hints;
}

void Registry::started(const store::Reader&, raft::Time now, raft::Leader&) {
    stopped();
    startedAt_ = now.age;
}

void Registry::stopped() {
    heard_.clear();
    telling_.clear();
    assigned_.clear();
    mending_.clear();
    leadsAt_ = mendedAt_ = {};
    mendedFor_ = {};
    decidedAt_ = {};
    waiting_.clear();
    settled_ = {};
}

void Registry::format(store::Transaction& t, raft::Time, std::string_view config) {
    Meta meta;
    if (!wire::decode(config, meta.config)) return;
    meta.version = {1, 1};
    GroupRow own;
    own.id = kRegistryGroup;
    own.formatted = true;
    for (const ServerRow& server : meta.config.registries) {
        Servers::put(t, {server.id}, server);
        own.members.push_back({server.id, server.store});
        meta.last_server = std::max(meta.last_server, server.id);
    }
    if (!own.members.empty()) Groups::put(t, {kRegistryGroup}, own);
    meta.config.registries.clear(); // they are rows now
    Metas::put(t, {}, meta);
}

} // namespace skua::registry
