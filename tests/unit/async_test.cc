#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <csignal>
#include <cstdlib>
#include <string>
#include <thread>
#include "core/async/buffer.h"
#include "core/async/offload.h"
#include "core/async/ring.h"
#include "core/async/signals.h"
#include "core/async/sync.h"

namespace skua {
namespace {

struct Pair {
    int fd[2];
    Pair() { EXPECT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd)); }
    ~Pair() {
        ::close(fd[0]);
        ::close(fd[1]);
    }
};

struct File {
    std::string path = "/tmp/skua_async_XXXXXX";
    int fd;
    File() : fd(mkstemp(path.data())) { ::unlink(path.c_str()); }
    ~File() { ::close(fd); }
};

Task<Result<int>> sendThenReceive(Ring& ring, Pair& pair, std::string& into) {
    CO_TRY(int sent, co_await ring.send(pair.fd[0], "hello", 5));
    CO_TRY(int got, co_await ring.recv(pair.fd[1], into.data(), into.size()));
    co_return sent == got ? got : -1;
}

TEST(Ring, MovesBytes) {
    auto ring = Ring::makeOrExit();
    Pair pair;
    std::string into(16, '\0');
    const auto n = runBlocking(*ring, sendThenReceive(*ring, pair, into));
    ASSERT_TRUE(n);
    EXPECT_EQ(5, *n);
    EXPECT_EQ("hello", into.substr(0, 5));
}

Task<Result<int>> receiveFor(Ring& ring, int fd, u64 limit_ns) {
    char c;
    CO_TRY(int n, co_await ring.recv(fd, &c, 1, 0, limit_ns));
    co_return n;
}

TEST(Ring, GivesUpWhenTheLimitHasPassed) {
    auto ring = Ring::makeOrExit();
    Pair pair;
    const u64 began = ring->now().value;
    const auto n = runBlocking(*ring, receiveFor(*ring, pair.fd[0], 5 * kMillisecond));
    EXPECT_EQ(Code::Unavailable, n.code());
    EXPECT_GE(ring->now().value - began, 5 * kMillisecond);
}

Task<Result<int>> receiveAll(Ring& ring, int fd, std::string& into) {
    CO_TRY(int n, co_await ring.recv(fd, into.data(), into.size(), MSG_WAITALL));
    co_return n;
}
Task<> sendInPieces(Ring& ring, int fd, const std::string& all) {
    for (const char& c : all) {
        Operation op = ring.send(fd, &c, 1);
        (void)co_await op;
        co_await sleepFor(ring, 100 * kMicrosecond);
    }
    co_return Ok{};
}

TEST(Ring, WaitsForAllWhenAsked) {
    auto ring = Ring::makeOrExit();
    Pair pair;
    const std::string text = "in pieces";
    std::string into(text.size(), '\0');
    ring->spawn(sendInPieces(*ring, pair.fd[0], text));
    const auto n = runBlocking(*ring, receiveAll(*ring, pair.fd[1], into));
    ASSERT_TRUE(n);
    EXPECT_EQ(text, into);
    ring->run();
}

Task<int> receiveRaw(Ring& ring, int fd) {
    char c;
    Operation op = ring.recv(fd, &c, 1);
    (void)co_await op;
    co_return op.result();
}
Task<> cancelSoon(Ring& ring, int fd) {
    co_await sleepFor(ring, kMillisecond);
    (void)co_await ring.cancel(fd);
    co_return Ok{};
}

TEST(Ring, CancelsWhatIsUnderWayOnAnFd) {
    auto ring = Ring::makeOrExit();
    Pair pair;
    ring->spawn(cancelSoon(*ring, pair.fd[0]));
    EXPECT_EQ(-ECANCELED, runBlocking(*ring, receiveRaw(*ring, pair.fd[0])));
    ring->run();
}

Task<Result<int>> fileStory(Ring& ring, int fd) {
    char page[4096];
    std::memset(page, 7, sizeof page);
    CO_TRY(int wrote, co_await ring.writeAndSync(fd, page, sizeof page, 4096));
    char head[] = "ab", tail[] = "cd";
    const iovec parts[] = {{head, 2}, {tail, 2}};
    CO_TRY(int vector, co_await ring.writev(fd, parts, 0));
    CO_TRY_OK(co_await ring.sync(fd));
    char back[4096];
    CO_TRY(int read, co_await ring.read(fd, back, sizeof back, 4096));
    if (std::memcmp(page, back, sizeof page) != 0) co_return -1;
    CO_TRY(int start, co_await ring.read(fd, back, 4, 0));
    if (std::string(back, 4) != "abcd") co_return -2;
    CO_TRY(int past, co_await ring.read(fd, back, 1, 1u << 20));
    co_return wrote + vector + read + start + past;
}

