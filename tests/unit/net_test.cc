// Connections over real sockets, in one process on one ring: what is promised to callers, and what the
// network may do to us.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cstdlib>
#include <filesystem>
#include "core/async/sync.h"
#include "core/base/random.h"
#include "core/base/version.h"
#include "core/net/address.h"
#include "core/net/group_caller.h"
#include "core/net/pool.h"
#include "core/net/server.h"
#include "core/wire/codec.h"

namespace skua::net {
namespace {

constexpr ClusterId kCluster{0x1122334455667788};

MacKey keyOf(u8 seed) {
    MacKey k;
    k.fill(seed);
    return k;
}

// Answers with what it was sent; bodies that begin with one of these words are treated specially.
struct Echo final : Handler {
    void request(const Peer& peer, Reply reply, Message&& m) override {
        requests++;
        last = peer;
        if (m.body == "keep") kept.push_back(std::move(reply));
        else if (m.body == "fail") reply.fail(Error::exists(InodeId{77}));
        else if (m.body == "drop") (void)0;
        else if (m.body == "large") {
            m.body.assign(kMaxBody + 1, 'x');
            reply.send(std::move(m));
        } else if (m.body == "nonsense") {
            m.kind = Kind::kError;
            m.body = "\x01";
            reply.send(std::move(m));
        } else reply.send(std::move(m));
    }
    void closed(const Peer&) override { closings++; }
    u64 requests = 0, closings = 0;
    Peer last;
    std::vector<Reply> kept;
};

class Net : public testing::Test {
protected:
    Net() { EXPECT_TRUE(server.listen({"127.0.0.1:0"})); }
    ~Net() override {
        echo.kept.clear();
        runBlocking(*ring, pool.stop());
        runBlocking(*ring, server.stop());
    }
    Result<Message> call(std::string body, Buffer payload = {}, u64 limit_ns = 10 * kSecond) {
        Message m{Kind::kBlocks, std::move(body), std::move(payload)};
        return runBlocking(*ring, pool.call(server.address(), std::move(m), limit_ns));
    }
    static ServerOptions options(Net* net) {
        return {.admit = [net](std::string_view name, u32 version) {
            return net->revoked != std::string(name) + "/" + std::to_string(version);
        }};
    }
    // Until `condition`, at most 5 s.
    template <class C>
    bool until(C condition) {
        const u64 end = ring->now().value + 5 * kSecond;
        while (!condition()) {
            if (ring->now().value > end) return false;
            runBlocking(*ring, sleepFor(*ring, kMillisecond));
        }
        return true;
    }

