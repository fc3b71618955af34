// The frame: what a connection carries after the handshake. Little-endian.
//
//   offset  size
//    0       4     magic "SKF1"
//    4       1     kind (transport.h)
//    5       1     flags: 1 a reply
//    6       2     zero
//    8       8     call: chosen by the asking side, repeated by the reply; 0: nobody answers (kRaft only)
//   16       4     length of the body, at most kMaxBody
//   20       4     length of the payload, at most kMaxPayload
//   24       8     XXH3-64 of the body
//   32      24     zero
//   56       8     XXH3-64 of bytes 0..55
//   64             body, padded with zeros to a multiple of 64; then payload, padded likewise
//
// Everything starts at multiples of 64, so that the kernel copies into aligned memory (limits.md, law 2).
// The payload has no sum here: blocks carry sums of their pages from end to end.
//
// FrameParser is the receiving half, pure: it says where the next bytes go and takes them. After an
// Error it must not be used again: the stream has lost its place, close the connection.
#pragma once

#include <cstring>
#include <string>
#include "core/base/result.h"
#include "core/net/transport.h"

namespace skua::net {

inline constexpr std::size_t kFrameHeader = 64, kFrameAlign = 64;
inline constexpr u8 kFlagReply = 1;
inline constexpr u64 kNoCall = 0;
constexpr std::size_t padded(std::size_t n) { return (n + kFrameAlign - 1) & ~(kFrameAlign - 1); }

struct FrameHeader {
    Kind kind = Kind::kError;
    u8 flags = 0;
    u64 call = 0;
    u32 body = 0, payload = 0;
    u64 body_sum = 0;
    bool reply() const { return flags & kFlagReply; }
};

u64 bodySum(std::string_view body);
void writeHeader(const FrameHeader& header, u8* to); // 64 bytes
Result<FrameHeader> readHeader(const u8* from);      // Corrupt: what is wrong with it

// Buffers for payloads, one set per process: at least `size` bytes long, rounded up to 64.
Buffer takePayload(std::size_t size);

class FrameSink {
public:
    // Error: close the connection.
    virtual Result<> received(const FrameHeader& header, Message&& message) = 0;
    // Take no more for now; arrived(0) goes on.
    virtual bool paused() const { return false; }

protected:
    ~FrameSink() = default;
};

class FrameParser {
public:
    FrameParser();
    // Where the next bytes go; never empty. Valid until arrived().
    std::span<u8> room();
    // room() is exactly what is missing of something, so wait for all of it.
    bool wantsAll() const { return state_ != State::kFrames; }
    // `n` bytes have been put into room().
    Result<> arrived(std::size_t n, FrameSink& sink);
    bool betweenFrames() const { return state_ == State::kFrames && begin_ == end_; }

private:
    enum class State : u8 { kFrames, kBody, kPayload };
    Result<> parse(FrameSink& sink);
    Result<> beginPayload(FrameSink& sink);
    Result<> deliver(FrameSink& sink);
    static constexpr std::size_t kBuffer = 128u << 10;
    Buffer buffer_;
    std::size_t begin_ = 0, end_ = 0; // of what has not been parsed
    State state_ = State::kFrames;
    FrameHeader header_;
    Message message_;
    std::size_t filled_ = 0; // of the body (kBody) or payload (kPayload)
    Buffer whole_;           // the payload with its padding
};

} // namespace skua::net
