#include "raft/presence.h"

#include <unistd.h>
#include "core/base/log.h"

namespace skua::raft {

namespace {
constexpr u64 kHeartbeatNs = kSecond;
constexpr std::size_t kMostTold = 64; // groups in a heartbeat; the next ones go with the next
} // namespace

Task<> Presence::keep(registry::Register self, std::string dir, const Server& server) {
    ServerId id;
    Incarnation incarnation;
    while (true) {
        if (id.value == 0) {
            auto reply = co_await registrar_.mutate(kRegistryGroup, self);
            if (!reply) {
                log::warn("registration failed why=\"{}\"", reply.error().message());
                if (reply.error().code == Code::Stale) { // of a past that the cluster has left
                    log::error("this copy was abandoned, ending dir={}", dir);
                    ::_exit(1);
                }
                Sleep nap(ring_, kSecond);
                co_await nap;
                continue;
            }
            id = reply->id;
            incarnation = reply->incarnation;
            log::info("registered id={} incarnation={}", id.value, incarnation.value);
        }
        registry::Heartbeat beat;
        beat.server = id;
        beat.incarnation = incarnation;
        beat.wall = ring_.wall();
        beat.low = server.low();
        for (const auto& [group, _] : server.appliedIndexes())
            if (server.leads(group)) beat.leads.push_back(group);
        beat.groups = otherThanMapped(server);
        auto heard = co_await caller_.query(kRegistryGroup, beat);
        if (!heard) {
            const Code code = heard.error().code;
            log::warn("heartbeat refused why=\"{}\"", heard.error().message());
            if (code == Code::NotFound) id = {}; // a registry that was made anew
            if (code == Code::Stale) {
                log::error("a newer process has the name {}, ending", self.name);
                ::_exit(1);
            }
        }
        auto due = changed_.wait(ring_, kHeartbeatNs);
        (void)co_await due;
    }
    co_return Ok{};
}

// Groups that we lead whose members the map does not have.
std::vector<registry::GroupRow> Presence::otherThanMapped(const Server& server) const {
    std::vector<registry::GroupRow> others;
    for (const GroupMembers& led : server.ledMembers()) {
        for (const registry::GroupRow& row : directory_.map().groups) {
            if (row.id != led.group || row.configuration >= led.configuration.value) continue;
            if (row.members == led.members.voters && row.learners == led.members.learners) continue;
            others.push_back({led.group, led.members.voters, led.members.learners, true, led.configuration.value, {}});
        }
        if (others.size() == kMostTold) break;
    }
    return others;
}

void Presence::note(const Server& server) {
    const std::size_t leads = server.ledGroups();
    if (std::exchange(leads_, leads) != leads) changed_.pulse();
}

} // namespace skua::raft
