// Measures the transport alone, two processes over loopback: calls a second with 1 and 64 in flight, and
// payloads of 1 MiB each way. Beside it what limits.md says this kind of machine can do.
//
//   net_measure [SECONDS [SPIN_US]]
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include "core/async/sync.h"
#include "core/net/pool.h"
#include "core/net/server.h"

using namespace skua;
using namespace skua::net;

namespace {

const Keys kKeys(ClusterId{1}, MacKey{1, 2, 3});

struct Answer final : Handler {
    void request(const Peer&, Reply reply, Message&& m) override {
        Message r{m.kind, std::string(100, 'r'), {}};
        if (m.body.starts_with("get")) r.payload = big;
        reply.send(std::move(r));
    }
    Buffer big = Buffer::allocate(1u << 20);
};

[[noreturn]] void serve(int tell, u64 spin_ns) {
    auto ring = Ring::makeOrExit({.spin_ns = spin_ns});
    Answer answer;
    std::memset(answer.big.data(), 1, answer.big.size());
    Server server(*ring, Credentials::server(kKeys, "measured"), answer);
    if (!server.listen({"127.0.0.1:0"})) std::_Exit(1);
    const std::string at = server.address().text;
    if (::write(tell, at.data(), at.size()) < 0) std::_Exit(1);
    ::close(tell);
    bool never = false;
    ring->runUntil(never);
    std::_Exit(0);
}

struct Work {
    Pool& pool;
    Clock& clock;
    Address to;
    std::string body;
    Buffer payload;
    Monotonic until;
    u64 calls = 0, errors = 0;
};

Task<> repeat(Work& work) {
    while (work.clock.now() < work.until) {
        Message m{Kind::kBlocks, work.body, work.payload};
        const auto reply = co_await work.pool.call(work.to, std::move(m), 10 * kSecond);
        if (reply) work.calls++;
        else work.errors++;
    }
    co_return Ok{};
}

Task<> inFlight(Work& work, unsigned n) {
    TaskGroup group;
    for (unsigned i = 0; i < n; i++) group.spawn(repeat(work));
    co_await group.all();
    co_return Ok{};
}

double processor() {
    rusage u{};
    getrusage(RUSAGE_SELF, &u);
    auto s = [](timeval t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; };
    return s(u.ru_utime) + s(u.ru_stime);
}

void measure(Ring& ring, Pool& pool, const Address& to, double seconds, const char* what, const char* bound, std::string body,
             Buffer payload, unsigned n, bool bytes) {
    Work work{pool, ring, to, std::move(body), std::move(payload), {}, 0, 0};
    const u64 began = ring.now().value;
    const double cpu = processor();
    work.until = Monotonic{began + static_cast<u64>(seconds * 1e9)};
    runBlocking(ring, inFlight(work, n));
    const double took = static_cast<double>(ring.now().value - began) / 1e9, rate = static_cast<double>(work.calls) / took;
    if (bytes)
        std::printf("%-34s %9.0f MiB/s   client %.2f cpu-s/GiB   (%s)%s\n", what, rate,
                    (processor() - cpu) / (rate * took / 1024), bound, work.errors ? " ERRORS" : "");
    else
        std::printf("%-34s %9.0f calls/s  client %.2f us cpu/call   (%s)%s\n", what, rate,
                    (processor() - cpu) / static_cast<double>(work.calls) * 1e6, bound, work.errors ? " ERRORS" : "");
}

} // namespace

int main(int argc, char** argv) {
    const double seconds = argc > 1 ? std::atof(argv[1]) : 2;
    const u64 spin = (argc > 2 ? static_cast<u64>(std::atoi(argv[2])) : 30) * kMicrosecond;
    int tell[2];
    if (::pipe(tell) != 0) return 1;
    const pid_t child = ::fork();
    if (child == 0) {
        ::close(tell[0]);
        serve(tell[1], spin);
    }
    ::close(tell[1]);
    char at[64] = "";
    if (::read(tell[0], at, sizeof at - 1) <= 0) return 1;
    auto ring = Ring::makeOrExit({.spin_ns = spin});
    {
        Pool pool(*ring, Credentials::client(kKeys, "measure"));
        const Address to{at};
        Buffer big = Buffer::allocate(1u << 20);
        std::memset(big.data(), 2, big.size());
        const std::string small(200, 's');
        measure(*ring, pool, to, seconds, "200 B calls, 1 in flight", "60,000 to 75,000 spinning, 8,000 asleep", small, {}, 1,
                false);
        measure(*ring, pool, to, seconds, "200 B calls, 64 in flight", "670,000 bare TCP", small, {}, 64, false);
        measure(*ring, pool, to, seconds, "200 B calls, 1000 in flight", "", small, {}, 1000, false);
        measure(*ring, pool, to, seconds, "1 MiB put, 4 in flight", "5,000", small, big, 4, true);
        measure(*ring, pool, to, seconds, "1 MiB get, 4 in flight", "2,500 to 6,000", "get", {}, 4, true);
        measure(*ring, pool, to, seconds, "1 MiB get, 1 in flight", "", "get", {}, 1, true);
        runBlocking(*ring, pool.stop());
    }
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    return 0;
}
