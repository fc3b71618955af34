// RebuildBlock: a block of a span is made anew from others of it, and is durable when the receipt says so.
#include <algorithm>
#include <bit>
#include "blocks/service.h"
#include "core/data/erasure.h"
#include "core/data/receipt.h"
#include "core/net/group_caller.h"

namespace skua::blocks {
namespace {

constexpr u64 kReadLimit = 10 * kSecond;

struct Source {
    RebuildSource from;
    bool failed = false;
    bool right = false; // this piece of it is in `bytes`
    Buffer bytes;
};

// Reads [offset, offset + length) of one source and checks it.
Task<> readSource(net::Transport& transport, Source& source, ReadKey key, u32 offset, u32 length) {
    ReadBlock request{source.from.service, source.from.id, offset, length, key};
    net::Message message;
    message.kind = net::Kind::kBlocks;
    message.body = net::encodeRequest(request);
    auto answer = co_await transport.call(source.from.address, std::move(message), kReadLimit);
    ReadBlock::Reply reply;
    source.right = answer && wire::decode(answer->body, reply) && answer->payload.size() == length &&
                   reply.sums.size() == length / kPage &&
                   firstBadPage(source.from.id, offset / kPage, answer->payload.data(), reply.sums) == reply.sums.size();
    source.failed = !source.right;
    if (source.right) source.bytes = std::move(answer->payload);
    co_return Ok{};
}

Result<> check(const RebuildBlock& r) {
    if (r.data < 1 || r.data > kMaxData || r.parity > kMaxParity || r.index >= r.data + r.parity)
        return Error(Code::Invalid, "no such place in a span");
    if (r.length == 0 || r.length % kPage != 0 || r.length > kMaxBlock) return Error(Code::Invalid, "an impossible length");
    if (r.sources.size() > kMaxData + kMaxParity) return Error(Code::Invalid, "too many sources");
    u64 seen = 0;
    for (const RebuildSource& s : r.sources) {
        if (s.index >= r.data + r.parity || s.index == r.index || (seen >> s.index & 1))
            return Error(Code::Invalid, "sources that are not of this span");
        seen |= 1ull << s.index;
    }
    return Ok{};
}

// `data` right sources for this piece, those that failed before last of all; false: there are no more.
Task<bool> gather(net::Transport& transport, std::vector<Source>& sources, const RebuildBlock& r, u32 offset, u32 length,
                  ReadKey key) {
    u32 right = 0;
    for (Source& s : sources) s.right = false;
    for (std::size_t next = 0; right < r.data;) {
        TaskGroup reads;
        u32 begun = 0;
        for (; next < sources.size() && right + begun < r.data; next++) {
            if (sources[next].failed) continue;
            reads.spawn(readSource(transport, sources[next], key, offset, length));
            begun++;
        }
        if (begun == 0) co_return false;
        co_await reads.all();
        right = static_cast<u32>(std::ranges::count_if(sources, &Source::right));
    }
    co_return true;
}

Task<Result<Store::Stored>> rebuild(Service& service, Store& store, const RebuildBlock& r, u64 owner) {
    net::Transport& transport = *service.transport();
    const ReadKey key = readKeyOf(service.readKeyKey(), r.id.content);
    const Erasure& erasure = Erasure::of(r.data, r.parity);
    std::vector<Source> sources;
    for (const RebuildSource& s : r.sources) {
        Source source;
        source.from = s;
        sources.push_back(std::move(source));
    }
    CO_TRY(const bool whole, co_await store.open(r.id, r.length, owner));
    for (u32 offset = 0; !whole && offset < r.length; offset += kMaxPiece) {
        const u32 length = std::min(kMaxPiece, r.length - offset);
        const bool enough = co_await gather(transport, sources, r, offset, length, key);
        if (!enough) {
            store.drop(r.id);
            co_return Error(Code::Unavailable, "too few of the span's other blocks can be read");
        }
        std::array<u8*, kMaxData + kMaxParity> cells{};
        u64 have = 0;
        for (const Source& s : sources) {
            if (!s.right) continue;
            cells[s.from.index] = s.bytes.data();
            have |= 1ull << s.from.index;
        }
        Buffer made = Buffer::allocate(length);
        cells[r.index] = made.data();
        CHECK(erasure.decode(have, 1ull << r.index, cells.data(), length));
        std::vector<u64> sums(length / kPage);
        makePageSums(r.id, offset / kPage, made.data(), sums);
        const auto taken = co_await store.piece(r.id, offset, std::move(made), std::move(sums));
        if (!taken) {
            store.drop(r.id);
            co_return taken.error();
        }
    }
    // Its sum is the one that the span's row has had since the commit: else the sources are not what they say.
    auto stored = co_await store.finish(r.id, r.length, r.sum);
    co_return stored;
}

} // namespace

template <>
Task<Result<RebuildBlock::Reply>> Service::handle(RebuildBlock request, Call& call) {
    if (call.peer.role != net::Role::kServer) co_return Error(Code::Denied, "only servers repair");
    if (!transport()) co_return Error(Code::NotSupported, "this process reads from nobody");
    CO_TRY_OK(check(request));
    CO_TRY(Served* const disk, forWriting(request.service, request.incarnation));
    co_await rebuilds().acquire();
    const auto stored = co_await rebuild(*this, *disk->store, request, call.peer.connection);
    rebuilds().release();
    CO_TRY_OK(stored);
    RebuildBlock::Reply reply;
    reply.receipt = receiptOf(*disk, request.id, *stored);
    co_return reply;
}

} // namespace skua::blocks
