// Arbitrary bytes, arriving in arbitrary pieces, to the receiving half of a connection. The first byte
// says how large the pieces are; if the second is odd, headers get right sums, so that what is behind the
// sums is reached too.
#include <algorithm>
#include <cstring>
#include <string>
#include "core/base/errors.h"
#include "core/net/frame.h"
#include "core/wire/codec.h"

using namespace skua;
using namespace skua::net;

namespace {
struct Sink final : FrameSink {
    Result<> received(const FrameHeader& header, Message&& message) override {
        CHECK(message.body.size() == header.body && message.payload.size() == header.payload);
        Error error;
        (void)wire::decode(message.body, error);
        return Ok{};
    }
};
} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 2) return 0;
    const std::size_t piece = data[0] ? data[0] : 100'000;
    std::string bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
    if (data[1] & 1) {
        for (std::size_t at = 0; at + kFrameHeader <= bytes.size();) {
            FrameHeader h;
            h.kind = static_cast<Kind>(bytes[at + 4]);
            h.flags = static_cast<u8>(bytes[at + 5]) & 3;
            std::memcpy(&h.call, &bytes[at + 8], 8);
            h.body = static_cast<u8>(bytes[at + 16]);
            h.payload = static_cast<u8>(bytes[at + 20]) * 16u;
            const std::size_t body = std::min<std::size_t>(h.body, bytes.size() - at - kFrameHeader);
            h.body_sum = bodySum({bytes.data() + at + kFrameHeader, body});
            writeHeader(h, reinterpret_cast<u8*>(bytes.data() + at));
            at += kFrameHeader + padded(h.body) + padded(h.payload);
        }
    }
    FrameParser parser;
    Sink sink;
    for (std::size_t at = 0; at < bytes.size();) {
        const auto room = parser.room();
        CHECK(!room.empty());
        const std::size_t n = std::min({room.size(), piece, bytes.size() - at});
        std::memcpy(room.data(), bytes.data() + at, n);
        at += n;
        if (!parser.arrived(n, sink)) break;
    }
    return 0;
}
