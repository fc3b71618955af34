// skua-blocks: serves the disks of a machine.
//
//   skua-blocks format --cluster ID --capacity 100G DIR...    makes disks; nothing else does
//   skua-blocks --config skua.conf --name blocks-0 --dir DIR[,DIR]
//   skua-blocks inspect DIR [--check]                         skua-blocks bench PATH [--json]
#include <cstdio>
#include <cstdlib>
#include "blocks/membership.h"
#include "blocks/service.h"
#include "blocks/tools.h"
#include "core/async/signals.h"
#include "core/base/config.h"
#include "core/base/flags.h"
#include "core/base/log.h"
#include "core/base/version.h"
#include "core/net/address.h"
#include "core/net/pool.h"
#include "core/net/server.h"

namespace skua::blocks {
namespace {

constexpr int kUsage = 2; // exit status of wrong usage

struct RunFlags {
    Common common;
    std::string name, disk_class, address_file;
    u64 ahead_mib = 64, scrub_days = 14, spin_us = 0;
};

int fail(const Error& e) {
    std::fprintf(stderr, "skua-blocks: %s\n", e.detail.empty() ? e.message().c_str() : e.detail.c_str());
    return 1;
}

// "100G", "512M", "1T", or bytes; 0 if it is none of these.
u64 bytesOf(const std::string& text) {
    char* end = nullptr;
    const double n = std::strtod(text.c_str(), &end);
    const std::string unit(end);
    const u64 factor = unit.empty() || unit == "B" ? 1
                       : unit[0] == 'K'            ? 1ull << 10
                       : unit[0] == 'M'            ? 1ull << 20
                       : unit[0] == 'G'            ? 1ull << 30
                       : unit[0] == 'T'            ? 1ull << 40
                                                   : 0;
    const double bytes = n * static_cast<double>(factor);
    return bytes > 0 && bytes < 1e19 ? static_cast<u64>(bytes) : 0;
}

std::string baseName(const std::string& path) {
    const std::size_t end = path.find_last_not_of('/');
    if (end == path.npos) return "blocks";
    const std::size_t begin = path.find_last_of('/', end);
    return path.substr(begin == path.npos ? 0 : begin + 1, end - (begin == path.npos ? 0 : begin + 1) + 1);
}

Result<> tellAddress(const std::string& path, const std::string& address) {
    const std::string temporary = path + ".new";
    std::FILE* f = std::fopen(temporary.c_str(), "we");
    if (!f) return Error(Code::Io, temporary + ": cannot be written");
    std::fprintf(f, "%s\n", address.c_str());
    std::fclose(f);
    if (std::rename(temporary.c_str(), path.c_str()) != 0) return Error(Code::Io, path + ": cannot be written");
    return Ok{};
}

Task<> waitForEnd(Signals& signals, Ring& ring, net::Server& server, Service& service, Membership& membership) {
    const int signal = co_await signals.wait();
    log::info("stopping signal={}", signal);
    membership.stop();
    co_await server.stop();
    co_await service.stop();
    ring.stop();
    co_return Ok{};
}

int run(RunFlags& flags) {
    const auto level = log::levelOf(flags.common.log_level);
    if (!level) return fail(level.error()), kUsage;
    const std::vector<std::string> dirs = splitList(flags.common.dir);
    if (dirs.empty())
        return fail(Error(Code::Invalid, "--dir is needed: the folders of the disks; skua-blocks --help tells more")), kUsage;
    if (flags.name.empty()) flags.name = baseName(dirs[0]);
    if (const auto started = log::start({flags.common.log_file, *level, flags.name}); !started) return fail(started.error());
    raiseFileLimit();
    auto config = Config::find(flags.common.config);
    if (!config) return fail(config.error());
    if (auto fine = net::checkRegistry(flags.common.registry, *config); !fine) return fail(fine.error());
    const auto key = config->clusterKey();
    if (!key) return fail(key.error());
    const auto keys = net::Keys::load(*key);
    if (!keys) return fail(keys.error());

    auto ring = Ring::makeOrExit({.entries = 1024, .spin_ns = flags.spin_us * kMicrosecond});
    Signals signals(*ring);
    Service service(*ring, *keys);
    StoreOptions options;
    options.ahead = flags.ahead_mib << 20;
    // Closes what was opened; nothing else has begun.
    const auto giveUp = [&](const Error& e) {
        runBlocking(*ring, service.stop());
        const int status = fail(e);
        std::fflush(nullptr);
        std::_Exit(status);
    };
    // A disk that cannot be opened is left alone; the others of this process serve.
    Error last;
    for (const auto& dir : dirs) {
        auto disk = Disk::open(dir, keys->cluster());
        Result<> added = Ok{};
        if (disk) added = service.add(std::move(*disk), options);
        else added = disk.error();
        if (added) continue;
        last = added.error();
        if (dirs.size() > 1)
            log::error("disk not opened dir={} error=\"{}\"", dir, last.detail.empty() ? last.message() : last.detail);
    }
    if (service.disks().empty()) return fail(last);
    net::Server server(*ring, net::Credentials::server(*keys, flags.name), service);
    if (const auto listening = server.listen(flags.common.listen); !listening) giveUp(listening.error());
    if (!flags.address_file.empty())
        if (const auto told = tellAddress(flags.address_file, server.address().text); !told) giveUp(told.error());
    net::Pool pool(*ring, net::Credentials::server(*keys, flags.name));
    service.setTransport(pool);

    MembershipOptions mine;
    mine.name = flags.name;
    mine.domain = flags.common.domain.empty() ? flags.name : flags.common.domain;
    mine.disk_class = flags.disk_class;
    mine.config = config->file();
    mine.registry = flags.common.registry;
    if (mine.registry.empty()) {
        auto found = config->registry();
        if (!found) giveUp(found.error());
        mine.registry = std::move(*found);
    }
    mine.address = server.address();
    mine.scrub_ns = flags.scrub_days * kDay;
    Membership membership(*ring, pool, service, mine);
    membership.start();
    log::info("serving name={} address={} disks={} {}", flags.name, server.address().text, dirs.size(), versionText());
    ring->spawn(waitForEnd(signals, *ring, server, service, membership));
    ring->run();
    log::info("stopped name={}", flags.name);
    // Everything on the disks is synced and closed by Service; what still asks the registry is let go.
    std::fflush(nullptr);
    std::_Exit(0);
}

int format(const std::string& config_path, const std::string& cluster, const std::string& capacity,
           const std::vector<std::string>& dirs) {
    ClusterId id;
    if (!cluster.empty()) {
        const auto number = fromHex(cluster);
        if (!number) return fail(Error(Code::Invalid, "--cluster is 16 hex digits")), kUsage;
        id = ClusterId{*number};
    } else {
        const auto config = Config::find(config_path);
        if (!config) return fail(config.error());
        const auto named = config->cluster();
        if (!named) return fail(named.error());
        id = *named;
    }
    const u64 bytes = capacity.empty() ? 0 : bytesOf(capacity);
    if (!capacity.empty() && bytes == 0) return fail(Error(Code::Invalid, "--capacity is a number of bytes, or as 500G")), kUsage;
    for (const auto& dir : dirs)
        if (const auto done = Disk::format(dir, id, bytes); !done) return fail(done.error());
    return 0;
}

int bench(const std::string& path, u64 mib, bool json) {
    auto ring = Ring::makeOrExit({.entries = 64});
    const auto f = measureDisk(*ring, path, mib << 20, kSecond);
    if (!f) return fail(f.error());
    const char* text = json ? "{\"write_mb_s\": %.1f, \"read_mb_s\": %.1f, \"syncs_per_s\": %.0f, \"direct\": %s}\n"
                            : "write %.1f MB/s, read %.1f MB/s, %.0f small durable writes/s, O_DIRECT %s\n";
    std::printf(text, f->write_mb_s, f->read_mb_s, f->syncs_per_s, f->direct ? "true" : "false");
    return 0;
}

int start(int argc, char** argv) {
    Flags flags("skua-blocks", "Serves the disks of a machine: blocks of files, whole and durable.");
    RunFlags r;
    const auto runOptions = [&](Flags& f) {
        f.common(r.common);
        f.option("--name", r.name, "This process's name in the cluster; default: the first disk's folder");
        f.option("--address-file", r.address_file, "File to write the address to, once listening");
        f.option("--class", r.disk_class, "Class of its disks, for policies");
        f.option("--ahead-mib", r.ahead_mib, "Space to have ready in each size class in use, MiB per disk");
        f.option("--scrub-days", r.scrub_days, "Everything is read and checked once in so many days; 0: never");
        f.option("--spin-us", r.spin_us, "How long to look for work before sleeping, microseconds");
    };
    runOptions(flags);
    Flags& serve = flags.command("run", "Serves (this is also what happens without a command)");
    runOptions(serve);

    Flags& make = flags.command("format", "Makes disks of a cluster from empty folders");
    std::string config, cluster, capacity;
    std::vector<std::string> dirs;
    make.option("--config", config, "skua.conf, for the cluster's id");
    make.option("--cluster", cluster, "The cluster's id, 16 hex digits");
    make.option("--capacity", capacity, "How much of the file system to use: bytes, or as 500G; default: all");
    make.positional("DIR", dirs, "Empty folders");

    Flags& look = flags.command("inspect", "Shows and checks a stopped disk");
    std::string dir;
    bool check = false, list = false, json = false;
    look.positional("DIR", dir, "The disk");
    look.flag("--check", check, "Read every block and compare its sums");
    look.flag("--list", list, "One line for every block");
    look.flag("--json", json, "For programs");

    Flags& measure = flags.command("bench", "Measures the raw disk under PATH");
    std::string path;
    u64 mib = 512;
    measure.positional("PATH", path, "A folder");
    measure.option("--mib", mib, "Size of the file, MiB");
    measure.flag("--json", json, "For programs");

    flags.parse(argc, argv);
    if (make.chosen()) return format(config, cluster, capacity, dirs);
    if (look.chosen()) return inspect(dir, list, check, json);
    if (measure.chosen()) return bench(path, mib, json);
    return run(r);
}

} // namespace
} // namespace skua::blocks

int main(int argc, char** argv) { return skua::blocks::start(argc, argv); }
