#include "core/net/frame.h"

#include <xxhash.h>
#include <algorithm>

namespace skua::net {

namespace {

struct Wire {
    u32 magic;
    u8 kind, flags;
    u16 zero;
    u64 call;
    u32 body, payload;
    u64 body_sum;
    u64 zeros[3];
    u64 header_sum;
};
static_assert(sizeof(Wire) == kFrameHeader);
constexpr u32 kMagic = 0x31464B53; // "SKF1"

} // namespace

u64 bodySum(std::string_view body) { return XXH3_64bits(body.data(), body.size()); }

void writeHeader(const FrameHeader& header, u8* to) {
    Wire w{kMagic, static_cast<u8>(header.kind), header.flags, 0, header.call, header.body, header.payload, header.body_sum, {},
           0};
    w.header_sum = XXH3_64bits(&w, offsetof(Wire, header_sum));
    std::memcpy(to, &w, sizeof w);
}

Result<FrameHeader> readHeader(const u8* from) {
    Wire w;
    std::memcpy(&w, from, sizeof w);
    if (w.magic != kMagic) return Error(Code::Corrupt, "not a frame of ours");
    if (w.header_sum != XXH3_64bits(&w, offsetof(Wire, header_sum)))
        return Error(Code::Corrupt, "a frame's header does not match its sum");
    if ((w.flags & ~kFlagReply) != 0 || w.zero != 0) return Error(Code::Corrupt, "a frame with flags that mean nothing");
    if (w.body > kMaxBody) return Error(Code::Corrupt, "a frame with a body of " + std::to_string(w.body) + " bytes");
    if (w.payload > kMaxPayload) return Error(Code::Corrupt, "a frame with a payload of " + std::to_string(w.payload) + " bytes");
    return FrameHeader{static_cast<Kind>(w.kind), w.flags, w.call, w.body, w.payload, w.body_sum};
}

Buffer takePayload(std::size_t size) {
    // Never freed: the last buffers may come back while the process exits.
    static auto* small = new BufferPool(64u << 10, 512);
    static auto* page = new BufferPool(4096, 4096);
    static auto* piece = new BufferPool(1u << 20, 128);
    static auto* large = new BufferPool(kMaxPayload, 8);
    CHECK(size <= kMaxPayload);
    Buffer b = (size <= 4096 ? page : size <= 64u << 10 ? small : size <= 1u << 20 ? piece : large)->take();
    b.shrink(padded(size));
    return b;
}

FrameParser::FrameParser() : buffer_(Buffer::allocate(kBuffer)) {}

std::span<u8> FrameParser::room() {
    switch (state_) {
        case State::kFrames: return {buffer_.data() + end_, kBuffer - end_};
        case State::kBody: return {reinterpret_cast<u8*>(message_.body.data()) + filled_, message_.body.size() - filled_};
        case State::kPayload: {
            // First up to the next multiple of 64: the kernel copies ten times slower to anywhere else.
            const std::size_t rest = whole_.size() - filled_, odd = filled_ % kFrameAlign;
            return {whole_.data() + filled_, odd ? std::min(rest, kFrameAlign - odd) : rest};
        }
    }
    return {};
}

Result<> FrameParser::arrived(std::size_t n, FrameSink& sink) {
    switch (state_) {
        case State::kFrames:
            end_ += n;
            CHECK(end_ <= kBuffer);
            break;
        case State::kBody:
            filled_ += n;
            if (filled_ < message_.body.size()) return Ok{};
            message_.body.resize(header_.body);
            TRY_OK(beginPayload(sink));
            break;
        case State::kPayload:
            filled_ += n;
            if (filled_ < whole_.size()) return Ok{};
            TRY_OK(deliver(sink));
            break;
    }
    return parse(sink);
}

Result<> FrameParser::parse(FrameSink& sink) {
    while (state_ == State::kFrames && end_ - begin_ >= kFrameHeader && !sink.paused()) {
        const u8* at = buffer_.data() + begin_;
        TRY(header_, readHeader(at));
        const std::size_t here = end_ - begin_ - kFrameHeader, body = padded(header_.body);
        const char* text = reinterpret_cast<const char*>(at) + kFrameHeader;
        if (kFrameHeader + body > kBuffer) {
            // Does not fit into the buffer: what is there is copied, the rest received where it belongs.
            filled_ = std::min(here, body);
            message_.body.resize(body);
            std::memcpy(message_.body.data(), text, filled_);
            begin_ += kFrameHeader + filled_;
            state_ = State::kBody;
            break;
        }
        if (here < body) break;
        message_.body.assign(text, header_.body);
        begin_ += kFrameHeader + body;
        TRY_OK(beginPayload(sink));
    }
    // What is left moves to the front when there is little of it, or little room behind it. Frames begin at
    // multiples of 64 in the stream and so in the buffer.
    const std::size_t left = end_ - begin_;
    if (begin_ > 0 && (left <= 4096 || end_ > kBuffer / 2)) {
        std::memmove(buffer_.data(), buffer_.data() + begin_, left);
        begin_ = 0;
        end_ = left;
    }
    return Ok{};
}

// The body is there.
Result<> FrameParser::beginPayload(FrameSink& sink) {
    if (bodySum(message_.body) != header_.body_sum) return Error(Code::Corrupt, "a frame's body does not match its sum");
    if (header_.payload == 0) return deliver(sink);
    whole_ = takePayload(header_.payload);
    filled_ = std::min(end_ - begin_, whole_.size());
    std::memcpy(whole_.data(), buffer_.data() + begin_, filled_);
    begin_ += filled_;
    if (filled_ == whole_.size()) return deliver(sink);
    state_ = State::kPayload;
    return Ok{};
}

Result<> FrameParser::deliver(FrameSink& sink) {
    state_ = State::kFrames;
    message_.kind = header_.kind;
    if (header_.payload != 0) {
        message_.payload = std::move(whole_);
        message_.payload.shrink(header_.payload);
    }
    Message message = std::move(message_);
    message_ = Message();
    whole_ = Buffer();
    return sink.received(header_, std::move(message));
}

} // namespace skua::net
