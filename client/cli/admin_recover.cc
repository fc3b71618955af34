// admin recover-group: a group whose majority is gone for good goes on with one member's copy. A human's decision: what only
// the others had is lost, and their folders must never be served again.
#include <algorithm>
#include "client/cli/admin.h"
#include "client/cli/all.h"
#include "core/base/config.h"
#include "core/net/keys.h"
#include "raft/messages.h"

namespace skua::cli {

namespace {

constexpr u64 kPatience = 15 * kSecond; // a leader's promise has to end, the group to begin

struct Recover {
    std::string group, keep;
};
// A member, and what it says of the group; none: it does not answer.
struct Copy {
    std::string name;
    net::Address address;
    ServerId id;
    std::optional<raft::GroupStatus> status;
};

Task<Result<raft::HostStatus::Reply>> statusOf(net::Pool& pool, net::Address address) {
    net::Message message;
    message.kind = net::Kind::kHost;
    message.body = wire::encode(raft::HostRequest{raft::HostStatus{}});
    CO_TRY(const net::Message answer, co_await pool.call(address, std::move(message), 2 * kSecond));
    raft::HostStatus::Reply reply;
    if (!wire::decode(answer.body, reply)) co_return Error(Code::Corrupt, address.text + ": its status does not decode");
    co_return reply;
}

void take(Copy& copy, const raft::HostStatus::Reply& reply, GroupId group) {
    if (reply.name != copy.name) return; // another process has its port
    copy.id = reply.self.server;
    for (const auto& g : reply.groups)
        if (g.group == group) copy.status = g;
}

Task<std::vector<Copy>> askAll(net::Pool& pool, std::vector<Copy> copies, GroupId group) {
    for (Copy& copy : copies) {
        const auto reply = co_await statusOf(pool, copy.address);
        if (reply && copy.name.empty()) copy.name = reply->name;
        if (reply) take(copy, *reply, group);
        if (copy.name.empty()) copy.name = copy.address.text;
    }
    co_return copies;
}

Result<std::vector<Copy>> membersOf(const registry::ClusterMap& map, GroupId group) {
    std::vector<Copy> copies;
    const auto row = std::find_if(map.groups.begin(), map.groups.end(), [&](const auto& g) { return g.id == group; });
    if (row == map.groups.end()) return Error(Code::NotFound, "there is no group " + groupName(group));
    for (const raft::Member& m : row->members)
        for (const auto& s : map.servers)
            if (s.id == m.server) copies.push_back({s.name, s.address, s.id, {}});
    return copies;
}

std::string said(const raft::GroupStatus& s) {
    return "entry " + std::to_string(s.last.value) + " of term " + std::to_string(s.last_term.value);
}

// The copy to keep, if it may be; Busy: look again soon.
Result<const Copy*> choose(const std::vector<Copy>& copies, const Recover& o) {
    const Copy* kept = nullptr;
    std::size_t there = 0;
    std::string leads;
    for (const Copy& c : copies) {
        if (c.name == o.keep) kept = &c;
        if (!c.status) continue;
        if (c.status->leading) leads = c.name;
        there += c.status->trouble.empty();
    }
    if (!kept) {
        std::string names;
        for (const Copy& c : copies) names += (names.empty() ? "" : ", ") + c.name;
        return Error(Code::Invalid, o.keep + " has no copy of " + o.group + "; its members: " + names);
    }
    if (!kept->status)
        return Error(Code::Unavailable, o.keep + " does not answer: it must run (skua cluster start " + o.keep + ")");
    if (!kept->status->trouble.empty())
        return Error(Code::Unavailable, o.keep + "'s copy of " + o.group + " is down: " + kept->status->trouble);
    // Alone and not leading: the others were shut out already, and whether it was told to go on is not known.
    const bool again = copies.size() == 1 && leads.empty();
    if (there > copies.size() / 2 && !again)
        return Error(Code::Exists,
                     std::to_string(there) + " of " + std::to_string(copies.size()) + " members of " + o.group +
                         " are there: " + (leads.empty() ? "they find a leader by themselves" : leads + " leads it"));
    if (!leads.empty()) return Error(Code::Busy, leads + " leads " + o.group + ", and steps down if it hears no majority");
    for (const Copy& c : copies) {
        if (!c.status || !c.status->trouble.empty() || c.name == o.keep) continue;
        // As a vote is given: a longer log of an older term has less that may have been acknowledged.
        if (std::pair(c.status->last_term, c.status->last) > std::pair(kept->status->last_term, kept->status->last))
            return Error(Code::Invalid, c.name + " has more of " + o.group + " (" + said(*c.status) + ") than " + o.keep + " (" +
                                            said(*kept->status) + "): say --keep " + c.name);
    }
    return kept;
}

// `check`: only whether it would be refused. A leader that has just gone is waited out.
Task<Result<>> ask(Clock& clock, net::Pool& pool, net::Address to, GroupId group, bool check) {
    const u64 end = clock.now().value + kPatience;
    for (;;) {
        net::Message message;
        message.kind = net::Kind::kHost;
        message.body = wire::encode(raft::HostRequest{raft::RecoverGroup{group, check}});
        const auto answer = co_await pool.call(to, std::move(message), 5 * kSecond);
        if (answer) co_return Ok{};
        if (answer.error().code != Code::Busy || clock.now().value >= end) co_return answer.error();
        Sleep nap(clock, 200 * kMillisecond);
        co_await nap;
    }
}

Task<Result<>> untilItLeads(Clock& clock, net::Pool& pool, net::Address to, GroupId group) {
    const u64 end = clock.now().value + kPatience;
    while (clock.now().value < end) {
        const auto reply = co_await statusOf(pool, to);
        if (reply)
            for (const auto& g : reply->groups)
                if (g.group == group && g.leading) co_return Ok{};
        Sleep nap(clock, 50 * kMillisecond);
        co_await nap;
    }
    co_return Error(Code::OutcomeUnknown, "it was told, and does not lead yet; `skua status` tells");
}

// With the cluster's key: whoever says this shuts servers out.
Result<> abandonOthers(client::Process& process, const net::Credentials& credentials, const registry::AbandonCopies& abandon) {
    net::Pool pool(process.ring(), credentials);
    net::GroupCaller caller(process.ring(), pool, process.client().cluster, ClientId{randomFromKernel() | 1},
                            Random(randomFromKernel()));
    auto done = process.run(caller.mutate(kRegistryGroup, abandon));
    (void)process.run(pool.stop());
    if (!done) return done.error();
    return Ok{};
}

void report(const std::vector<std::string>& members, const Copy& kept, const Recover& o) {
    print(o.group + " goes on with the copy of " + o.keep + ", " + said(*kept.status) +
          "; what only the others had is lost, and they are not let in with it again\n");
    for (const std::string& name : members)
        if (name != o.keep) print("next, once its process has ended: skua admin replace-server " + name + "\n");
}

// Who has just lost its majority still leads for a moment.
Task<std::vector<Copy>> look(Clock& clock, net::Pool& pool, std::vector<Copy> members, GroupId group, Recover o) {
    const u64 end = clock.now().value + kPatience;
    for (;;) {
        std::vector<Copy> copies = co_await askAll(pool, members, group);
        if (choose(copies, o).code() != Code::Busy || clock.now().value >= end) co_return copies;
        Sleep nap(clock, 200 * kMillisecond);
        co_await nap;
    }
}

// The others are shut out before there is another history, but not before it is known that there may be one.
int recoverByMap(client::Process& process, const net::Credentials& credentials, net::Pool& pool, const Recover& o,
                 GroupId group) {
    if (auto fresh = process.run(process.client().cluster.refresh()); !fresh) return fail(fresh.error());
    auto members = membersOf(process.client().cluster.map(), group);
    if (!members) return fail(members.error());
    const std::vector<Copy> copies = process.run(look(process.ring(), pool, std::move(*members), group, o));
    auto kept = choose(copies, o);
    if (!kept) return fail(kept.error());
    const net::Address to = (*kept)->address;
    registry::AbandonCopies abandon{group, (*kept)->id};
    if (auto may = process.run(ask(process.ring(), pool, to, group, true)); !may) return fail(may.error());
    if (auto done = abandonOthers(process, credentials, abandon); !done) return fail(done.error());
    if (auto done = process.run(ask(process.ring(), pool, to, group, false)); !done) {
        if (done.error().code == Code::OutcomeUnknown) return fail(done.error());
        abandon.take_back = true; // it has refused: nothing has happened
        if (auto back = abandonOthers(process, credentials, abandon); !back)
            print("the others of " + o.group + " stay shut out, that could not be taken back: " + back.error().message() +
                  "; say this command again\n");
        return fail(done.error());
    }
    if (auto done = process.run(untilItLeads(process.ring(), pool, to, group)); !done) return fail(done.error());
    std::vector<std::string> names;
    for (const Copy& c : copies) names.push_back(c.name);
    report(names, **kept, o);
    return kFine;
}

// Without the registry there is no map: its members are at the configuration's addresses, and it is told afterwards.
int recoverRegistry(const Commands& all, Ring& ring, const net::Credentials& credentials, net::Pool& pool, const Recover& o,
                    const std::vector<std::string>& addresses) {
    std::vector<Copy> members;
    for (const std::string& text : addresses) members.push_back({{}, net::Address{text}, {}, {}});
    const std::vector<Copy> copies = runBlocking(ring, look(ring, pool, std::move(members), kRegistryGroup, o));
    auto kept = choose(copies, o);
    if (!kept) return fail(kept.error());
    const net::Address to = (*kept)->address;
    if (auto done = runBlocking(ring, ask(ring, pool, to, kRegistryGroup, false)); !done) return fail(done.error());
    if (auto done = runBlocking(ring, untilItLeads(ring, pool, to, kRegistryGroup)); !done) return fail(done.error());
    const ServerId keep = (*kept)->id;
    std::vector<std::string> names;
    const int code = withProcess(all.settings, [&](client::Process& process) {
        if (auto done = abandonOthers(process, credentials, {kRegistryGroup, keep}); !done) return fail(done.error());
        for (const auto& s : process.client().cluster.map().servers)
            if (s.role == registry::ServerRole::kRegistry) names.push_back(s.name);
        return kFine;
    });
    if (code == kFine) report(names, **kept, o);
    return code;
}

int recoverGroup(const Commands& all, const Recover& o) {
    auto group = groupNamed(o.group);
    if (!group) return usage(group.error().detail);
    if (o.keep.empty()) return usage("--keep NAME says whose copy is to go on; `skua status` lists the members");
    auto config = Config::find(all.settings.config);
    if (!config) return fail(config.error());
    auto keys = net::Keys::load(config->path("cluster_key"));
    if (!keys) return fail("the cluster's key is needed for that: " + keys.error().message());
    auto ring = Ring::makeOrExit();
    const auto credentials = net::Credentials::server(*keys, "skua admin");
    int code = kFailed;
    if (*group == kRegistryGroup) {
        auto addresses = config->registry();
        if (!addresses) return fail(addresses.error());
        net::Pool pool(*ring, credentials);
        code = recoverRegistry(all, *ring, credentials, pool, o, *addresses);
        (void)runBlocking(*ring, pool.stop());
        return code;
    }
    return withProcess(all.settings, [&](client::Process& process) {
        net::Pool pool(process.ring(), credentials);
        code = recoverByMap(process, credentials, pool, o, *group);
        (void)process.run(pool.stop());
        return code;
    });
}

} // namespace

void addAdminRecover(Commands& all) {
    auto o = std::make_shared<Recover>();
    Flags& f = all.add("admin recover-group",
                       "A metadata group that has lost its majority for good goes on with one member's copy; what only the "
                       "others had is lost",
                       "skua admin recover-group shard:0 --keep shard-2", [&all, o] { return recoverGroup(all, *o); });
    f.positional("GROUP", o->group, "registry, cdc or shard:NUMBER");
    f.option("--keep", o->keep, "The server whose copy goes on; the one that has most of the log");
}

} // namespace skua::cli
