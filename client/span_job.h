// SpanJob: one span on its way to the block services. Shared by the SpanWriter that fills it and by the
// tasks that send it; inner part of writer.h.
//
//   fill() ──► stripe whole: encode, sums ──► blocks[i].ready grows ──► attempts send pieces
//   read() ──► (coder's thread) stripe read, encode, sums ──► the same
//   complete() ──► last stripe, shorter ──► attempts finish ──► receipts ──► finished
//
// Each block has one driver, which starts attempts (a service and a block id each): the next one when the
// last failed, or when it is slow; the first receipt wins. Attempts that lose go on by themselves until
// their calls end; what they wrote is never committed, and swept.
#pragma once

#include <memory>
#include <vector>
#include "client/client.h"
#include "client/writer.h"
#include "core/data/geometry.h"

namespace skua::client {

struct Attempt {
    BlockServiceId service;
    Incarnation incarnation;
    BlockId id;
    bool finished = false;
    bool doubted = false; // its service had failed lately: it is not waited for long
    Error error;
    Receipt receipt;
};

struct BlockJob {
    Buffer bytes;
    std::vector<u64> plain; // plain sums of its pages; of the ready ones they are final
    u32 ready = 0;          // bytes, whole pages, encoded
    BlockServiceId first;   // placed at the start; 0: none
    std::vector<std::shared_ptr<Attempt>> attempts;
    bool settled = false;         // a receipt, or left out
    std::shared_ptr<Attempt> won; // null when settled: left out
    u64 took_ns = 0;              // from completion to the receipt
};

struct SpanJob : std::enable_shared_from_this<SpanJob> {
    SpanJob(Client& c, NewId id, ContentId content, const Policy& policy, u64 offset, u64 length_known);

    std::size_t fill(std::span<const u8> bytes);
    void complete();
    // The next full stripe, straight from where its bytes are; only where the geometry was chosen and nothing is in
    // `head`, with a coder. False: this stripe is not a full one.
    bool read(const StripeRead& from, u64 at);
    void abandon(); // nobody wants it any more: attempts end where they are
    u64 room() const { return completed ? 0 : most - filled; }
    u64 blockSum(u32 index) const; // of the ready pages
    bool sealedAll() const { return completed && sealing == 0; }

    Client& client;
    const NewId id;
    const ContentId content;
    const Policy policy;
    const u64 offset;
    u32 most = 0; // bytes that it takes
    u32 filled = 0;
    Geometry geometry;
    bool chosen = false;  // the geometry is, and buffers are there
    std::string head;     // bytes until then
    u32 sealed = 0;       // stripes, or given to the coder
    u32 sealing = 0;      // of those, how many the coder still has; they end in order
    u32 block_length = 0; // final once completed, else the most it can be
    bool completed = false, finished = false, abandoned = false;
    Monotonic completed_at;
    std::vector<BlockJob> blocks;
    std::vector<BlockServiceId> avoid; // failed for this span
    Error error;
    Event changed;

private:
    void choose(u32 length);
    void lay(std::span<const u8> bytes);
    void seal(u32 block_offset, u32 cell);
    void encode(u32 block_offset, u32 cell);
    void encoded(u32 block_offset, u32 cell);
    static Task<> sealByCoder(std::shared_ptr<SpanJob> job, u32 block_offset, u32 cell, StripeRead read, u64 at);
};

// Places and sends it; ends when every block is settled. Spawned once, when the geometry is chosen.
Task<> runSpan(std::shared_ptr<SpanJob> job);

} // namespace skua::client