TEST(Ring, WritesAndReadsFiles) {
    auto ring = Ring::makeOrExit();
    File file;
    const auto sum = runBlocking(*ring, fileStory(*ring, file.fd));
    ASSERT_TRUE(sum) << sum.error().message();
    EXPECT_EQ(4096 + 4 + 4096 + 4, *sum);
}

Task<Result<int>> writeTo(Ring& ring, int fd) {
    CO_TRY(int n, co_await ring.writeAndSync(fd, "x", 1, 0));
    co_return n;
}

TEST(Ring, TellsWhatTheKernelSaid) {
    auto ring = Ring::makeOrExit();
    const auto bad = runBlocking(*ring, writeTo(*ring, 1 << 20));
    ASSERT_EQ(Code::Io, bad.code());
    EXPECT_NE(std::string::npos, bad.error().detail.find("Bad file descriptor"));
    const int full = ::open("/dev/full", O_WRONLY);
    EXPECT_EQ(Code::NoSpace, runBlocking(*ring, writeTo(*ring, full)).code());
    ::close(full);
}

Task<> noteAfter(Clock& clock, u64 ns, std::string& order, char what) {
    co_await sleepFor(clock, ns);
    order += what;
    co_return Ok{};
}

TEST(Ring, FiresTimersInTheirOrder) {
    auto ring = Ring::makeOrExit();
    std::string order;
    ring->spawn(noteAfter(*ring, 9 * kMillisecond, order, 'c'));
    ring->spawn(noteAfter(*ring, 1 * kMillisecond, order, 'a'));
    ring->spawn(noteAfter(*ring, 5 * kMillisecond, order, 'b'));
    ring->run();
    EXPECT_EQ("abc", order);
    EXPECT_EQ(0u, ring->roots());
}

Task<> waitFor(Event& event) {
    Event::Waiter set = event.wait();
    (void)co_await set;
    co_return Ok{};
}

TEST(Ring, RunsWhatOtherThreadsPost) {
    auto ring = Ring::makeOrExit({.spin_ns = 20 * kMicrosecond});
    Event done;
    int sum = 0;
    std::thread other([&] {
        for (int i = 1; i <= 100; i++)
            ring->post([&, i] {
                sum += i;
                if (i == 100) done.set();
            });
    });
    ring->spawn(waitFor(done));
    ring->run();
    other.join();
    EXPECT_EQ(5050, sum);
}

TEST(Ring, StopsAndGoesOn) {
    auto ring = Ring::makeOrExit();
    std::string order;
    ring->spawn(noteAfter(*ring, kMillisecond, order, 'a'));
    ring->stop();
    ring->run();
    EXPECT_EQ("", order);
    ring->run();
    EXPECT_EQ("a", order);
}

Task<int> manyAtOnce(Ring& ring, int fd, int n) {
    struct One {
        static Task<> poll(Ring& ring, int fd, int& ready) {
            Operation op = ring.poll(fd, POLLOUT);
            (void)co_await op;
            ready += op.result() > 0;
            co_return Ok{};
        }
    };
    TaskGroup group;
    int ready = 0;
    for (int i = 0; i < n; i++) group.spawn(One::poll(ring, fd, ready));
    co_await group.all();
    co_return ready;
}

TEST(Ring, TakesMoreOperationsThanItHasEntries) {
    auto ring = Ring::makeOrExit({.entries = 8});
    Pair pair;
    EXPECT_EQ(1000, runBlocking(*ring, manyAtOnce(*ring, pair.fd[0], 1000)));
}

struct Note final : Guest, Completion {
    explicit Note(Ring& r) : ring(r) {}
    void prepare() override {
        prepared++;
        if (asked) return;
        asked = true;
        io_uring_sqe* e = ring.entry();
        io_uring_prep_nop(e);
        io_uring_sqe_set_data(e, static_cast<Completion*>(this));
    }
    void complete(int result) override { completed = result == 0; }
    Ring& ring;
    int prepared = 0;
    bool asked = false, completed = false;
};

TEST(Ring, HasGuests) {
    auto ring = Ring::makeOrExit({.sqe128 = true});
    Note note(*ring);
    ring->addGuest(note);
    std::string order;
    ring->spawn(noteAfter(*ring, kMillisecond, order, 'a'));
    ring->run();
    ring->removeGuest(note);
    EXPECT_TRUE(note.completed);
    EXPECT_GE(note.prepared, 1);
}

