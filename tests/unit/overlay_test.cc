// The bytes that were written on a mount and are not committed yet.
#include "fuse/overlay.h"

#include <gtest/gtest.h>
#include "core/base/random.h"

namespace skua::fuse {
namespace {

Result<Buffer> allocate(std::size_t size) { return Buffer::allocate(size); }

std::span<const u8> spanOf(const std::string& s) { return {reinterpret_cast<const u8*>(s.data()), s.size()}; }

// What the overlay says of [0, size): its bytes, '.' for zeros, '-' where it has nothing, 's' for sent.
std::string shown(const Overlay& overlay, u64 size) {
    std::string out;
    overlay.each(0, size, [&](u64 from, u64 to, const Overlay::Extent* e, u64 in_extent) {
        if (!e) out.append(to - from, '-');
        else if (e->sent()) out.append(to - from, 's');
        else if (e->zero()) out.append(to - from, '.');
        else out.append(reinterpret_cast<const char*>(e->bytes.data() + in_extent), to - from);
    });
    return out;
}

class Nowhere final : public Source {
public:
    Task<Result<std::vector<Buffer>>> read(u64, u64) override { co_return Error(Code::Io); }
};

TEST(Overlay, LaterWritesWin) {
    Overlay o(allocate);
    ASSERT_TRUE(o.write(2, spanOf("abcdef")));
    ASSERT_TRUE(o.write(4, spanOf("XY")));
    ASSERT_TRUE(o.write(0, spanOf("12345")));
    EXPECT_EQ(shown(o, 10), "12345Yef--");
    EXPECT_EQ(o.bytes(), 8u);
}

TEST(Overlay, ForgetsOnlyWhatIsNotNewer) {
    Overlay o(allocate);
    ASSERT_TRUE(o.write(0, spanOf("old")));
    const u64 picture = o.number();
    ASSERT_TRUE(o.write(5, spanOf("new")));
    o.forget(picture);
    EXPECT_EQ(shown(o, 8), "-----new");
}

TEST(Overlay, MemoryThatRunsOutIsAnError) {
    int left = 1;
    Overlay o([&](std::size_t size) -> Result<Buffer> {
        if (left-- <= 0) return Error(Code::NoSpace);
        return Buffer::allocate(size);
    });
    ASSERT_TRUE(o.write(0, spanOf("a")));
    EXPECT_EQ(o.write(1u << 20, spanOf("b")).code(), Code::NoSpace);
    EXPECT_EQ(shown(o, 3), "a--");
}

// Random writes, zeros, cuts, bytes sent and restored: against a string.
TEST(Overlay, IsWhatAStringIs) {
    for (u64 seed = 1; seed <= 50; seed++) {
        Random random(seed);
        constexpr u64 kSize = 20'000;
        std::string model(kSize, '-');
        Overlay o(allocate);
        const auto source = std::make_shared<Nowhere>();
        for (int step = 0; step < 300; step++) {
            const u64 at = random.below(kSize), n = 1 + random.below(random.oneIn(3) ? 6000 : 50), end = std::min(kSize, at + n);
            switch (random.below(8)) {
                case 0: {
                    o.zero(at, end - at);
                    model.replace(at, end - at, end - at, '.');
                    break;
                }
                case 1: {
                    if (!random.oneIn(4)) break;
                    o.truncate(at);
                    model.replace(at, kSize - at, kSize - at, '-');
                    break;
                }
                case 2: {
                    const u64 to = o.contiguous(at, end);
                    if (to <= at) break;
                    o.send(at, to, source);
                    model.replace(at, to - at, to - at, 's');
                    break;
                }
                default: {
                    const std::string bytes(end - at, static_cast<char>('A' + random.below(26)));
                    ASSERT_TRUE(o.write(at, spanOf(bytes)));
                    model.replace(at, end - at, bytes);
                }
            }
            ASSERT_EQ(shown(o, kSize), model) << "seed " << seed << " step " << step;
            u64 data = 0;
            for (char c : model) data += c != '-' && c != '.';
            ASSERT_EQ(o.bytes(), data) << "seed " << seed << " step " << step;
        }
    }
}

} // namespace
} // namespace skua::fuse