    std::unique_ptr<Ring> ring = Ring::makeOrExit();
    const Keys keys{kCluster, keyOf(1)};
    std::string revoked;
    Echo echo;
    Server server{*ring, Credentials::server(keys, "blocks-0"), echo, options(this)};
    Pool pool{*ring, Credentials::client(keys, "local")};
};

TEST_F(Net, AnswersCalls) {
    const auto reply = call("hello");
    ASSERT_TRUE(reply) << reply.error().message();
    EXPECT_EQ("hello", reply->body);
    EXPECT_EQ(Kind::kBlocks, reply->kind);
    EXPECT_TRUE(reply->payload.empty());
    EXPECT_EQ("local", echo.last.name);
    EXPECT_EQ(Role::kClient, echo.last.role);
    EXPECT_EQ(1u, echo.last.key_version);
    EXPECT_EQ(1u, server.connections());
}

TEST_F(Net, KeepsOneConnectionForAllCalls) {
    for (int i = 0; i < 10; i++) ASSERT_TRUE(call("x"));
    EXPECT_EQ(1u, pool.stats().connects);
}

Buffer pattern(std::size_t size, u64 seed) {
    Buffer b = Buffer::allocate(size);
    Random random(seed);
    for (std::size_t i = 0; i < size; i++) b.data()[i] = static_cast<u8>(random.next());
    return b;
}

TEST_F(Net, CarriesPayloadsBothWaysIntoAlignedBuffers) {
    for (const std::size_t size : {1ul, 63ul, 64ul, 65ul, 4096ul, 100'001ul, 1ul << 20, (1ul << 20) + 4096, kMaxPayload}) {
        const Buffer sent = pattern(size, size);
        const auto reply = call("with payload", sent);
        ASSERT_TRUE(reply) << reply.error().message();
        EXPECT_EQ("with payload", reply->body);
        ASSERT_EQ(sent.view(), reply->payload.view()) << size;
        EXPECT_EQ(0u, reinterpret_cast<std::uintptr_t>(reply->payload.data()) % 64);
    }
}

TEST_F(Net, CarriesBodiesUpToTheLimit) {
    for (const std::size_t size : {0ul, 1ul, 64ul, 4096ul, 4097ul, 128ul << 10, 200'000ul, kMaxBody}) {
        std::string body(size, 'b');
        if (size) body.back() = 'e';
        const auto reply = call(body, pattern(100, 3));
        ASSERT_TRUE(reply) << size << ": " << reply.error().message();
        EXPECT_TRUE(body == reply->body);
        EXPECT_EQ(100u, reply->payload.size());
    }
}

TEST_F(Net, RefusesWhatIsTooLargeToSend) {
    EXPECT_EQ(Code::TooLarge, call(std::string(kMaxBody + 1, 'x')).code());
    EXPECT_EQ(Code::TooLarge, call("large").code()); // the reply would be
    EXPECT_TRUE(call("still fine"));
}

TEST_F(Net, HandsErrorsThrough) {
    const auto reply = call("fail");
    ASSERT_EQ(Code::Exists, reply.code());
    EXPECT_EQ(77u, reply.error().inode.value);
    EXPECT_EQ(Code::Corrupt, call("nonsense").code());
    EXPECT_EQ(Code::OutcomeUnknown, call("drop").code());
}

Task<> callInto(Pool& pool, Address to, std::string body, u64 limit_ns, std::vector<Result<Message>>& to_results) {
    Message m{Kind::kGroup, std::move(body), {}};
    auto reply = co_await pool.call(to, std::move(m), limit_ns);
    to_results.push_back(std::move(reply));
    co_return Ok{};
}

Task<> callWithPayload(Pool& pool, Address to, Buffer payload, std::vector<Result<Message>>& to_results) {
    Message m{Kind::kBlocks, "keep", std::move(payload)};
    auto reply = co_await pool.call(to, std::move(m), 0);
    to_results.push_back(std::move(reply));
    co_return Ok{};
}

TEST_F(Net, HasAThousandCallsInFlight) {
    std::vector<Result<Message>> results;
    for (int i = 0; i < 1000; i++) ring->spawn(callInto(pool, server.address(), std::to_string(i), 0, results));
    ring->run();
    ASSERT_EQ(1000u, results.size());
    std::set<std::string> bodies;
    for (const auto& r : results) {
        ASSERT_TRUE(r);
        bodies.insert(r->body);
    }
    EXPECT_EQ(1000u, bodies.size());
    EXPECT_EQ(1u, pool.stats().connects);
}

TEST_F(Net, AnswersInAnyOrder) {
    std::vector<Result<Message>> results;
    ring->spawn(callInto(pool, server.address(), "keep", 0, results));
    ASSERT_TRUE(until([&] { return echo.kept.size() == 1; }));
    ASSERT_TRUE(call("later"));
    EXPECT_TRUE(results.empty());
    echo.kept[0].send({Kind::kGroup, "at last", {}});
    ring->run();
    ASSERT_EQ(1u, results.size());
    EXPECT_EQ("at last", results[0]->body);
}

TEST_F(Net, SaysBusyBeyondAThousandAndTwentyFourCalls) {
    std::vector<Result<Message>> results;
    ASSERT_TRUE(call("connect first"));
    for (std::size_t i = 0; i < kMaxOutstanding; i++) ring->spawn(callInto(pool, server.address(), "keep", 0, results));
    ASSERT_TRUE(until([&] { return echo.kept.size() == kMaxOutstanding; }));
    EXPECT_EQ(Code::Busy, call("one more").code());
    echo.kept.clear();
    ring->run();
    EXPECT_EQ(kMaxOutstanding, results.size());
    EXPECT_TRUE(call("room again"));
}

TEST_F(Net, DoesNotReadMoreThanItHasPromisedToAnswer) {
    // Calls that timed out free their place here, not there.
    std::vector<Result<Message>> results;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 1000; i++) ring->spawn(callInto(pool, server.address(), "keep", 20 * kMillisecond, results));
        ring->run();
    }
    EXPECT_EQ(2000u, results.size());
    EXPECT_EQ(kMaxOutstanding, echo.kept.size());
    echo.kept.clear();
    ASSERT_TRUE(until([&] { return echo.requests == 2000; }));
    echo.kept.clear();
    EXPECT_TRUE(call("fine"));
}

TEST_F(Net, DoesNotHoldMoreThanItHasPromisedBytes) {
    std::vector<Result<Message>> results;
    const Buffer payload = pattern(kMaxPayload, 1);
    ASSERT_TRUE(call("x"));
    for (int i = 0; i < 15; i++) ring->spawn(callWithPayload(pool, server.address(), payload, results));
    ASSERT_TRUE(until([&] { return echo.kept.size() == 15; }));
    for (int i = 0; i < 5; i++) ring->spawn(callWithPayload(pool, server.address(), payload, results));
    ASSERT_TRUE(until([&] { return echo.kept.size() == 16; }));
    for (int i = 0; i < 5; i++) runBlocking(*ring, sleepFor(*ring, kMillisecond));
    EXPECT_EQ(16u, echo.kept.size());
    echo.kept.clear();
    ASSERT_TRUE(until([&] { return echo.requests == 21; }));
    echo.kept.clear();
    ring->run();
    EXPECT_EQ(20u, results.size());
}

TEST_F(Net, TellsThatItDoesNotKnowWhenTimeRanOut) {
    const auto reply = call("keep", {}, 20 * kMillisecond);
    ASSERT_EQ(Code::OutcomeUnknown, reply.code());
    EXPECT_NE(std::string::npos, reply.error().detail.find(server.address().text));
    echo.kept[0].send({Kind::kBlocks, "too late", {}});
    ASSERT_TRUE(until([&] { return pool.stats().late == 1; }));
    EXPECT_EQ("next", call("next")->body);
}

TEST_F(Net, FailsQuicklyWhereNobodyListens) {
    const u64 began = ring->now().value;
    const auto reply = runBlocking(*ring, pool.call(Address{"127.0.0.1:1"}, {}, 10 * kSecond));
    EXPECT_EQ(Code::Unavailable, reply.code());
    EXPECT_NE(std::string::npos, reply.error().detail.find("127.0.0.1:1"));
    EXPECT_LT(ring->now().value - began, kSecond);
    EXPECT_EQ(Code::Unavailable, runBlocking(*ring, pool.call(Address{"nonsense"}, {}, kSecond)).code());
    EXPECT_EQ(Code::Unavailable, runBlocking(*ring, pool.call(Address{""}, {}, kSecond)).code());
}

TEST_F(Net, ResolvesNames) {
    const auto port = server.address().text.substr(server.address().text.rfind(':'));
    const auto reply = runBlocking(*ring, pool.call(Address{"localhost" + port}, {Kind::kBlocks, "x", {}}, 10 * kSecond));
    EXPECT_TRUE(reply) << reply.error().message();
}

TEST_F(Net, ComesBackAfterTheServerWasAway) {
    ASSERT_TRUE(call("x"));
    const Address at = server.address();
    std::vector<Result<Message>> results;
    ring->spawn(callInto(pool, at, "keep", 0, results));
    ASSERT_TRUE(until([&] { return echo.kept.size() == 1; }));
    runBlocking(*ring, server.stop());
    ring->run();
    ASSERT_EQ(1u, results.size());
    EXPECT_EQ(Code::OutcomeUnknown, results[0].code());
    EXPECT_EQ(Code::Unavailable, call("nobody").code());
    echo.kept[0].send({Kind::kGroup, "to a dead connection", {}});

    Server again(*ring, Credentials::server(keys, "blocks-0"), echo);
    ASSERT_TRUE(again.listen({at.text}));
    Result<Message> reply = Code::Unavailable;
    EXPECT_TRUE(until([&] { return (reply = call("back")).has_value(); }));
    runBlocking(*ring, again.stop());
}

TEST_F(Net, TellsTheHandlerThatAConnectionHasEnded) {
    ASSERT_TRUE(call("x"));
    runBlocking(*ring, pool.stop());
    EXPECT_TRUE(until([&] { return echo.closings == 1; }));
}

TEST_F(Net, RefusesAnAddressThatIsTaken) {
    Server second(*ring, Credentials::server(keys, "second"), echo);
    const auto r = second.listen({server.address().text});
    ASSERT_EQ(Code::Exists, r.code());
    EXPECT_NE(std::string::npos, r.error().detail.find(server.address().text));
}

TEST_F(Net, MayHaveSeveralConnectionsToOneAddress) {
    Pool wide(*ring, Credentials::server(keys, "registry-0"), {.connections_per_address = 3});
    for (int i = 0; i < 9; i++) ASSERT_TRUE(runBlocking(*ring, wide.call(server.address(), {Kind::kBlocks, "x", {}}, kSecond)));
    EXPECT_EQ(3u, server.connections());
    EXPECT_EQ(Role::kServer, echo.last.role);
    runBlocking(*ring, wide.stop());
}

TEST_F(Net, ClosesWhatIsIdle) {
    Pool brief(*ring, Credentials::client(keys, "brief"), {.idle_ns = 10 * kMillisecond});
    ASSERT_TRUE(runBlocking(*ring, brief.call(server.address(), {Kind::kBlocks, "x", {}}, kSecond)));
    EXPECT_TRUE(until([&] { return server.connections() == 0; }));
    EXPECT_TRUE(runBlocking(*ring, brief.call(server.address(), {Kind::kBlocks, "x", {}}, kSecond)));
    runBlocking(*ring, brief.stop());
}

// --- who may come in ----------------------------------------------------------------------------------

TEST_F(Net, RefusesAWrongKey) {
    Credentials wrong = Credentials::client(Keys(kCluster, keyOf(2)), "local");
    Pool stranger(*ring, wrong);
    const auto reply = runBlocking(*ring, stranger.call(server.address(), {}, kSecond));
    EXPECT_EQ(Code::Denied, reply.code());
    EXPECT_NE(std::string::npos, reply.error().detail.find("key refused"));
    EXPECT_EQ(0u, echo.requests);
    EXPECT_EQ(0u, server.connections());
    runBlocking(*ring, stranger.stop());
}

TEST_F(Net, RefusesAKeyUnderAnotherName) {
    Credentials other = Credentials::client(keys, "local");
    other.name = "admin";
    Pool stranger(*ring, other);
    EXPECT_EQ(Code::Denied, runBlocking(*ring, stranger.call(server.address(), {}, kSecond)).code());
    Credentials upstart = Credentials::client(keys, "local");
    upstart.role = Role::kServer;
    Pool second(*ring, upstart);
    EXPECT_EQ(Code::Denied, runBlocking(*ring, second.call(server.address(), {}, kSecond)).code());
    runBlocking(*ring, stranger.stop());
    runBlocking(*ring, second.stop());
}

TEST_F(Net, RefusesARevokedKeyAndEndsItsConnections) {
    ASSERT_TRUE(call("x"));
    revoked = "local/1";
    server.recheckClients();
    ASSERT_TRUE(until([&] { return server.connections() == 0; }));
    const auto reply = call("x");
    EXPECT_EQ(Code::Denied, reply.code());
    EXPECT_NE(std::string::npos, reply.error().detail.find("'local' version 1"));
    Pool renewed(*ring, Credentials::client(keys, "local", 2));
    const auto again = runBlocking(*ring, renewed.call(server.address(), {Kind::kBlocks, "x", {}}, kSecond));
    EXPECT_TRUE(again) << again.error().message();
    runBlocking(*ring, renewed.stop());
}

TEST_F(Net, RefusesAnotherCluster) {
    Pool stranger(*ring, Credentials::client(Keys(ClusterId{5}, keyOf(1)), "local"));
    const auto reply = runBlocking(*ring, stranger.call(server.address(), {}, kSecond));
    EXPECT_EQ(Code::Unavailable, reply.code());
    EXPECT_NE(std::string::npos, reply.error().detail.find("another cluster"));
    runBlocking(*ring, stranger.stop());
}

TEST_F(Net, RefusesAnotherProtocolByNumber) {
    Pool newer(*ring, Credentials::client(keys, "local"), {.protocol = 12});
    const auto reply = runBlocking(*ring, newer.call(server.address(), {}, kSecond));
    EXPECT_EQ(Code::NotSupported, reply.code());
    EXPECT_NE(std::string::npos, reply.error().detail.find("protocol 1, this program speaks 12")) << reply.error().detail;
    runBlocking(*ring, newer.stop());
}

// --- hostile bytes ------------------------------------------------------------------------------------

int dial(const Address& to) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const auto at = parseAddress(to);
    (void)::connect(fd, at->get(), at->size);
    return fd;
}

TEST_F(Net, SurvivesRandomBytesBeforeTheHandshake) {
    Random random(7);
    for (int i = 0; i < 50; i++) {
        const int fd = dial(server.address());
        std::string bytes(random.below(600), '\0');
        for (char& c : bytes) c = static_cast<char>(random.next());
        if (i % 2 && bytes.size() >= 8) {
            const u32 hello[2] = {0x41554B53, random.oneIn(2) ? kProtocol : 99u};
            std::memcpy(bytes.data(), hello, 8);
        }
        until([&] { return ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) >= 0 || errno != EAGAIN; });
        ::close(fd);
    }
    EXPECT_TRUE(until([&] { return server.unproven() == 0; }));
    EXPECT_EQ(0u, server.connections());
    EXPECT_TRUE(call("still here"));
}

