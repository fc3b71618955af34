// Measures one block service over loopback, two processes: blocks written (OpenBlock to FinishBlock) and read,
// several at a time, beside what the raw disk does in the same folder.
//
//   blocks_load DIR [BLOCK_KIB [DEPTH [BLOCKS]]]      DIR: an empty folder; 4096, 8, 256
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include "blocks/service.h"
#include "blocks/tools.h"
#include "core/async/signals.h"
#include "core/data/receipt.h"
#include "core/net/group_caller.h"
#include "core/net/pool.h"

using namespace skua;
using namespace skua::blocks;

namespace {

const net::Keys kKeys(ClusterId{1}, MacKey{1, 2, 3});
constexpr BlockServiceId kDisk{1};

void add(Ring& ring, Service& service, const std::string& dir) {
    (void)ring;
    auto disk = Disk::open(dir, kKeys.cluster());
    CHECK(disk);
    CHECK(service.add(std::move(*disk), StoreOptions{}));
    CHECK(service.setIdentity(*service.disks()[0], kDisk, Incarnation{1}));
}

Task<> untilSignal(Ring& ring, Signals& signals, net::Server& server, Service& service) {
    (void)co_await signals.wait();
    co_await server.stop();
    co_await service.stop();
    ring.stop();
    co_return Ok{};
}

[[noreturn]] void serve(const std::string& dir, int tell) {
    auto ring = Ring::makeOrExit({.spin_ns = 30 * kMicrosecond});
    Signals signals(*ring);
    Service service(*ring, kKeys);
    add(*ring, service, dir);
    net::Server server(*ring, net::Credentials::server(kKeys, "measured"), service);
    CHECK(server.listen({"127.0.0.1:0"}));
    const std::string at = server.address().text;
    if (::write(tell, at.data(), at.size()) < 0) std::_Exit(1);
    ::close(tell);
    ring->spawn(untilSignal(*ring, signals, server, service));
    ring->run();
    std::_Exit(0);
}

struct Child {
    pid_t pid;
    net::Address at;
    explicit Child(const std::string& dir) {
        int fds[2];
        CHECK(pipe(fds) == 0);
        pid = fork();
        if (pid == 0) {
            ::close(fds[0]);
            serve(dir, fds[1]);
        }
        ::close(fds[1]);
        char text[128] = {};
        CHECK(::read(fds[0], text, sizeof text - 1) > 0);
        ::close(fds[0]);
        at.text = text;
    }
    void end() {
        kill(pid, SIGTERM);
        waitpid(pid, nullptr, 0);
    }
};

struct Work {
    Ring& ring;
    net::Pool& pool;
    net::Address at;
    u32 length, count, next = 0, failed = 0;
    Buffer data;
    std::vector<u64> plain;
};

BlockId idOf(u32 n) { return {ContentId::make(7, ShardId{0}), ReservationId{1}, n}; }

template <class R>
Task<Result<net::Message>> ask(Work& work, R request, Buffer payload) {
    net::Message m;
    m.kind = net::Kind::kBlocks;
    m.body = net::encodeRequest(request);
    m.payload = std::move(payload);
    auto reply = co_await work.pool.call(work.at, std::move(m), 30 * kSecond);
    co_return reply;
}

Task<> piece(Work& work, BlockId id, u32 at, std::vector<u64> sums, bool& good) {
    Piece p{kDisk, id, at, std::move(sums)};
    Buffer part = work.data.slice(at, std::min(kMaxPiece, work.length - at));
    const auto r = co_await ask(work, std::move(p), std::move(part));
    good = good && r;
    co_return Ok{};
}

Task<bool> writeOne(Work& work, BlockId id) {
    const BlockMix mix(id);
    std::vector<u64> sums(work.plain);
    for (u32 i = 0; i < sums.size(); i++) sums[i] ^= mix(i);
    const u64 sum = blockSum(id, sums);
    if (work.length <= kMaxPiece) {
        WriteBlock w{kDisk, Incarnation{1}, id, sum, std::move(sums)};
        const auto r = co_await ask(work, std::move(w), work.data);
        co_return r.has_value();
    }
    OpenBlock open{kDisk, Incarnation{1}, id, work.length};
    const auto opened = co_await ask(work, open, Buffer());
    if (!opened) co_return false;
    bool good = true;
    TaskGroup pieces;
    for (u32 at = 0; at < work.length; at += kMaxPiece) {
        const auto first = sums.begin() + at / kPage;
        std::vector<u64> some(first, first + std::min(kMaxPiece, work.length - at) / kPage);
        pieces.spawn(piece(work, id, at, std::move(some), good));
    }
    co_await pieces.all();
    FinishBlock finish{kDisk, id, work.length, sum};
    const auto done = co_await ask(work, finish, Buffer());
    co_return good&& done;
}

Task<> readPiece(Work& work, BlockId id, u32 at, u32 n, bool& good) {
    ReadBlock r{kDisk, id, at, n, readKeyOf(kKeys.readKeyKey(), id.content)};
    const auto m = co_await ask(work, r, Buffer());
    ReadBlock::Reply reply;
    good = good && m && wire::decode(m->body, reply) && m->payload.size() == n &&
           firstBadPage(id, at / kPage, m->payload.data(), reply.sums) == n / kPage;
    co_return Ok{};
}

Task<bool> readOne(Work& work, BlockId id) {
    bool good = true;
    TaskGroup pieces;
    for (u32 at = 0; at < work.length; at += kMaxPiece)
        pieces.spawn(readPiece(work, id, at, std::min(kMaxPiece, work.length - at), good));
    co_await pieces.all();
    co_return good;
}

Task<> lane(Work& work, bool writing) {
    while (work.next < work.count) {
        const BlockId id = idOf(work.next++);
        bool good = false;
        if (writing) good = co_await writeOne(work, id);
        else good = co_await readOne(work, id);
        if (!good) work.failed++;
    }
    co_return Ok{};
}

Task<> lanes(Work& work, u32 depth, bool writing) {
    TaskGroup group;
    for (u32 i = 0; i < depth; i++) group.spawn(lane(work, writing));
    co_await group.all();
    co_return Ok{};
}

double cpu(int who) {
    rusage u{};
    getrusage(who, &u);
    return static_cast<double>(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           static_cast<double>(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

double pass(const char* what, const std::string& dir, u32 length, u32 depth, u32 count, bool writing, double raw) {
    Child child(dir);
    const double server_before = cpu(RUSAGE_CHILDREN), client_before = cpu(RUSAGE_SELF);
    auto ring = Ring::makeOrExit({.spin_ns = 30 * kMicrosecond});
    net::Pool pool(*ring, net::Credentials::client(kKeys, "measuring"), {.connections_per_address = 1});
    Work work{*ring, pool, child.at, length, count, 0, 0, Buffer::allocate(length), std::vector<u64>(length / kPage)};
    Random rng(1);
    for (u32 i = 0; i < length; i += 8) {
        const u64 word = rng.next();
        std::memcpy(work.data.data() + i, &word, 8);
    }
    for (u32 i = 0; i < work.plain.size(); i++) work.plain[i] = plainSum(work.data.data() + u64{i} * kPage, kPage);
    const u64 started = ring->now().value;
    runBlocking(*ring, lanes(work, depth, writing));
    const double seconds = static_cast<double>(ring->now().value - started) / 1e9;
    runBlocking(*ring, pool.stop());
    const double client = cpu(RUSAGE_SELF) - client_before;
    child.end();
    const double server = cpu(RUSAGE_CHILDREN) - server_before;
    const double bytes = static_cast<double>(length) * count, mb_s = bytes / 1e6 / seconds, gib = bytes / (1u << 30);
    std::printf("%-22s %8.0f MB/s  %7.0f blocks/s  ratio to raw %.2f  CPU s/GiB server %.2f client %.2f%s\n", what, mb_s,
                count / seconds, mb_s / raw, server / gib, client / gib, work.failed ? "  SOME FAILED" : "");
    return mb_s;
}

// In a process of its own: RocksDB's threads would be missing in children forked later.
void eraseAll(const std::string& dir, u32 count) {
    const pid_t pid = fork();
    if (pid != 0) {
        waitpid(pid, nullptr, 0);
        return;
    }
    auto ring = Ring::makeOrExit();
    Service service(*ring, kKeys);
    add(*ring, service, dir);
    std::vector<BlockId> ids;
    for (u32 n = 0; n < count; n++) ids.push_back(idOf(n));
    CHECK(runBlocking(*ring, service.disks()[0]->store->erase(ids)));
    runBlocking(*ring, service.stop());
    std::_Exit(0);
}

} // namespace

int main(int argc, char** argv) {
    if (argc < 2) return std::fprintf(stderr, "blocks_load DIR [BLOCK_KIB [DEPTH [BLOCKS]]]\n"), 2;
    const std::string dir = argv[1];
    const u32 length = (argc > 2 ? static_cast<u32>(std::atoi(argv[2])) : 4096) << 10,
              depth = argc > 3 ? static_cast<u32>(std::atoi(argv[3])) : 8,
              count = argc > 4 ? static_cast<u32>(std::atoi(argv[4])) : 256;
    DiskFigures raw;
    {
        auto ring = Ring::makeOrExit({.entries = 64});
        auto measured = measureDisk(*ring, dir, 1u << 30, kSecond / 2);
        CHECK(measured);
        raw = *measured;
    }
    std::printf("raw disk: write %.0f MB/s, read %.0f MB/s, %.0f durable 4 KiB writes/s\n", raw.write_mb_s, raw.read_mb_s,
                raw.syncs_per_s);
    const auto formatted = Disk::format(dir + "/disk", kKeys.cluster(), 16ull << 30);
    if (!formatted) return std::fprintf(stderr, "%s\n", formatted.error().message().c_str()), 1;
    pass("write, fresh space", dir + "/disk", length, depth, count, true, raw.write_mb_s);
    eraseAll(dir + "/disk", count);
    for (int i = 0; i < 3; i++) {
        pass("write, written slots", dir + "/disk", length, depth, count, true, raw.write_mb_s);
        pass("read, cold", dir + "/disk", length, depth, count, false, raw.read_mb_s);
        eraseAll(dir + "/disk", count);
    }
    return 0;
}
