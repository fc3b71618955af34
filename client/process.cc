#include "client/process.h"

#include "core/base/random.h"

namespace skua::client {

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
    const std::string key = config.path("key");
    if (key.empty())
        return Error(Code::NotFound,
                     (config.file().empty() ? "SKUA_KEY" : config.file()) + ": `key` does not say where the client's key is");
    TRY(net::Credentials credentials, net::Credentials::loadClient(key));
    while (client.client.value == 0) client.client = ClientId{randomFromKernel()};
    client.seed = randomFromKernel();
    TRY(process->ring_, Ring::make(options.ring));
    process->pool_ = std::make_unique<net::Pool>(*process->ring_, std::move(credentials), options.pool);
    process->client_ = std::make_unique<Client>(*process->ring_, *process->pool_, std::move(client));
    process->coder_ = std::make_unique<Offload>(*process->ring_, 1, "coder");
    process->client_->coder = process->coder_.get();
    auto started = process->run(process->client_->start(options.start_limit_ns));
    if (!started) return started.error();
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
