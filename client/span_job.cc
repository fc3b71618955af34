// The pure half of a span being written: bytes into blocks, parity, sums.
#include "client/span_job.h"

#include <algorithm>
#include <cstring>
#include "core/async/offload.h"
#include "core/data/checksum.h"
#include "core/data/erasure.h"

namespace skua::client {

namespace {
constexpr u32 kWorthTheCoder = 256u << 10; // bytes of a stripe: shorter ones are done before another thread wakes
}

SpanJob::SpanJob(Client& c, NewId id_, ContentId content_, const Policy& policy_, u64 offset_, u64 length_known)
    : client(c), id(std::move(id_)), content(content_), policy(policy_), offset(offset_) {
    most =
        length_known != 0 ? static_cast<u32>(std::min<u64>(length_known, geometry::maxSpan(policy))) : geometry::maxSpan(policy);
    if (length_known != 0) choose(most);
}

void SpanJob::choose(u32 length) {
    geometry = geometry::choose(policy, length);
    chosen = true;
    block_length = geometry::blockLength(geometry, length);
    blocks.resize(geometry.blocks());
    for (auto& b : blocks) {
        b.bytes = client.blockBuffer(block_length);
        b.plain.resize(block_length / kPage);
    }
}

std::size_t SpanJob::fill(std::span<const u8> bytes) {
    bytes = bytes.first(std::min<std::size_t>(bytes.size(), room()));
    if (bytes.empty()) return 0;
    const std::size_t taken = bytes.size();
    if (!chosen) {
        // Until more bytes than any smaller scheme takes are here, the scheme is open. Then it is a full span's.
        const u32 total = filled + static_cast<u32>(taken);
        if (!(geometry::choose(policy, total) == geometry::choose(policy, most))) {
            head.append(reinterpret_cast<const char*>(bytes.data()), taken);
            filled = total;
            return taken;
        }
        choose(most);
        const std::string before = std::move(head);
        head.clear();
        filled = 0;
        lay({reinterpret_cast<const u8*>(before.data()), before.size()});
    }
    lay(bytes);
    return taken;
}

// Copies into full stripes: byte p of stripe s is in cell p / cell.
void SpanJob::lay(std::span<const u8> bytes) {
    const u32 cell = geometry.cell, stripe = cell * geometry.data;
    while (!bytes.empty()) {
        const u32 s = filled / stripe, p = filled % stripe, in_cell = p % cell;
        const std::size_t n = std::min<std::size_t>(bytes.size(), cell - in_cell);
        u8* to = blocks[p / cell].bytes.data();
        // The last stripe of a span is shorter than a full one: its bytes may lie past a block's end until
        // complete() has laid them anew.
        const u64 at = static_cast<u64>(s) * cell + in_cell;
        if (at + n > blocks[0].bytes.size()) {
            head.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
            filled += static_cast<u32>(bytes.size());
            break;
        }
        if (!head.empty()) {
            head.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
            filled += static_cast<u32>(bytes.size());
            break;
        }
        std::memcpy(to + at, bytes.data(), n);
        filled += static_cast<u32>(n);
        bytes = bytes.subspan(n);
        if (filled % stripe == 0) {
            seal(s * cell, cell);
            sealed = s + 1;
        }
    }
}

bool SpanJob::read(const StripeRead& from, u64 at) {
    const u32 cell = geometry.cell, stripe = cell * geometry.data;
    CHECK(chosen && client.coder && filled % stripe == 0);
    const u32 s = filled / stripe;
    if (room() < stripe || !head.empty() || static_cast<u64>(s + 1) * cell > blocks[0].bytes.size()) return false;
    filled += stripe;
    sealed = s + 1;
    sealing++;
    client.services.background().spawn(sealByCoder(shared_from_this(), s * cell, cell, from, at));
    return true;
}

Task<> SpanJob::sealByCoder(std::shared_ptr<SpanJob> job, u32 block_offset, u32 cell, StripeRead read, u64 at) {
    Result<> done = Ok{};
    std::function<void()> work = [&] {
        if (read) {
            iovec cells[kMaxData];
            for (u32 i = 0; i < job->geometry.data; i++) cells[i] = {job->blocks[i].bytes.data() + block_offset, cell};
            done = read(at, std::span<const iovec>(cells, job->geometry.data));
            if (!done) return;
        }
        job->encode(block_offset, cell);
    };
    auto running = job->client.coder->run(std::move(work));
    co_await running;
    job->sealing--;
    if (!done && job->error.code == Code::Ok) job->error = done.error();
    job->encoded(block_offset, cell);
    co_return Ok{};
}

// One stripe is whole: parity and sums. By the coder if there is one and it is worth it, or if it has earlier stripes.
void SpanJob::seal(u32 block_offset, u32 cell) {
    if (client.coder && (sealing > 0 || geometry.data * cell >= kWorthTheCoder)) {
        sealing++;
        client.services.background().spawn(sealByCoder(shared_from_this(), block_offset, cell, {}, 0));
        return;
    }
    encode(block_offset, cell);
    encoded(block_offset, cell);
}

// On any thread: touches these cells and their sums only.
void SpanJob::encode(u32 block_offset, u32 cell) {
    const u8* data[kMaxData];
    u8* parity[kMaxParity];
    for (u32 i = 0; i < geometry.data; i++) data[i] = blocks[i].bytes.data() + block_offset;
    for (u32 i = 0; i < geometry.parity; i++) parity[i] = blocks[geometry.data + i].bytes.data() + block_offset;
    if (geometry.parity > 0) Erasure::of(geometry.data, geometry.parity).encode(data, parity, cell);
    for (auto& b : blocks) {
        for (u32 at = block_offset; at < block_offset + cell; at += kPage)
            b.plain[at / kPage] = plainSum(b.bytes.data() + at, kPage);
    }
}

void SpanJob::encoded(u32 block_offset, u32 cell) {
    for (auto& b : blocks) b.ready = block_offset + cell;
    changed.pulse();
}

void SpanJob::complete() {
    if (completed) return;
    completed = true;
    completed_at = client.clock.now();
    if (filled == 0) {
        abandon();
        finished = !chosen;
        return;
    }
    if (!chosen) {
        choose(filled);
        const std::string before = std::move(head);
        head.clear();
        filled = 0;
        lay({reinterpret_cast<const u8*>(before.data()), before.size()});
    }
    block_length = geometry::blockLength(geometry, filled);
    const u32 stripes = geometry::stripes(geometry, filled);
    if (sealed < stripes) {
        // The last stripe has shorter cells: its bytes are gathered, then laid anew.
        const geometry::Stripe last = geometry::stripe(geometry, filled, stripes - 1);
        std::string rest;
        const u32 gathered = last.bytes - static_cast<u32>(head.size());
        for (u32 p = 0; p < gathered;) {
            const u32 in_cell = p % geometry.cell;
            const u32 n = std::min(gathered - p, geometry.cell - in_cell);
            rest.append(reinterpret_cast<const char*>(blocks[p / geometry.cell].bytes.data()) +
                            static_cast<u64>(sealed) * geometry.cell + in_cell,
                        n);
            p += n;
        }
        rest += head;
        head.clear();
        for (u32 i = 0; i < geometry.data; i++) {
            const geometry::CellBytes part = geometry::cellBytes(geometry, last, i);
            u8* to = blocks[i].bytes.data() + last.in_block;
            if (part.bytes > 0) std::memcpy(to, rest.data() + (part.in_span - last.offset), part.bytes);
            std::memset(to + part.bytes, 0, last.cell - part.bytes);
        }
        sealed = stripes;
        seal(last.in_block, last.cell);
    }
    changed.pulse();
}

u64 SpanJob::blockSum(u32 index) const { return plainSum(blocks[index].plain.data(), blocks[index].ready / kPage * sizeof(u64)); }

void SpanJob::abandon() {
    completed = abandoned = true;
    changed.pulse();
}

} // namespace skua::client
