// Client: the parts of the client library in one place, over any Clock and Transport.
//
//   Client client(clock, pool, options);
//   CO_TRY_OK(co_await client.start(30 * kSecond));
//   ... files.h, writer.h, reader.h, edit.h ...
//   client.stop();  (void)co_await pool.stop();  (void)co_await client.stopped();
//
// One per thread; belongs to the clock's thread. Runs in the simulator as in production: whoever needs
// a ring, sockets and a configuration file takes process.h.
#pragma once

#include <string>
#include <vector>
#include "client/cluster.h"
#include "client/metadata.h"
#include "client/services.h"

namespace skua {
class Offload;
}

namespace skua::client {

struct ClientOptions {
    std::vector<std::string> registry; // addresses to begin with
    ClientId client;                   // never 0; drawn anew for every process
    u64 seed = 1;
    net::CallerLimits limits;           // of metadata; a mount sets total_ns 0
    u64 span_budget = 160u << 20;       // bytes of spans being written, beyond one per writer
    u64 read_ahead_budget = 128u << 20; // bytes of read-ahead of all readers together
    u64 read_ahead_most = 16u << 20;    // of one reader
    Services::Patience patience;        // with block services that are away
};

// Counts what is in memory; never waits.
class Budget {
public:
    explicit Budget(u64 bytes) : free_(static_cast<i64>(bytes)) {}
    bool tryTake(u64 bytes) {
        if (free_ < static_cast<i64>(bytes)) return false;
        free_ -= static_cast<i64>(bytes);
        return true;
    }
    void take(u64 bytes) { free_ -= static_cast<i64>(bytes); } // may overdraw
    void give(u64 bytes) { free_ += static_cast<i64>(bytes); }

private:
    i64 free_;
};

class Client {
public:
    Client(Clock& clock, net::Transport& transport, ClientOptions options);
    Client(const Client&) = delete;

    // Fetches the first map and starts what runs in the background.
    Task<Result<>> start(u64 limit_ns);
    void stop();
    Task<> stopped();

    // A block has its receipt: remembered for giveUp().
    void wrote(const NewId& id, const BlockRef& block);
    // Nothing more of what was written under this id will be committed: the room comes back at once instead of when
    // the reservation ends. What was committed stays (AbandonBlocks). Waits for at most 2 s, then goes on by itself.
    Task<> giveUp(NewId id);

    Clock& clock;
    const ClientOptions options;
    Cluster cluster;
    Services services;
    Metadata metadata;
    BufferPool blocks; // of 4 MiB: one block being written
    Budget spanBudget, readAheadBudget;

    // A thread for parity and sums of long files (client.h's owner keeps it until after stopped()). Null, as in the
    // simulator: the clock's thread does it.
    Offload* coder = nullptr;

    // For blocks of up to `size` bytes; not zeroed.
    Buffer blockBuffer(std::size_t size);
};

// The same error, with the object's path in front of the detail.
Error withPath(const Error& error, std::string_view path);

} // namespace skua::client
