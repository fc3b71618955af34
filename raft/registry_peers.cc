#include "raft/registry_peers.h"

#include <algorithm>
#include "core/base/log.h"

namespace skua::raft {

Task<Result<RegistryPeers::Found>> RegistryPeers::whoIs(net::Address address) {
    net::Message message;
    message.kind = net::Kind::kHost;
    message.body = wire::encode(HostRequest{HostStatus{}});
    CO_TRY(const net::Message answer, co_await pool_.call(address, std::move(message), kSecond));
    HostStatus::Reply reply;
    if (!wire::decode(answer.body, reply)) co_return Error(Code::Corrupt, "a host's status does not decode");
    co_return Found{address, reply.self, reply.name};
}

Task<std::vector<RegistryPeers::Found>> RegistryPeers::whoIsThere() {
    std::vector<Found> found;
    directory_.suspect(kRegistryGroup); // the configuration is read again
    const std::vector<net::Address> addresses = directory_.membersOf(kRegistryGroup);
    for (const net::Address& address : addresses) {
        auto one = co_await whoIs(address);
        if (one) found.push_back(std::move(*one));
    }
    co_return found;
}

Task<> RegistryPeers::form(registry::RegistryConfig config, u64 self, std::function<bool()> formless,
                           std::function<void(std::string)> here) {
    while (formless()) {
        std::vector<Found> found = co_await whoIsThere();
        std::sort(found.begin(), found.end(), [](const Found& a, const Found& b) { return a.name < b.name; });
        auto same = [](const Found& a, const Found& b) { return a.name == b.name; };
        const bool twice = std::adjacent_find(found.begin(), found.end(), same) != found.end();
        bool told = found.size() == config.replicas && !twice;
        const std::string format = wire::encode(HostRequest{formatOf(config, found)});
        for (std::size_t i = 0; i < found.size() && told; i++) {
            if (found[i].self.store == self) continue;
            net::Message message;
            message.kind = net::Kind::kHost;
            message.body = format;
            auto done = co_await pool_.call(found[i].address, std::move(message), 10 * kSecond);
            if (done) continue;
            log::warn("registry not made yet, {} says \"{}\"", found[i].name, done.error().message());
            told = false;
        }
        if (told) here(format);
        Sleep nap(ring_, told ? kSecond : 50 * kMillisecond);
        co_await nap;
    }
    co_return Ok{};
}

Format RegistryPeers::formatOf(registry::RegistryConfig config, const std::vector<Found>& members) {
    Format format;
    format.cluster = config.cluster;
    format.group = kRegistryGroup;
    format.made = Wall{1};
    for (const Found& f : members) {
        registry::ServerRow row;
        row.id = ServerId{static_cast<u32>(config.registries.size() + 1)};
        row.name = row.domain = f.name;
        row.role = registry::ServerRole::kRegistry;
        row.store = f.self.store;
        format.members.push_back({row.id, row.store});
        config.registries.push_back(std::move(row));
    }
    format.config.value = wire::encode(config);
    return format;
}

Task<> RegistryPeers::find() {
    while (true) {
        Event::Waiter due = lost_.wait();
        (void)co_await due;
        Sleep nap(ring_, 200 * kMillisecond);
        co_await nap;
        lost_.reset();
        const std::vector<Found> found = co_await whoIsThere();
        for (const Found& f : found)
            if (f.self.server.value != 0) peers_[f.self.server] = f.address;
    }
    co_return Ok{};
}

void RegistryPeers::forget(ServerId server, const net::Address& address) {
    if (auto at = peers_.find(server); at != peers_.end() && at->second == address) peers_.erase(at);
}

net::Address RegistryPeers::addressOf(ServerId server) const {
    if (auto at = peers_.find(server); at != peers_.end()) return at->second;
    return directory_.addressOf(server);
}

} // namespace skua::raft
