// SpanWriter and FileWriter: bytes become erasure-coded, durable blocks (design: blocks.md, "Writing").
//
//   FileWriter writer(client, policy, dir.shard());
//   CO_TRY_OK(co_await writer.append(bytes));  ...  writer.skip(n) for holes
//   CO_TRY(shard::NewContent content, co_await writer.finish());
//   CommitFile{..., reservation: writer.reservation(), inode: writer.id().inode(InodeType::kFile), content}
//
// Bytes are copied. Up to the policy's `inline` they stay in the NewContent. Else spans: cells are encoded
// and sent as stripes fill, to services in distinct failure domains; two spans in flight. A block whose
// service fails or is slow (over 3 x the median of its peers and 500 ms) is written again elsewhere under a
// new id. Where there are too few domains a span has at least min(data + parity, data + 1) blocks, a warning
// is logged and the rest is owed by repair; with fewer, finish() and append() say NoSpace. Past 64 spans they
// are staged. After an error every call repeats it. A writer may be destroyed at any time between calls:
// what it wrote and nobody commits is swept by the cluster.
#pragma once

#include <sys/uio.h>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include "client/client.h"

namespace skua::client {

// Reads exactly what `into` takes, from `at` on; called on the coder's thread. The Error names the object.
using StripeRead = std::function<Result<>(u64 at, std::span<const iovec> into)>;

struct SpanJob; // a span on its way to the services; shared with its tasks

// One span. fill() may be called until room() is 0; then finish(). For whole-span writers (FUSE, edits) too.
class SpanWriter {
public:
    // `id` gives block ids under its reservation; `policy` is resolved; `offset` in the file.
    // `length_known`: the span's length if it is known (its scheme is then chosen at once), else 0.
    SpanWriter(Client& client, NewId id, ContentId content, const Policy& policy, u64 offset, u64 length_known = 0);
    ~SpanWriter();
    SpanWriter(SpanWriter&&) noexcept;
    SpanWriter& operator=(SpanWriter&&) noexcept;

    u64 room() const;
    u64 filled() const;
    // Takes up to room() bytes: how many. Starts sending what is whole.
    std::size_t fill(std::span<const u8> bytes);
    // The next stripe of so many bytes is read to its place by the client's coder, without a copy: on an empty
    // writer made with `length_known`, then again and again; not mixed with fill(). 0: use fill(). What read() says
    // wrong is finish()'s Error.
    u32 read(const StripeRead& from, u64 at);
    void complete();                              // nothing follows; idempotent
    Task<> sealed();                              // waits until no read() is under way or to come
    bool done() const;                            // finish() would not wait
    Task<Result<shard::SpanWithProofs>> finish(); // complete(), and waits for the receipts

private:
    std::shared_ptr<SpanJob> job_;
};

// A span of its own for these bytes (1 .. maxSpan(policy)).
Task<Result<shard::SpanWithProofs>> writeSpan(Client& client, NewId id, ContentId content, Policy policy, u64 offset,
                                              std::span<const u8> bytes);
// Bytes that a file may keep inline under this (resolved) policy.
u32 inlineMost(const Policy& policy);
// The record of a hole.
shard::SpanWithProofs holeSpan(u64 offset, u64 bytes);

class FileWriter {
public:
    // The content will live in `shard`: that of the directory (new file) or of the inode (SetContent).
    FileWriter(Client& client, Policy policy, ShardId shard);
    // Under an id that was taken before, whose content is not used yet.
    FileWriter(Client& client, Policy policy, NewId id);
    ~FileWriter();
    FileWriter(const FileWriter&) = delete;

    Task<Result<>> append(std::span<const u8> bytes);
    // As append() of `bytes` bytes from `at` on of something that can be read from any thread at any time until this
    // call returns: how many were taken, which may be 0; the rest is the caller's.
    Task<Result<u64>> appendFrom(const StripeRead& read, u64 at, u64 bytes);
    Task<Result<>> skip(u64 bytes); // zeros that cost nothing
    Task<Result<shard::NewContent>> finish();
    // It is not committed, for whatever reason: gives back what was written. Nothing is called after it.
    Task<> giveUp();

    u64 size() const { return size_; }
    const NewId& id() const { return id_; } // of the content; after the first await
    ContentId content() const { return id_.content(); }
    ReservationId reservation() const { return id_.reservation(); }

private:
    struct Part {                           // in order of offset
        std::unique_ptr<SpanWriter> writer; // null: a hole, or finished
        shard::SpanWithProofs span;
        bool ready = false;
        u64 budget = 0;
    };
    Task<Result<>> begin();
    Task<Result<>> put(std::span<const u8> bytes);
    Task<Result<>> openSpan(u64 length_known = 0);
    Task<Result<>> settle(std::size_t in_flight_most);
    Task<Result<>> stage(std::size_t keep);
    Task<Result<>> hole(u64 bytes);
    void closeSpan();
    std::size_t inFlight() const;

    Client& client_;
    Policy policy_;
    ShardId shard_;
    NewId id_;
    bool begun_ = false, streaming_ = false;
    std::string head_; // while it may still be inline
    u64 size_ = 0;
    std::unique_ptr<SpanWriter> current_;
    u64 currentBudget_ = 0;
    std::deque<Part> parts_;
    u32 staged_ = 0;
    Error failed_;
};

} // namespace skua::client
