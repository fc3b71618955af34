// Block services over real sockets: server, pool, store, in one process.
#include "blocks/service.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <cstring>
#include <filesystem>
#include "core/base/log.h"
#include "core/base/random.h"
#include "core/data/erasure.h"
#include "core/data/receipt.h"
#include "core/net/group_caller.h"
#include "core/net/pool.h"
#include "core/wire/arbitrary.h"

namespace skua::blocks {
namespace {

constexpr BlockServiceId kDisk{3};
constexpr Incarnation kIncarnation{1};

BlockId blockId(u32 n, u64 content = 5) { return {ContentId::make(content, ShardId{1}), ReservationId{7}, n}; }

Buffer bytesOf(u32 n, u32 length) {
    Buffer b = Buffer::allocate(length);
    Random rng(n);
    for (u32 i = 0; i < length; i += 8) {
        const u64 word = rng.next();
        std::memcpy(b.data() + i, &word, 8);
    }
    return b;
}
std::vector<u64> sumsOf(const BlockId& id, u32 first, const Buffer& data) {
    std::vector<u64> sums(data.size() / kPage);
    makePageSums(id, first, data.data(), sums);
    return sums;
}

class ServiceTest : public testing::Test {
protected:
    ServiceTest() : ring(Ring::makeOrExit()), keys(ClusterId{1}, MacKey{1, 2, 3}) {
        log::setLevel(log::Level::kError);
        char name[] = "/tmp/skua-service-XXXXXX";
        dir = mkdtemp(name);
    }
    void SetUp() override {
        ASSERT_TRUE(Disk::format(dir, keys.cluster(), 160u << 20));
        start();
    }
    void start() {
        service = std::make_unique<Service>(*ring, keys);
        auto disk = Disk::open(dir, keys.cluster());
        ASSERT_TRUE(disk);
        StoreOptions options;
        options.ahead = 0;
        options.max_open = 8;
        ASSERT_TRUE(service->add(std::move(*disk), options));
        ASSERT_TRUE(service->setIdentity(*service->disks()[0], kDisk, kIncarnation));
        server = std::make_unique<net::Server>(*ring, net::Credentials::server(keys, "blocks-0"), *service);
        ASSERT_TRUE(server->listen({"127.0.0.1:0"}));
        client = std::make_unique<net::Pool>(*ring, net::Credentials::client(keys, "local"));
    }
    void stop() {
        runBlocking(*ring, client->stop());
        runBlocking(*ring, server->stop());
        runBlocking(*ring, service->stop());
        client.reset();
        server.reset();
        service.reset();
    }
    void TearDown() override {
        if (service) stop();
        std::filesystem::remove_all(dir);
    }

    Result<net::Message> callRaw(std::string body, Buffer payload) {
        net::Message m{net::Kind::kBlocks, std::move(body), std::move(payload)};
        return runBlocking(*ring, client->call(server->address(), std::move(m), 10 * kSecond));
    }
    template <class R>
    Result<typename R::Reply> call(const R& request, Buffer payload = {}, Buffer* out = nullptr) {
        auto m = callRaw(net::encodeRequest(request), std::move(payload));
        if (!m) return m.error();
        typename R::Reply reply{};
        if (!wire::decode(m->body, reply)) return Error(Code::Corrupt, "does not decode");
        if (out) *out = m->payload;
        return reply;
    }
    WriteBlock writeOf(const BlockId& id, const Buffer& data) {
        WriteBlock w{kDisk, kIncarnation, id, 0, sumsOf(id, 0, data)};
        w.sum = blockSum(id, w.sums);
        return w;
    }
    Result<Receipt> writeLong(const BlockId& id, const Buffer& data) {
        const u32 length = static_cast<u32>(data.size());
        auto opened = call(OpenBlock{kDisk, kIncarnation, id, length});
        if (!opened) return opened.error();
        for (u32 at = 0; at < length; at += kMaxPiece) {
            const Buffer part = data.slice(at, std::min(kMaxPiece, length - at));
            auto r = call(Piece{kDisk, id, at, sumsOf(id, at / kPage, part)}, part);
            if (!r) return r.error();
        }
        auto done = call(FinishBlock{kDisk, id, length, blockSum(id, sumsOf(id, 0, data))});
        if (!done) return done.error();
        return done->receipt;
    }
    ReadBlock readOf(const BlockId& id, u32 offset, u32 length) {
        return {kDisk, id, offset, length, readKeyOf(keys.readKeyKey(), id.content)};
    }