TEST_F(Net, EndsAHandshakeThatTakesTooLong) {
    Server brief(*ring, Credentials::server(keys, "brief"), echo, {.handshake_ns = 10 * kMillisecond});
    ASSERT_TRUE(brief.listen({"127.0.0.1:0"}));
    const int fd = dial(brief.address());
    EXPECT_TRUE(until([&] { return brief.unproven() == 1; }));
    EXPECT_TRUE(until([&] { return brief.unproven() == 0; }));
    char c;
    EXPECT_EQ(0, ::recv(fd, &c, 1, 0));
    ::close(fd);
    runBlocking(*ring, brief.stop());
}

TEST_F(Net, LimitsUnprovenConnections) {
    std::vector<int> fds;
    for (std::size_t i = 0; i < kMaxUnproven + 20; i++) fds.push_back(dial(server.address()));
    ASSERT_TRUE(until([&] { return server.unproven() == kMaxUnproven; }));
    until([&] {
        char c;
        return ::recv(fds.back(), &c, 1, 0) == 0;
    });
    char c;
    EXPECT_EQ(0, ::recv(fds.back(), &c, 1, 0));
    for (const int fd : fds) ::close(fd);
    ASSERT_TRUE(until([&] { return server.unproven() == 0; }));
    EXPECT_TRUE(call("room again"));
}

