// bench meta: how many operations on names a second, and how long each takes.
#include <cstdio>
#include <nlohmann/json.hpp>
#include "client/cli/all.h"
#include "client/cli/bench_common.h"

namespace skua::cli {

namespace {

struct MetaFlags {
    std::string op = "create";
    u32 in_flight = 16, size = 4096;
    double seconds = 3;
    u64 count = 0; // 0: by time
    u32 dirs = 1;
    bool keep = false, json = false;
};

struct Run {
    Client& client;
    FileSystem fs;
    const MetaFlags& flags;
    std::string dir;
    std::vector<InodeId> inodes; // of directories, taken in turn
    u64 end = 0, next = 0;
    std::string bytes;
    Latencies latencies;
    Result<> result = Ok{};
};

Task<Result<>> once(Run& run, InodeId dir, std::string name) {
    client::Metadata& m = run.client.metadata;
    const std::string& op = run.flags.op;
    if (op == "mkdir") {
        CO_TRY_OK(co_await m.mkdir(dir, name, 0755, ourOwner()));
    } else if (op == "stat") {
        CO_TRY_OK(co_await m.lookup(dir, "target"));
    } else if (op == "rename") {
        const InodeId whatever;
        CO_TRY_OK(co_await m.rename(dir, name, dir, name + "r", whatever));
    } else if (op == "unlink") {
        CO_TRY_OK(co_await m.unlink(dir, name));
    } else {
        client::MemorySource source(run.bytes);
        client::PutOptions put;
        put.owner = ourOwner();
        CO_TRY_OK(co_await run.fs.putFileAt(dir, name, put, source));
    }
    co_return Ok{};
}

// What an operation needs is made outside of what is measured.
Task<Result<>> prepare(Run& run, InodeId dir, std::string name) {
    if (run.flags.op != "rename" && run.flags.op != "unlink") co_return Ok{};
    client::MemorySource source("");
    client::PutOptions put;
    put.owner = ourOwner();
    CO_TRY_OK(co_await run.fs.putFileAt(dir, name, put, source));
    co_return Ok{};
}

Task<> lane(Run& run) {
    const u64 count = run.flags.count;
    while (run.result && (count ? run.next < count : run.client.clock.now().value < run.end)) {
        const u64 number = run.next++;
        const std::string name = "n" + std::to_string(number);
        const InodeId dir = run.inodes[number % run.inodes.size()];
        auto ready = co_await prepare(run, dir, name);
        const u64 started = run.client.clock.now().value;
        auto done = co_await once(run, dir, name);
        if (!ready) run.result = ready;
        else if (!done) run.result = done;
        else run.latencies.ns.push_back(run.client.clock.now().value - started);
    }
    co_return Ok{};
}

Task<Result<>> measure(Run& run) {
    CO_TRY(run.dir, co_await makeBenchDir(run.fs));
    for (u32 i = 0; i < run.flags.dirs; i++) {
        std::string path = run.dir;
        if (run.flags.dirs > 1) {
            path += "/d" + std::to_string(i);
            CO_TRY_OK(co_await run.fs.mkdir(path, 0700, ourOwner()));
        }
        CO_TRY(const Attributes made, co_await run.fs.stat(path));
        run.inodes.push_back(made.inode);
        client::MemorySource source("x");
        client::PutOptions put;
        CO_TRY_OK(co_await run.fs.putFileAt(made.inode, "target", put, source));
    }
    const u64 started = run.client.clock.now().value;
    run.end = started + static_cast<u64>(run.flags.seconds * 1e9);
    TaskGroup lanes;
    for (u32 i = 0; i < run.flags.in_flight; i++) lanes.spawn(lane(run));
    co_await lanes.all();
    const double took = static_cast<double>(run.client.clock.now().value - started) / 1e9;
    const u64 ops = run.latencies.ns.size();
    const double rate = static_cast<double>(ops) / took;
    if (run.result && run.flags.json) {
        nlohmann::json out = {{"op", run.flags.op},
                              {"dir", run.dir},
                              {"in_flight", run.flags.in_flight},
                              {"ops", ops},
                              {"seconds", took},
                              {"ops_per_s", rate},
                              {"p50_us", run.latencies.percentile(0.5)},
                              {"p95_us", run.latencies.percentile(0.95)},
                              {"p99_us", run.latencies.percentile(0.99)},
                              {"max_us", run.latencies.percentile(1)}};
        print(out);
    } else if (run.result) {
        char line[200];
        std::snprintf(line, sizeof line,
                      "%s, %u in flight: %.0f/s; median %.0f us, 95%% %.0f us, 99%% %.0f us, longest %.0f us\n",
                      run.flags.op.c_str(), run.flags.in_flight, rate, run.latencies.percentile(0.5),
                      run.latencies.percentile(0.95), run.latencies.percentile(0.99), run.latencies.percentile(1));
        print(line);
    }
    co_return run.result;
}

Task<int> benchMeta(Client& client, const MetaFlags& flags) {
    Run run{client, FileSystem(client), flags, {}, {}, 0, 0, std::string(flags.size, 'm'), {}, Ok{}};
    auto done = co_await measure(run);
    if (!run.dir.empty() && !flags.keep) {
        auto gone = co_await run.fs.removeTree(run.dir, true);
        if (done && !gone) done = gone.error();
    }
    co_return done ? kFine : fail(done.error());
}

} // namespace

void addBenchMeta(Commands& all) {
    auto o = std::make_shared<MetaFlags>();
    Flags& f = all.add("bench meta", "Operations on names a second: create, mkdir, stat, rename, unlink",
                       "skua bench meta --op create --in-flight 16", [&all, o] {
                           if (o->op != "create" && o->op != "mkdir" && o->op != "stat" && o->op != "rename" && o->op != "unlink")
                               return usage("--op takes create, mkdir, stat, rename or unlink");
                           if (o->in_flight < 1 || o->in_flight > 1024) return usage("--in-flight takes 1 to 1024");
                           if (o->dirs < 1 || o->dirs > 65'536) return usage("--dirs takes 1 to 65536");
                           if (o->size > 1u << 20) return usage("--size takes at most 1 MiB");
                           return withClientCode(all.settings, [&](Client& client) { return benchMeta(client, *o); });
                       });
    f.option("--op", o->op, "create, mkdir, stat, rename or unlink");
    f.option("--in-flight", o->in_flight, "How many at a time");
    f.option("--size", o->size, "Of created files, bytes");
    f.option("--seconds", o->seconds, "How long");
    f.option("--count", o->count, "So many operations, however long they take; 0: as many as there is time for");
    f.option("--dirs", o->dirs, "Directories to spread them over");
    f.flag("--keep", o->keep, "Leave what was made where it is");
    f.flag("--json", o->json, "As JSON");
}

} // namespace skua::cli
