// The pure half of a span being written: bytes into blocks, parity, sums.
#include "client/span_job.h"

#include <algorithm>
#include <cstring>
#include "core/data/checksum.h"
#include "core/data/erasure.h"

namespace skua::client {

SpanJob::SpanJob(Client& c, NewId id_, ContentId content_, const Policy& policy_, u64 offset_, u64 length_known)
    : client(c), id(std::move(id_)), content(content_), policy(policy_), offset(offset_) {
    most = length_known != 0 ? static_cast<u32>(std::min<u64>(length_known, geometry::maxSpan(policy))) : geometry::maxSpan(policy);
    if (length_known != 0) choose(most);
}

void SpanJob::choose(u32 length) {
    geometry = geometry::choose(policy, length);
    chosen = true;
    block_length = geometry::blockLength(geometry, length);
    blocks.resize(geometry.blocks());
    for (auto& b : blocks) {
        b.bytes = client.blockBuffer(block_length);
        b.plain.reserve(block_length / kPage);
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

// One stripe is whole: parity and sums.
void SpanJob::seal(u32 block_offset, u32 cell) {
    const u8* data[kMaxData];
    u8* parity[kMaxParity];
    for (u32 i = 0; i < geometry.data; i++) data[i] = blocks[i].bytes.data() + block_offset;
    for (u32 i = 0; i < geometry.parity; i++) parity[i] = blocks[geometry.data + i].bytes.data() + block_offset;
    if (geometry.parity > 0) Erasure::of(geometry.data, geometry.parity).encode(data, parity, cell);
    for (auto& b : blocks) {
        for (u32 at = block_offset; at < block_offset + cell; at += kPage) b.plain.push_back(plainSum(b.bytes.data() + at, kPage));
        b.ready = block_offset + cell;
    }
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
            rest.append(reinterpret_cast<const char*>(blocks[p / geometry.cell].bytes.data()) + static_cast<u64>(sealed) * geometry.cell + in_cell, n);
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

u64 SpanJob::blockSum(u32 index) const {
    return plainSum(blocks[index].plain.data(), blocks[index].plain.size() * sizeof(u64));
}

void SpanJob::abandon() {
    completed = abandoned = true;
    changed.pulse();
}

}  // namespace skua::client