TEST_F(Net, IgnoresAServerThatIsNone) {
    // Somebody else's port: says something, then nothing.
    const int listening = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    SocketAddress at = *parseAddress(Address{"127.0.0.1:0"});
    ASSERT_EQ(0, ::bind(listening, at.get(), at.size));
    ASSERT_EQ(0, ::listen(listening, 5));
    at.size = sizeof at.storage;
    ::getsockname(listening, at.get(), &at.size);
    std::vector<Result<Message>> results;
    ring->spawn(callInto(pool, at.text(), "x", 10 * kSecond, results));
    int fd = -1;
    ASSERT_TRUE(until([&] { return (fd = ::accept(listening, nullptr, nullptr)) >= 0; }));
    const std::string banner(200, 'S');
    EXPECT_EQ(200, ::send(fd, banner.data(), banner.size(), 0));
    ring->run();
    ASSERT_EQ(1u, results.size());
    EXPECT_EQ(Code::Unavailable, results[0].code());
    EXPECT_NE(std::string::npos, results[0].error().detail.find("not a SkuaFS server"));
    ::close(fd);
    ::close(listening);
}

// Proves itself, then sends `bytes`; how the server's side of it ended.
Task<Result<>> misbehave(Ring& ring, Credentials mine, Address to, std::string bytes, bool& ended) {
    const int fd = dial(to);
    ::fcntl(fd, F_SETFL, 0);
    auto peer = co_await openHandshake(ring, fd, mine, to, kProtocol);
    if (!peer) {
        ::close(fd);
        co_return peer.error();
    }
    Operation send = ring.send(fd, bytes.data(), bytes.size(), MSG_WAITALL, kSecond);
    (void)co_await send;
    ::shutdown(fd, SHUT_WR);
    char buffer[4096];
    for (;;) {
        Operation op = ring.recv(fd, buffer, sizeof buffer, 0, 5 * kSecond);
        (void)co_await op;
        ended = op.result() == 0 || op.result() == -ECONNRESET;
        if (op.result() <= 0) break;
    }
    ::close(fd);
    co_return Ok{};
}

