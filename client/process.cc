#include "client/process.h"

#include <algorithm>
#include "core/base/random.h"
#include "core/net/address.h"
#include "core/net/handshake.h"

namespace skua::client {

namespace {

constexpr u64 kFirstLook = 300 * kMillisecond, kLookEvery = 2 * kSecond, kProbe = 2 * kSecond;
constexpr std::size_t kMaxWhy = 160; // of one address

// What was given where, so that messages can name it.
struct Given {
    std::vector<std::string> registry;
    std::string registry_from, key; // "SKUA_REGISTRY", "/etc/skua/skua.conf"; the key's file
};

struct Look {
    std::string why;       // by address
    bool hopeless = false; // each of them refuses us, and will
    bool refused = false, other_cluster = false;
};

Error clusterError(Code code, std::string detail) {
    Error e(code);
    e.detail = std::move(detail); // for people here: it may be longer than what goes over the wire
    return e;
}

// Asks every address who it is.
Task<> lookAt(net::Pool& pool, const Given& given, Look& look) {
    look = {};
    look.hopeless = true;
    const std::string question = net::encodeRequest(registry::GetMap{});
    for (const std::string& address : given.registry) {
        net::GroupRequest ask;
        ask.group = kRegistryGroup;
        ask.body.value = question;
        net::Message message;
        message.kind = net::Kind::kGroup;
        message.body = wire::encode(ask);
        const net::Address to{address};
        auto answer = co_await pool.call(to, std::move(message), kProbe);
        std::string why;
        if (!answer) {
            const Error& e = answer.error();
            why = e.detail.empty() ? e.message() : e.detail;
            const bool other = why.find(net::kOfAnotherCluster) != why.npos;
            look.other_cluster = look.other_cluster || other;
            look.refused = look.refused || e.code == Code::Denied;
            look.hopeless = look.hopeless && (other || e.code == Code::Denied || e.code == Code::NotSupported);
        } else {
            net::GroupReply reply;
            const bool understood = wire::decode(answer->body, reply);
            why = !understood                           ? "its answer cannot be understood"
                  : reply.error.code == Code::Ok        ? "it answers now; try again"
                  : reply.error.code == Code::NotLeader ? "it does not lead the registry, and knows nobody who does"
                                                        : reply.error.message();
            look.hopeless = false;
        }
        if (!why.starts_with(address)) why = address + ": " + why;
        look.why += (look.why.empty() ? "" : "; ") + why.substr(0, kMaxWhy);
    }
    co_return Ok{};
}

Error noMap(const Given& given, const Look& look) {
    const std::string named = " (" + given.registry_from + " names it)";
    if (look.refused)
        return clusterError(Code::Denied, look.why + "; the key is that of " + given.key +
                                              ": take one of this cluster, with `key` in skua.conf or SKUA_KEY");
    if (look.other_cluster)
        return clusterError(Code::Unavailable, look.why + ", which " + given.key + " is for; correct " + given.registry_from +
                                                   ", or take that cluster's key");
    if (look.hopeless) return clusterError(Code::NotSupported, look.why);
    return clusterError(Code::Unavailable,
                        look.why + named + "; is the cluster up? `skua cluster up` starts the one of this machine");
}

} // namespace

Result<std::unique_ptr<Process>> Process::make(ProcessOptions options) {
    std::unique_ptr<Process> process(new Process());
    TRY(process->config_, Config::find(options.config));
    const Config& config = process->config_;
    ClientOptions client = options.client;
    client.registry = options.registry;
    if (client.registry.empty()) {
        auto registry = config.registry();
        if (!registry && config.file().empty())
            return Error(Code::NotFound,
                         "no cluster is configured: start one with `skua cluster up`, or say --config FILE or SKUA_CONFIG");
        if (!registry) return registry.error();
        client.registry = *registry;
    }
    Given given;
    given.registry = client.registry;
    given.registry_from = options.registry.empty() ? config.source("registry") : "--registry";
    TRY_OK(net::checkRegistry(options.registry, config));
    const std::string key = config.path("key");
    if (key.empty())
        return Error(Code::NotFound,
                     (config.file().empty() ? "SKUA_KEY" : config.file()) + ": `key` does not say where the client's key is");
    given.key = key;
    TRY(net::Credentials credentials, net::Credentials::loadClient(key));
    while (client.client.value == 0) client.client = ClientId{randomFromKernel()};
    client.seed = randomFromKernel();
    TRY(process->ring_, Ring::make(options.ring));
    process->pool_ = std::make_unique<net::Pool>(*process->ring_, std::move(credentials), options.pool);
    process->client_ = std::make_unique<Client>(*process->ring_, *process->pool_, std::move(client));
    process->coder_ = std::make_unique<Offload>(*process->ring_, 1, "coder");
    process->client_->coder = process->coder_.get();
    const u64 end = process->ring_->now().value + options.start_limit_ns;
    auto started = process->run(process->client_->start(std::min(kFirstLook, options.start_limit_ns)));
    bool told = false;
    while (!started) {
        Look look;
        process->run(lookAt(*process->pool_, given, look));
        const u64 now = process->ring_->now().value;
        if (process->client_->cluster.known()) break;
        if (look.hopeless || now >= end) return noMap(given, look);
        started = process->run(process->client_->cluster.waitForMap(std::min(kLookEvery, end - now)));
        if (started || told || !options.waiting) continue;
        options.waiting(look.why);
        told = true;
    }
    return process;
}

Process::~Process() {
    if (!client_) return;
    // Calls under way end with the pool, then the tasks that made them.
    client_->stop();
    (void)run(pool_->stop());
    (void)run(client_->stopped());
}

} // namespace skua::client
