// Stream: a whole content on its way to the block services while its file is still being written.
//
//   overlay   |xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx|      what the program wrote, in order
//   parts     | sent | sent | being filled |        one span each, on a fixed grid of the policy's span size
//
// Bytes that follow each other from the beginning are sent as they come (feed()); they stay in the overlay.
// Who changes bytes that were sent says touched(): that span is void, and finish() writes it anew under new
// block ids. finish() writes what is missing too, holes as holes, and stages what is too long for one commit.
// Bytes of spans that are with the services may be let go of (letGo()); they are read back if need be.
// A content that was staged, or whose commit failed, is not used again: begin anew with another id.
#pragma once

#include <memory>
#include <vector>
#include "client/writer.h"
#include "fuse/overlay.h"

namespace skua::fuse {

class Stream {
public:
    // The overlay outlives it. `policy` is resolved; `content` is under id's reservation.
    Stream(client::Client& client, const Overlay& overlay, Policy policy, client::NewId id, ContentId content);
    ~Stream();
    Stream(const Stream&) = delete;

    const client::NewId& id() const { return id_; }
    ContentId content() const { return content_; }
    const Policy& policy() const { return policy_; }

    // Sends what is there. At most one at a time (feeding()); ends when there is too little left to send.
    Task<> feed();
    bool feeding() const { return feeding_; }
    void stop() { stopping_ = true; } // for good; feed() ends soon
    // Bytes that feed() could send.
    u64 waiting() const;
    // Set (as a pulse) whenever feed() got on or ended.
    Event& progress() { return progress_; }

    // Bytes of [from, to) are others now.
    void touched(u64 from, u64 to);

    // The content as the overlay has it, 0..size. feed() is ended first; nobody may write meanwhile.
    Task<Result<shard::NewContent>> finish(u64 size);
    bool staged() const { return staged_ > 0; }

    // Lets go of about so many bytes that are sent, the oldest first. May need to ask for the read key once.
    Task<> letGo(Overlay& overlay, u64 bytes);
    // How many those would be.
    u64 durable() const;
    // Nothing was changed that was sent: the program writes from the beginning to the end.
    bool sequential() const { return sequential_; }

private:
    class Sent;
    struct Part {
        std::unique_ptr<client::SpanWriter> writer; // null: taken by who waits for it, or ready
        shard::SpanWithProofs span;
        u64 filled = 0, budget = 0;
        bool complete = false, ready = false, bad = false, gone = false; // gone: from memory
    };
    using PartPtr = std::shared_ptr<Part>;
    struct Parts {
        std::vector<PartPtr> all;
        std::size_t settled = 0; // those before are ready, or bad
    };
    Task<Result<>> settle(std::size_t in_flight_most);
    Task<Result<>> settleParts(Parts& parts, std::size_t in_flight_most);
    Task<Result<>> rewrite(u64 from, u64 to, Parts& into);
    Task<Result<>> writeRun(u64 from, u64 to, Parts& into);
    Task<Result<>> takeBudget(Parts& parts, u64& budget);
    Task<Result<>> stage(std::vector<shard::SpanWithProofs>& spans);
    void giveBudget(Part& part);
    void fillFromOverlay(client::SpanWriter& writer, u64 from, u64 to); // nothing of it is sent
    Task<Result<>> fillFromAnywhere(client::SpanWriter& writer, u64 from, u64 to);
    void fillZeros(client::SpanWriter& writer, u64 bytes);

    client::Client& client_;
    const Overlay& overlay_;
    const Policy policy_;
    const client::NewId id_;
    const ContentId content_;
    const u64 span_; // bytes of a full one
    Parts parts_;
    u64 sent_ = 0, kept_ = 0; // kept_: the first part that may still be in memory
    bool feeding_ = false, stopping_ = false, sequential_ = true, keyRefused_ = false;
    u32 staged_ = 0;
    std::vector<u8> zeros_;
    std::shared_ptr<Sent> sentSource_;
    Event progress_;
};

} // namespace skua::fuse