std::string frame(FrameHeader h, std::string_view body) {
    std::string out(kFrameHeader, '\0');
    h.body_sum = bodySum(body);
    writeHeader(h, reinterpret_cast<u8*>(out.data()));
    out += body;
    out.resize(kFrameHeader + padded(body.size()));
    return out;
}

TEST_F(Net, ClosesAConnectionThatLosesItsPlace) {
    FrameHeader good{.kind = Kind::kBlocks, .call = 1, .body = 4};
    FrameHeader reply = good, large_body = good, large_payload = good, short_body = good;
    reply.flags = kFlagReply;
    large_body.body = kMaxBody + 1;
    large_payload.payload = kMaxPayload + 1;
    short_body.body = 3;
    std::string flipped = frame(good, "body"), truncated = frame(good, "body"), bad_sum = frame(good, "body");
    flipped[9] ^= 1;
    truncated.resize(70);
    bad_sum[65] ^= 1;
    const std::string all[] = {std::string(64, 'x'),
                               flipped,
                               truncated,
                               bad_sum,
                               frame(reply, "body"),
                               frame(large_body, "body"),
                               frame(large_payload, "body"),
                               frame(short_body, "body"),
                               "short"};
    for (const auto& bytes : all) {
        bool ended = false;
        const auto r = runBlocking(*ring, misbehave(*ring, Credentials::client(keys, "local"), server.address(), bytes, ended));
        ASSERT_TRUE(r) << r.error().message();
        EXPECT_TRUE(ended);
        EXPECT_EQ(0u, echo.requests);
    }
    EXPECT_TRUE(call("still here"));
}