TEST(Ring, MayDieWithOperationsUnderWay) {
    Pair pair;
    auto ring = Ring::makeOrExit();
    // Never freed: its frame is what the kernel was told to write into.
    static auto* abandoned = new Task<int>(receiveRaw(*ring, pair.fd[0]));
    abandoned->start();
    std::string order;
    ring->spawn(noteAfter(*ring, kMillisecond, order, 'a'));
    ring->run();
    ring.reset();
    EXPECT_EQ(1, ::write(pair.fd[1], "x", 1));
    EXPECT_FALSE(abandoned->done());
}

// --- offload ----------------------------------------------------------------------------------------

Task<u64> addInThreads(Ring& ring, Offload& offload, u64 n) {
    struct One {
        static Task<> add(Offload& offload, u64 i, std::vector<u64>& to) {
            Offload::Job job = offload.run([&] { to[i] = i * i; });
            co_await job;
            co_return Ok{};
        }
    };
    TaskGroup group;
    std::vector<u64> squares(n);
    for (u64 i = 0; i < n; i++) group.spawn(One::add(offload, i, squares));
    co_await group.all();
    (void)ring;
    u64 sum = 0;
    for (u64 s : squares) sum += s;
    co_return sum;
}

TEST(Offload, RunsElsewhereAndResumesHere) {
    auto ring = Ring::makeOrExit();
    Offload offload(*ring, 3);
    EXPECT_EQ(332'833'500u, runBlocking(*ring, addInThreads(*ring, offload, 1000)));
}

Task<bool> otherThread(Offload& offload) {
    const auto here = std::this_thread::get_id();
    std::thread::id there;
    Offload::Job job = offload.run([&] { there = std::this_thread::get_id(); });
    co_await job;
    co_return here != there&& here == std::this_thread::get_id();
}

TEST(Offload, IsAnotherThread) {
    auto ring = Ring::makeOrExit();
    Offload offload(*ring, 1);
    EXPECT_TRUE(runBlocking(*ring, otherThread(offload)));
}

// --- signals ----------------------------------------------------------------------------------------

TEST(Signals, TellOfTheFirstOne) {
    auto ring = Ring::makeOrExit();
    Signals signals(*ring);
    ::kill(::getpid(), SIGTERM);
    EXPECT_EQ(SIGTERM, runBlocking(*ring, signals.wait()));
}

Task<> dismissSoon(Ring& ring, Signals& signals) {
    co_await sleepFor(ring, kMillisecond);
    signals.dismiss();
    co_return Ok{};
}

TEST(Signals, CanBeDismissed) {
    auto ring = Ring::makeOrExit();
    Signals signals(*ring);
    ring->spawn(dismissSoon(*ring, signals));
    EXPECT_EQ(-1, runBlocking(*ring, signals.wait()));
    ring->run();
}

TEST(SignalsDeathTest, TheSecondOneEndsTheProcessAtOnce) {
    testing::FLAGS_gtest_death_test_style = "threadsafe";
    EXPECT_EXIT(
        {
            auto ring = Ring::makeOrExit();
            Signals signals(*ring);
            ::kill(::getpid(), SIGINT);
            if (runBlocking(*ring, signals.wait()) != SIGINT) std::_Exit(1);
            ::kill(::getpid(), SIGINT);
            std::_Exit(2);
        },
        testing::KilledBySignal(SIGINT), "");
}

// --- buffers ----------------------------------------------------------------------------------------

TEST(BufferPool, GivesTheSameBytesAgain) {
    BufferPool pool(100'000, 4);
    const u8* first;
    {
        Buffer b = pool.take();
        first = b.data();
        EXPECT_EQ(100'000u, b.size());
        EXPECT_EQ(0u, reinterpret_cast<std::uintptr_t>(first) % 4096);
    }
    EXPECT_EQ(first, pool.take().data());
}

TEST(BufferPool, GivesMoreThanItKeeps) {
    BufferPool pool(4096, 2);
    std::vector<Buffer> all;
    for (int i = 0; i < 10; i++) {
        all.push_back(pool.take());
        std::memset(all.back().data(), i, 4096);
    }
    for (int i = 0; i < 10; i++) EXPECT_EQ(i, all[static_cast<std::size_t>(i)].data()[4095]);
}

TEST(BufferPool, MayDieBeforeItsBuffers) {
    Buffer kept;
    {
        BufferPool pool(4u << 20, 2);
        kept = pool.take();
    }
    std::memset(kept.data(), 1, kept.size());
}

TEST(Buffer, SlicesShareItsBytes) {
    Buffer whole = Buffer::copyOf("hello world");
    const Buffer slice = whole.slice(6, 5);
    whole = Buffer();
    EXPECT_EQ("world", slice.view());
}

} // namespace
} // namespace skua
