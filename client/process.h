// Process: a Client with everything that a program needs: ring, connections, keys, configuration.
//
//   CO: auto process = Process::make({.config = flag});   if (!process) say process.error().message()
//   process->run(work(process->client()))                 blocking: gives the task's value
//
// Configuration is looked for as core/base/config.h says: flags, SKUA_*, skua.conf. The destructor
// stops everything in order. The only file of client/ that knows of the ring.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include "client/client.h"
#include "core/async/offload.h"
#include "core/async/ring.h"
#include "core/base/config.h"
#include "core/net/pool.h"

namespace skua::client {

struct ProcessOptions {
    std::string config;                // --config; empty: searched
    std::vector<std::string> registry; // --registry; empty: from the configuration
    RingOptions ring;
    net::PoolOptions pool;
    ClientOptions client;              // registry, client id and seed are filled in
    u64 start_limit_ns = 30 * kSecond; // for the first map
    // Told once if that takes more than two seconds: which address, and why it does not answer.
    std::function<void(const std::string&)> waiting;
};

class Process {
public:
    // With a running client (the first map is here). The Error says what to do: of the registry's addresses what each
    // answered, and who named them. It does not wait where waiting cannot help: a refused key, another cluster's or
    // another release's registry, an address that is none.
    static Result<std::unique_ptr<Process>> make(ProcessOptions options);
    ~Process();
    Process(const Process&) = delete;

    Ring& ring() { return *ring_; }
    net::Pool& pool() { return *pool_; }
    Client& client() { return *client_; }
    const Config& config() const { return config_; }

    template <class T>
    T run(Task<T> task) {
        return runBlocking(*ring_, std::move(task));
    }

private:
    Process() = default;
    Config config_;
    std::unique_ptr<Ring> ring_;
    std::unique_ptr<net::Pool> pool_;
    std::unique_ptr<Offload> coder_; // one thread: what it is given is done in that order
    std::unique_ptr<Client> client_;
};

} // namespace skua::client