TEST_F(Net, TakesFramesThatComeInPieces) {
    bool ended = false;
    std::string bytes = frame({.kind = Kind::kBlocks, .call = 1, .body = 4}, "body");
    FrameHeader with_payload{.kind = Kind::kBlocks, .call = 2, .body = 0, .payload = 65};
    bytes += frame(with_payload, "") + std::string(128, 'p');
    for (int i = 0; i < 5000; i++) bytes += frame({.kind = Kind::kBlocks, .call = 9, .body = 5}, "again");
    ASSERT_TRUE(runBlocking(*ring, misbehave(*ring, Credentials::client(keys, "local"), server.address(), bytes, ended)));
    EXPECT_EQ(5002u, echo.requests);
}

struct Collect final : FrameSink {
    Result<> received(const FrameHeader& header, Message&& message) override {
        got.push_back(std::to_string(header.call) + ":" + message.body + ":" + std::string(message.payload.view()));
        return Ok{};
    }
    std::vector<std::string> got;
};

TEST(FrameParser, DoesNotCareHowBytesArrive) {
    Random random(3);
    std::string stream;
    std::vector<std::string> sent;
    for (u64 call = 0; call < 200; call++) {
        const std::string body(random.oneIn(20) ? random.below(300'000) : random.below(200), static_cast<char>('a' + call % 26));
        const std::string payload(random.oneIn(3) ? random.below(200'000) : 0, static_cast<char>('A' + call % 26));
        stream += frame({.kind = Kind::kRaft,
                         .call = call,
                         .body = static_cast<u32>(body.size()),
                         .payload = static_cast<u32>(payload.size())},
                        body);
        stream += payload + std::string(padded(payload.size()) - payload.size(), '\0');
        sent.push_back(std::to_string(call) + ":" + body + ":" + payload);
    }
    for (const u64 most : {7ul, 64ul, 1000ul, 1ul << 20}) {
        FrameParser parser;
        Collect sink;
        for (std::size_t at = 0; at < stream.size();) {
            const auto room = parser.room();
            ASSERT_FALSE(room.empty());
            const std::size_t n = std::min({room.size(), stream.size() - at, static_cast<std::size_t>(random.between(1, most))});
            std::memcpy(room.data(), stream.data() + at, n);
            at += n;
            ASSERT_TRUE(parser.arrived(n, sink));
        }
        EXPECT_TRUE(parser.betweenFrames());
        EXPECT_TRUE(sent == sink.got);
    }
}

// --- keys ---------------------------------------------------------------------------------------------

struct Folder {
    std::string path = "/tmp/skua_net_XXXXXX";
    Folder() { EXPECT_NE(nullptr, mkdtemp(path.data())); }
    ~Folder() { std::filesystem::remove_all(path); }
};

TEST(Keys, ComeBackFromTheirFiles) {
    Folder folder;
    const Keys keys = Keys::random(kCluster);
    ASSERT_TRUE(keys.save(folder.path + "/cluster.key"));
    EXPECT_FALSE(keys.save(folder.path + "/cluster.key")); // never overwritten
    const auto back = Keys::load(folder.path + "/cluster.key");
    ASSERT_TRUE(back) << back.error().message();
    EXPECT_EQ(kCluster, back->cluster());
    EXPECT_EQ(keys.serverKey(), back->serverKey());

    ASSERT_TRUE(Credentials::client(keys, "local", 3).saveClient(folder.path + "/local.key"));
    const auto client = Credentials::loadClient(folder.path + "/local.key");
    ASSERT_TRUE(client) << client.error().message();
    EXPECT_EQ("local", client->name);
    EXPECT_EQ(3u, client->version);
    EXPECT_EQ(keys.clientKey("local", 3), client->key);
}

TEST(Keys, AreRefusedWhenOthersCanReadThem) {
    Folder folder;
    const std::string path = folder.path + "/cluster.key";
    ASSERT_TRUE(Keys::random(kCluster).save(path));
    ::chmod(path.c_str(), 0640);
    const auto refused = Keys::load(path);
    ASSERT_EQ(Code::Denied, refused.code());
    EXPECT_NE(std::string::npos, refused.error().detail.find(path));
    EXPECT_NE(std::string::npos, refused.error().detail.find("chmod 600"));
    EXPECT_EQ(Code::NotFound, Keys::load(folder.path + "/none").code());
}

TEST(Keys, AreDifferentForEverythingTheyAreFor) {
    const Keys keys(kCluster, keyOf(1)), other(ClusterId{9}, keyOf(1));
    const std::set<MacKey> all{keys.receiptKey({1}),   keys.receiptKey({2}),   keys.readKeyKey(),
                               keys.serverKey(),       keys.clientKey("a", 1), keys.clientKey("a", 2),
                               keys.clientKey("b", 1), other.serverKey(),      other.clientKey("a", 1)};
    EXPECT_EQ(9u, all.size());
}

// Answers every group request with one error.
struct Refusing final : Transport, GroupDirectory {
    Task<Result<Message>> call(Address, Message, u64) override {
        calls++;
        GroupReply reply;
        reply.age = Age{kHour};
        reply.error = code;
        Message m;
        m.kind = Kind::kGroup;
        m.body = wire::encode(reply);
        co_return m;
    }
    std::vector<Address> membersOf(GroupId) override { return {Address{"a:1"}}; }
    Address addressOf(ServerId) override { return {}; }
    Code code = Code::Locked;
    int calls = 0;
};

TEST(GroupCaller, HandsLockedToServersWhoseMachineRemembersItself) {
    auto ring = Ring::makeOrExit();
    Refusing other;
    GroupCaller caller(*ring, other, other, ClientId{}, Random(1), CallerLimits{.total_ns = 0});
    auto reply = runBlocking(*ring, caller.run(groupOf(ShardId{0}), "step", false));
    EXPECT_EQ(Code::Locked, reply.code());
    EXPECT_EQ(1, other.calls);
}

// Busy, as often as told, by the leader or by what is between; then there is an answer.
struct BusyFirst final : Transport, GroupDirectory {
    Task<Result<Message>> call(Address, Message message, u64) override {
        GroupRequest request;
        EXPECT_TRUE(wire::decode(message.body, request));
        if (request.body.value.empty()) co_return answer({}, {}); // asks for the age
        ids.push_back(request.request);
        if (static_cast<int>(ids.size()) > busy) co_return answer({}, "done");
        if (transport) co_return Error(Code::Busy, "too many");
        RetryAfter after{retry_ms};
        co_return answer(Code::Busy, wire::encode(after));
    }
    static Message answer(Error error, std::string body) {
        GroupReply reply{Age{kHour}, std::move(error), {std::move(body)}};
        Message m;
        m.kind = Kind::kGroup;
        m.body = wire::encode(reply);
        return m;
    }
    std::vector<Address> membersOf(GroupId) override { return {Address{"a:1"}, Address{"b:1"}}; }
    Address addressOf(ServerId) override { return {}; }
    int busy = 1;
    bool transport = false;
    u32 retry_ms = 40;
    std::vector<RequestId> ids;
};

TEST(GroupCaller, ComesAgainUnderTheSameIdWhenABusyServerSaidSo) {
    auto ring = Ring::makeOrExit();
    BusyFirst other;
    GroupCaller caller(*ring, other, other, ClientId{1}, Random(1));
    const u64 before = ring->now().value;
    auto reply = runBlocking(*ring, caller.run(groupOf(ShardId{0}), "x", true));
    ASSERT_TRUE(reply) << reply.error().message();
    EXPECT_EQ("done", *reply);
    ASSERT_EQ(2u, other.ids.size());
    EXPECT_EQ(other.ids[0], other.ids[1]);
    EXPECT_GE(ring->now().value - before, 40 * kMillisecond);
}

TEST(GroupCaller, NeverTakesBusyForAnUnknownOutcome) {
    auto ring = Ring::makeOrExit();
    for (const bool transport : {false, true}) {
        BusyFirst other;
        other.busy = 1000;
        other.transport = transport;
        other.retry_ms = 5;
        GroupCaller caller(*ring, other, other, ClientId{1}, Random(1), CallerLimits{.total_ns = 50 * kMillisecond});
        EXPECT_EQ(Code::Unavailable, runBlocking(*ring, caller.run(groupOf(ShardId{0}), "x", true)).code());
        EXPECT_GE(other.ids.size(), 2u);
    }
}

TEST(GroupCaller, RefusesWhatItCannotEncode) {
    auto ring = Ring::makeOrExit();
    Refusing other;
    GroupCaller caller(*ring, other, other, ClientId{1}, Random(1));
    EXPECT_EQ(Code::TooLarge,
              runBlocking(*ring, caller.run(groupOf(ShardId{0}), std::string(wire::kMaxBytes + 1, 'x'), true)).code());
    EXPECT_EQ(0, other.calls);
}

TEST(Address, IsHostAndPort) {
    EXPECT_EQ("127.0.0.1:80", parseAddress(Address{"127.0.0.1:80"})->text().text);
    EXPECT_EQ("[::1]:80", parseAddress(Address{"[::1]:80"})->text().text);
    EXPECT_TRUE(parseAddress(Address{"127.9.9.9:80"})->loopback());
    EXPECT_FALSE(parseAddress(Address{"10.0.0.1:80"})->loopback());
    EXPECT_EQ(Code::NotSupported, parseAddress(Address{"host.example:80"}).code());
    for (const char* bad : {"", ":80", "1.2.3.4", "1.2.3.4:", "1.2.3.4:x", "1.2.3.4:70000", "::1:80"})
        EXPECT_EQ(Code::Invalid, parseAddress(Address{bad}).code()) << bad;
}

} // namespace
} // namespace skua::net