    std::unique_ptr<Ring> ring;
    const net::Keys keys;
    std::string dir;
    std::unique_ptr<Service> service;
    std::unique_ptr<net::Server> server;
    std::unique_ptr<net::Pool> client;
};

TEST_F(ServiceTest, AWrittenBlockHasAReceiptThatAShardCanCheckAndReadsBackWithItsSums) {
    const BlockId id = blockId(1);
    const Buffer data = bytesOf(1, 4u << 20);
    const auto receipt = writeLong(id, data);
    ASSERT_TRUE(receipt) << receipt.error().message();
    EXPECT_TRUE(receiptHolds(keys.receiptKey(kDisk), *receipt));
    EXPECT_EQ(receipt->id, id);
    EXPECT_EQ(receipt->length, 4u << 20);
    EXPECT_EQ(receipt->incarnation, kIncarnation);
    Buffer out;
    const auto read = call(readOf(id, 1u << 20, 1u << 20), {}, &out);
    ASSERT_TRUE(read);
    ASSERT_EQ(out.size(), 1u << 20);
    EXPECT_EQ(std::memcmp(out.data(), data.data() + (1u << 20), 1u << 20), 0);
    EXPECT_EQ(firstBadPage(id, 256, out.data(), read->sums), 256u);
}

TEST_F(ServiceTest, RepeatingAWriteGivesTheSameReceiptAlsoAfterARestart) {
    const BlockId id = blockId(1), small = blockId(2);
    const Buffer data = bytesOf(1, 2u << 20), little = bytesOf(2, 8192);
    const auto first = writeLong(id, data);
    const auto one = call(writeOf(small, little), little);
    ASSERT_TRUE(first && one);
    EXPECT_EQ(*writeLong(id, data), *first);
    EXPECT_EQ(call(writeOf(small, little), little)->receipt, one->receipt);
    stop();
    start();
    EXPECT_EQ(*writeLong(id, data), *first);
    EXPECT_EQ(call(writeOf(small, little), little)->receipt, one->receipt);
    const Buffer other = bytesOf(3, 8192);
    EXPECT_EQ(call(writeOf(small, other), other).code(), Code::Exists);
}

TEST_F(ServiceTest, NobodyReadsWithoutTheContentsKey) {
    const BlockId id = blockId(1);
    const Buffer data = bytesOf(1, 8192);
    ASSERT_TRUE(call(writeOf(id, data), data));
    ReadBlock read = readOf(id, 0, 4096);
    EXPECT_TRUE(call(read));
    read.key[3] ^= 1;
    EXPECT_EQ(call(read).code(), Code::Denied);
    read.key = readKeyOf(keys.readKeyKey(), blockId(1, 6).content); // another content's
    EXPECT_EQ(call(read).code(), Code::Denied);
    EXPECT_EQ(call(ListBlocks{kDisk, {}, 10}).code(), Code::Denied);
}

TEST_F(ServiceTest, AForgedOrForeignWriteIsRefused) {
    const BlockId id = blockId(1);
    const Buffer data = bytesOf(1, 8192);
    WriteBlock w = writeOf(id, data);
    w.sums[1] ^= 1;
    EXPECT_EQ(call(w, data).code(), Code::Corrupt);
    w = writeOf(id, data);
    w.sum ^= 1;
    EXPECT_EQ(call(w, data).code(), Code::Corrupt);
    w = writeOf(id, data);
    w.id = blockId(2); // right sums, for another block
    EXPECT_EQ(call(w, data).code(), Code::Corrupt);
    w = writeOf(id, data);
    w.incarnation = Incarnation{2};
    EXPECT_EQ(call(w, data).code(), Code::Stale);
    w = writeOf(id, data);
    w.service = BlockServiceId{9};
    EXPECT_EQ(call(w, data).code(), Code::Unavailable); // its disk may be somewhere else, or not mounted
    w = writeOf(id, data);
    EXPECT_EQ(call(w, data.slice(0, 4096)).code(), Code::Invalid);
    w.id = BlockId{};
    EXPECT_FALSE(call(w, data));
    EXPECT_EQ(call(readOf(id, 0, 4096)).code(), Code::NotFound);
    EXPECT_EQ(call(Info{kDisk})->disks.at(0).blocks, 0u);
    EXPECT_EQ(call(Info{kDisk})->disks.at(0).open, 0u);
}

TEST_F(ServiceTest, OpenBlocksAreBounded) {
    u32 opened = 0;
    for (u32 n = 0; n < 20; n++) {
        const auto r = call(OpenBlock{kDisk, kIncarnation, blockId(n), 8192});
        if (!r) {
            EXPECT_EQ(r.code(), Code::Busy);
            break;
        }
        opened++;
    }
    EXPECT_EQ(opened, 8u);
    ASSERT_TRUE(call(DropBlock{kDisk, blockId(0)}));
    EXPECT_TRUE(call(OpenBlock{kDisk, kIncarnation, blockId(30), 8192}));
}

TEST_F(ServiceTest, SaysWhichBlocksItHas) {
    const Buffer data = bytesOf(1, 4096);
    ASSERT_TRUE(call(writeOf(blockId(1), data), data));
    const auto reply = call(HaveBlocks{kDisk, {blockId(1), blockId(2)}});
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->have, (std::vector<u8>{1, 0}));
}

TEST_F(ServiceTest, AReadOnlyOrDrainingDiskTakesNoBlocksAndServes) {
    const Buffer data = bytesOf(1, 4096);
    ASSERT_TRUE(call(writeOf(blockId(1), data), data));
    service->disks()[0]->state = registry::DiskState::kDraining;
    EXPECT_EQ(call(writeOf(blockId(2), data), data).code(), Code::ReadOnly);
    EXPECT_TRUE(call(readOf(blockId(1), 0, 4096)));
    service->disks()[0]->state = registry::DiskState::kUp;
    service->disks()[0]->fenced = true;
    EXPECT_EQ(call(writeOf(blockId(2), data), data).code(), Code::ReadOnly);
}

// Two data blocks and one of parity on three disks; the first is made anew on a fourth.
TEST_F(ServiceTest, ALostBlockIsRebuiltFromTheOthersAndDamagedSourcesAreFoundOut) {
    const u32 length = (2u << 20) + 8192;
    for (u32 i = 1; i <= 3; i++) {
        const std::string path = dir + "/more" + std::to_string(i);
        ASSERT_TRUE(Disk::format(path, keys.cluster(), 160u << 20));
        auto disk = Disk::open(path, keys.cluster());
        ASSERT_TRUE(disk);
        StoreOptions options;
        options.ahead = 0;
        ASSERT_TRUE(service->add(std::move(*disk), options));
        ASSERT_TRUE(service->setIdentity(*service->disks()[i], BlockServiceId{kDisk.value + i}, kIncarnation));
    }
    net::Pool servers(*ring, net::Credentials::server(keys, "blocks-0"));
    service->setTransport(servers);

    std::vector<Buffer> cells{bytesOf(1, length), bytesOf(2, length), Buffer::allocate(length)};
    std::vector<u8*> at{cells[0].data(), cells[1].data(), cells[2].data()};
    Erasure::of(2, 1).encode(at.data(), at.data() + 2, length);
    RebuildBlock request{BlockServiceId{kDisk.value + 3}, kIncarnation, blockId(9), 0, 2, 1, length, 0, {}};
    for (u32 i = 0; i < 3; i++) {
        const BlockId id = blockId(i);
        ASSERT_TRUE(runBlocking(*ring, service->disks()[i]->store->open(id, length, 1)));
        for (u32 from = 0; from < length; from += kMaxPiece) {
            const Buffer part = cells[i].slice(from, std::min(kMaxPiece, length - from));
            ASSERT_TRUE(runBlocking(*ring, service->disks()[i]->store->piece(id, from, part, sumsOf(id, from / kPage, part))));
        }
        const u64 sum = blockSum(id, sumsOf(id, 0, cells[i]));
        ASSERT_TRUE(runBlocking(*ring, service->disks()[i]->store->finish(id, length, sum)));
        if (i == 0) request.sum = sum;
        else request.sources.push_back({static_cast<u8>(i), BlockServiceId{kDisk.value + i}, id, server->address()});
    }
    EXPECT_EQ(call(request).code(), Code::Denied); // a client

    auto ask = [&](const RebuildBlock& r) -> Result<Receipt> {
        net::Message m{net::Kind::kBlocks, net::encodeRequest(r), {}};
        auto answer = runBlocking(*ring, servers.call(server->address(), std::move(m), 10 * kSecond));
        if (!answer) return answer.error();
        RebuildBlock::Reply reply;
        EXPECT_TRUE(wire::decode(answer->body, reply));
        return reply.receipt;
    };
    RebuildBlock other = request;
    other.sum ^= 1;
    EXPECT_EQ(ask(other).code(), Code::Corrupt); // not the block that the span had
    other = request;
    other.sources.pop_back();
    EXPECT_EQ(ask(other).code(), Code::Unavailable);
    other = request;
    other.sources[0].index = 0;
    EXPECT_EQ(ask(other).code(), Code::Invalid);

    const auto receipt = ask(request);
    ASSERT_TRUE(receipt) << receipt.error().message();
    EXPECT_TRUE(receiptHolds(keys.receiptKey(request.service), *receipt));
    EXPECT_EQ(receipt->sum, request.sum);
    Buffer out;
    ReadBlock read = readOf(blockId(9), 1u << 20, 1u << 20);
    read.service = request.service;
    ASSERT_TRUE(call(read, {}, &out));
    EXPECT_EQ(std::memcmp(out.data(), cells[0].data() + (1u << 20), 1u << 20), 0);
    EXPECT_EQ(*ask(request), *receipt); // again: the same
    runBlocking(*ring, servers.stop());
}

TEST_F(ServiceTest, RandomAndDamagedRequestsAreAnsweredAndDoNoHarm) {
    Random rng(4);
    const Buffer data = bytesOf(1, 16384);
    ASSERT_TRUE(call(writeOf(blockId(1), data), data));
    for (int round = 0; round < 500; round++) {
        Request request;
        wire::randomise(rng, request);
        std::visit(
            [&](auto& r) {
                if (rng.oneIn(2)) r.service = kDisk;
            },
            request);
        std::string body = wire::encode(request);
        if (rng.oneIn(3) && !body.empty()) body[rng.below(body.size())] ^= static_cast<char>(1 + rng.below(255));
        if (rng.oneIn(5)) body.resize(rng.below(body.size() + 1));
        (void)callRaw(body, rng.oneIn(2) ? data.slice(0, rng.below(5) * 4096) : Buffer());
    }
    Buffer out;
    ASSERT_TRUE(call(readOf(blockId(1), 0, 16384), {}, &out));
    EXPECT_EQ(std::memcmp(out.data(), data.data(), 16384), 0);
}

} // namespace
} // namespace skua::blocks
