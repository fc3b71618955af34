// Connection: frames over one TCP socket, both ways, after the handshake.
//
// Sending never waits: frames are queued, and what was queued in one turn of the ring leaves in one
// sendmsg. Small bodies are copied together, large ones and payloads are sent from where they are.
// run() receives until either side closes. Used by Server and Pool; a shared_ptr because replies and
// the kernel may outlive its owner's interest. Thread-safety: none.
#pragma once

#include <memory>
#include <vector>
#include "core/async/ring.h"
#include "core/async/sync.h"
#include "core/net/frame.h"
#include "core/net/handshake.h"

namespace skua::net {

inline constexpr std::size_t kMaxOutstanding = 1024;      // calls of one connection
inline constexpr std::size_t kMaxQueuedBytes = 64u << 20; // not yet given to the kernel
inline constexpr std::size_t kMaxHeldBytes = 64u << 20;   // of requests not yet answered

class Connection final : public std::enable_shared_from_this<Connection>, FrameSink, Completion, Guest {
public:
    class Listener {
    public:
        virtual Result<> received(Connection& connection, const FrameHeader& header, Message&& message) = 0;

    protected:
        ~Listener() = default;
    };
    // Takes the fd. `listener` outlives run().
    Connection(Ring& ring, int fd, Peer peer, Listener& listener);
    ~Connection();

    // Receives until the end; then nothing of it is under way and the fd is closed. The Error says why it
    // ended. Who awaits it keeps it alive.
    Task<Error> run();
    // Ends it soon. Idempotent.
    void close(Error why);
    bool open() const { return open_; }

    // Queues one frame. The ticket tells afterwards whether the kernel may have seen it: started().
    // A closed connection takes and drops it (ticket 0).
    u64 send(Kind kind, u8 flags, u64 call, std::string&& body, Buffer payload);
    bool started(u64 ticket) const { return ticket != 0 && ticket <= startedBatch_; }
    std::size_t queuedBytes() const { return queued_; }
    bool full() const { return queued_ > kMaxQueuedBytes; }

    // A request of so many bytes was received and is to be answered; it was. Receiving pauses at
    // kMaxOutstanding of them, at kMaxHeldBytes in them, and while full().
    void asked(std::size_t bytes) {
        outstanding_++;
        held_ += bytes;
    }
    void answered(std::size_t bytes);
    std::size_t outstanding() const { return outstanding_; }

    const Peer& peer() const { return peer_; }
    Ring& ring() { return ring_; }

private:
    // Frames that leave together: small ones copied into `staged`, others referred to.
    struct Piece {
        const u8* at;
        std::size_t staged_from;
        std::size_t size;
    }; // at null: in staged
    struct Batch {
        std::string staged;
        std::vector<Piece> pieces;
        std::vector<std::string> bodies;
        std::vector<Buffer> payloads;
        std::size_t bytes = 0;
        void clear();
        void stage(const void* from, std::size_t size);
        void refer(const void* from, std::size_t size);
    };
    Result<> received(const FrameHeader& header, Message&& message) override;
    void prepare() override;            // hands the filled batch to the kernel
    void complete(int result) override; // of a sendmsg
    void sendRest();
    bool paused() const override { return open_ && (outstanding_ >= kMaxOutstanding || held_ >= kMaxHeldBytes || full()); }

    Ring& ring_;
    int fd_;
    Peer peer_;
    Listener& listener_;
    bool open_ = true, running_ = false, sending_ = false, soon_ = false;
    Error why_;
    std::size_t outstanding_ = 0, held_ = 0;
    FrameParser parser_;
    Event progress_; // sent, answered or closed: look again

    Batch filling_, leaving_;
    u64 fillingBatch_ = 1, startedBatch_ = 0;
    std::size_t queued_ = 0;
    std::vector<iovec> vectors_;
    std::size_t firstVector_ = 0;
    msghdr header_{};
};

// Options of a connected socket: no delay, keepalive, CUBIC on loopback (limits.md).
void tuneSocket(int fd, bool loopback);

} // namespace skua::net
