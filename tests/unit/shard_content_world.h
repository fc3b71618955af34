// One shard on a Kv in memory, and a client that makes ids, blocks and receipts: for tests of contents.
#pragma once

#include <gtest/gtest.h>
#include <memory>
#include "core/data/geometry.h"
#include "core/data/receipt.h"
#include "core/store/kv_memory.h"
#include "core/wire/print.h"
#include "shard/contents.h"
#include "shard/invariants.h"
#include "shard/state.h"

namespace skua::shard {

inline constexpr Geometry kCopies{1, 2, kPage}, kWide{4, 2, kPage};

class ContentWorld {
public:
    ContentWorld() {
        ShardConfig config;
        config.cluster = {7};
        config.shards = 1;
        config.policy = geometry::defaultPolicy(6);
        restart();
        store::Transaction t(kv);
        shard->format(t, now, wire::encode(config));
        kv.write(t.writes());
    }
    // The Shard value is lost, the rows stay.
    void restart() { shard = std::make_unique<Shard>(keys, disks); }
    void pass(u64 ns) {
        now.wall.value += ns;
        now.age.value += ns;
    }
    // One log entry, as the host makes it.
    template <class Op>
    Result<typename Op::Reply> write(const Op& op, u64 client = 1, bool server = false, bool own = false, bool admit = true) {
        const std::string body = wire::encode(Request(op));
        const raft::Command command{{client}, {++requests}, server, own, body};
        if (admit) {
            if (auto ok = shard->admit(kv, now, command); !ok) return ok.error();
        }
        pass(1);
        store::Transaction t(kv);
        raft::Outcome outcome;
        shard->apply(t, now, command, outcome);
        EXPECT_FALSE(kv.failed());
        if (!outcome.answer) return Error(Code::Unavailable, "no answer");
        if (outcome.answer->error.code != Code::Ok) return outcome.answer->error;
        kv.write(t.writes());
        typename Op::Reply reply;
        EXPECT_TRUE(wire::decode(outcome.answer->body, reply));
        return reply;
    }
    template <class Op>
    Result<typename Op::Reply> asServer(const Op& op) {
        return write(op, 0, true);
    }
    template <class Op>
    Result<typename Op::Reply> read(const Op& op, bool server = false) {
        const std::string body = wire::encode(Request(op));
        auto answer = shard->query(kv, now, {{1}, {}, server, false, body}, true);
        if (answer->error.code != Code::Ok) return answer->error;
        typename Op::Reply reply;
        EXPECT_TRUE(wire::decode(answer->body, reply));
        return reply;
    }
    // All that is due.
    void purge() {
        for (int i = 0; i < 1000; i++) {
            const std::size_t before = kv.size();
            const auto rows = kv.rows();
            ASSERT_TRUE(write(Purge{64}, 0, true, true));
            if (kv.size() == before && kv.rows() == rows) return;
        }
        FAIL() << "purging does not end";
    }
    std::string problems() {
        std::string all;
        for (const auto& list : {invariants::checkShard(kv), invariants::checkAcross({&kv})})
            for (const std::string& p : list) all += p + "\n";
        return all;
    }

    // --- the client ---
    struct Ids {
        ReservationId reservation;
        u64 next = 0;
        u32 n = 0;
        ContentId content() { return ContentId::make(next++, {0}); }
        InodeId inode() { return InodeId::make(InodeType::kFile, next++, {0}); }
    };
    Ids reserve(u64 client = 1, bool server = false) {
        auto r = write(ReserveIds{10'000}, client, server);
        EXPECT_TRUE(r);
        return {r->reservation, r->first, 0};
    }
    BlockRef block(Ids& ids, ContentId content, u32 service) {
        return {{content, ids.reservation, ids.n++}, {service}, 0x5000u + service, false};
    }
    Proof prove(const BlockRef& b, u32 length, Incarnation incarnation = {1}) {
        Receipt receipt{b.service, incarnation, b.id, length, b.sum, {}};
        sealReceipt(keys.receiptKey(b.service), receipt);
        return {receipt.incarnation, receipt.mac};
    }
    SpanWithProofs span(Ids& ids, ContentId content, u64 offset, u32 length, Geometry g = kCopies, u32 first_service = 1) {
        SpanWithProofs s;
        s.span.offset = offset;
        s.span.length = length;
        s.span.geometry = g;
        for (u32 i = 0; i < g.blocks(); i++) {
            s.span.blocks.push_back(block(ids, content, first_service + i));
            s.proofs.push_back(prove(s.span.blocks.back(), geometry::blockLength(g, length)));
        }
        return s;
    }
    static SpanWithProofs hole(u64 offset, u64 length) {
        SpanWithProofs s;
        s.span.offset = offset;
        s.span.hole_length = length;
        return s;
    }
    static NewContent contentOf(ContentId id, std::vector<SpanWithProofs> spans) {
        NewContent c;
        c.content = id;
        c.size = spans.empty() ? 0 : spans.back().span.end();
        c.span_count = static_cast<u32>(spans.size());
        c.spans = std::move(spans);
        return c;
    }
    static NewContent inlineOf(ContentId id, const std::string& bytes) {
        NewContent c;
        c.content = id;
        c.size = bytes.size();
        c.inline_bytes = Bytes{bytes};
        return c;
    }
    CommitFile commit(Ids& ids, const std::string& name, NewContent content) {
        CommitFile op;
        op.dir = kRoot;
        op.name = name;
        op.reservation = ids.reservation;
        op.inode = ids.inode();
        op.content = std::move(content);
        return op;
    }
    // A file of these spans (or empty).
    Attributes file(Ids& ids, const std::string& name, const std::vector<u32>& lengths, Geometry g = kCopies) {
        const ContentId content = ids.content();
        std::vector<SpanWithProofs> spans;
        u64 at = 0;
        for (u32 length : lengths) {
            spans.push_back(span(ids, content, at, length, g));
            at += length;
        }
        auto r = write(commit(ids, name, contentOf(content, spans)));
        EXPECT_TRUE(r) << r.error().message();
        return r ? r->attributes : Attributes{};
    }
    static EditContent editOf(const Attributes& a, ReservationId reservation, u64 size, std::vector<SpanWithProofs> spans) {
        EditContent op;
        op.inode = a.inode;
        op.reservation = reservation;
        op.content = a.content;
        op.base = a.generation;
        op.size = size;
        op.spans = std::move(spans);
        return op;
    }
    std::vector<FateOf> fates(BlockServiceId service, const std::vector<BlockId>& blocks) {
        auto r = read(Fate{service, blocks});
        EXPECT_TRUE(r);
        return r->fates;
    }
    std::vector<BlockId> garbage(u32 service) { return read(TakeGarbage{{service}, 4096})->blocks; }

    store::KvMemory kv;
    net::Keys keys{ClusterId{7}, MacKey{3}};
    std::shared_ptr<Disks> disks = std::make_shared<Disks>();
    std::unique_ptr<Shard> shard;
    raft::Time now{{1'700'000'000 * kSecond}, {kHour}};
    u64 requests = 0;
};

} // namespace skua::shard
