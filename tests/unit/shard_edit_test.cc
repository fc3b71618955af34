// EditContent against a naive model of byte ranges, and long random histories of contents.
#include <set>
#include "core/base/random.h"
#include "tests/unit/shard_content_world.h"

namespace skua::shard {
namespace {

using World = ContentWorld;

// A file as bytes: each is 0 (a hole) or names the put and the place in it that it came from.
struct Naive {
    struct Piece {
        u64 from = 0, to = 0;
        u64 token = 0; // 0: a hole
    };
    std::vector<Piece> pieces;
    bool inlined = false;
    u64 size = 0;

    static std::vector<u64> bytesOf(const std::vector<Piece>& pieces) {
        std::vector<u64> bytes;
        for (const Piece& p : pieces)
            for (u64 i = p.from; i < p.to; i++) bytes.push_back(p.token ? p.token << 32 | (i - p.from) : 0);
        return bytes;
    }
    // False: must be refused.
    bool edit(const std::vector<Piece>& puts, u64 new_size) {
        std::vector<int> put(new_size, 0);
        u64 end = 0;
        for (const Piece& p : puts) {
            if (p.from < end || p.to > new_size) return false;
            end = p.to;
            for (u64 i = p.from; i < p.to; i++) put[i] = 1;
        }
        for (u64 i = inlined ? 0 : size; i < new_size; i++)
            if (!put[i]) return false;
        std::vector<Piece> next = puts;
        for (const Piece& old : inlined ? std::vector<Piece>{} : pieces) {
            u64 left = 0;
            for (u64 i = old.from; i < std::min(old.to, new_size); i++) left += !put[i];
            if (left == old.to - old.from) {
                next.push_back(old);
            } else if (left != 0) {
                if (old.token) return false;
                for (u64 i = old.from; i < std::min(old.to, new_size); i++)
                    if (!put[i]) next.push_back({i, i + 1, 0});
            }
        }
        std::sort(next.begin(), next.end(), [](const Piece& a, const Piece& b) { return a.from < b.from; });
        pieces = next;
        size = new_size;
        inlined = false;
        return true;
    }
};

struct Edited : testing::TestWithParam<u64> {};

TEST_P(Edited, SpansAreWhatANaiveModelSays) {
    Random rng(GetParam());
    World w;
    World::Ids ids = w.reserve();
    Attributes a = w.file(ids, "f", {});
    Naive model;
    int done = 0, refused = 0;
    for (int round = 0; round < 1500; round++) {
        if (round % 500 == 499) ids = w.reserve();
        if (rng.oneIn(40)) {
            EditContent op = World::editOf(a, {}, rng.below(100), {});
            op.inline_bytes = Bytes{std::string(op.size, 'i')};
            auto r = w.write(op);
            ASSERT_TRUE(r);
            a = r->attributes;
            model.pieces.clear();
            model.inlined = true;
            model.size = op.size;
            continue;
        }
        u64 size = rng.oneIn(3) ? rng.below(300) : model.size;
        std::vector<SpanWithProofs> puts;
        std::vector<Naive::Piece> pieces;
        // Mostly what a careful client puts: whole old spans, and what is missing up to the size.
        std::set<u64> edges{0, size, std::min(size, model.size)};
        for (const auto& p : model.pieces)
            if (p.to <= size) edges.insert({p.from, p.to});
        const u64 around = rng.below(size + 1);
        for (auto e = edges.begin(); e != edges.end() && std::next(e) != edges.end(); ++e) {
            const u64 from = *e, to = *std::next(e);
            const bool needed = from >= (model.inlined ? 0 : model.size) || (to == size && size < model.size);
            const bool wanted = from <= around && around < to;
            if (!needed && !wanted && !rng.oneIn(12)) continue;
            u64 at = from;
            if (rng.oneIn(30)) at += rng.below(3); // and sometimes not so careful
            while (at < to) {
                u64 length = rng.oneIn(2) ? to - at : 1 + rng.below(to - at);
                if (rng.oneIn(60)) length++;
                if (rng.oneIn(4)) {
                    puts.push_back(World::hole(at, length));
                    pieces.push_back({at, at + length, 0});
                } else {
                    puts.push_back(w.span(ids, a.content, at, static_cast<u32>(length)));
                    pieces.push_back({at, at + length, 1 + (u64{ids.reservation.value} << 24 | puts.back().span.blocks[0].id.n)});
                }
                at += length;
                if (wanted && !needed && rng.oneIn(3)) break;
            }
        }
        if (puts.size() > kMaxSpansPerCommit) continue;
        Naive after = model;
        const bool allowed = after.edit(pieces, size);
        auto r = w.write(World::editOf(a, ids.reservation, size, puts));
        ASSERT_EQ(r.has_value(), allowed) << "round " << round << " " << (r ? "" : r.error().message());
        if (!allowed) {
            ASSERT_EQ(r.code(), Code::Invalid);
            refused++;
            continue;
        }
        done++;
        a = r->attributes;
        model = after;
        std::vector<SpanRecord> spans;
        for (bool more = true; more;) { // in pieces, as a reader asks
            std::vector<SpanRecord> some;
            more = contents::readSpans(w.kv, a.content, spans.empty() ? 0 : spans.back().end(), 7, some);
            ASSERT_TRUE(!more || some.size() == 7);
            spans.insert(spans.end(), some.begin(), some.end());
        }
        std::vector<Naive::Piece> found;
        u64 stored = 0;
        for (const SpanRecord& s : spans) {
            const bool data = !s.geometry.hole();
            found.push_back({s.offset, s.end(), data ? 1 + (u64{s.blocks[0].id.reservation.value} << 24 | s.blocks[0].id.n) : 0});
            stored += data ? s.length : 0;
        }
        ASSERT_EQ(Naive::bytesOf(found), Naive::bytesOf(model.pieces)) << "round " << round;
        ASSERT_EQ(a.stored, stored);
        if (round % 50 == 0) ASSERT_EQ(w.problems(), "");
    }
    EXPECT_GT(done, 500);
    EXPECT_GT(refused, 20);
    w.pass(31 * kMinute);
    w.purge();
    EXPECT_EQ(w.problems(), "");
}
INSTANTIATE_TEST_SUITE_P(Seeds, Edited, testing::Range<u64>(1, 5));

TEST(SpanAt, FindsTheSpanOfEveryByteHoweverLongSpansAre) {
    World w;
    World::Ids ids = w.reserve();
    const ContentId c = ids.content();
    std::vector<SpanWithProofs> spans;
    Random rng(5);
    u64 at = 0;
    for (int i = 0; i < 60; i++) {
        if (i % 3 == 0) spans.push_back(World::hole(at, 1 + rng.below(1ull << (10 + i % 45))));
        else spans.push_back(w.span(ids, c, at, 1 + static_cast<u32>(rng.below(i % 7 ? 300 : 1 << 20))));
        at = spans.back().span.end();
    }
    ASSERT_TRUE(w.write(w.commit(ids, "f", World::contentOf(c, spans))));
    for (const SpanWithProofs& s : spans)
        for (u64 offset : {s.span.offset, s.span.offset + s.span.bytes() / 2, s.span.end() - 1}) {
            auto found = contents::spanAt(w.kv, c, offset);
            ASSERT_TRUE(found);
            EXPECT_EQ(found->offset, s.span.offset);
        }
    EXPECT_FALSE(contents::spanAt(w.kv, c, at));
}

TEST(ShardEdit, TooManyReplacedSpansAreRefusedAndCutInSteps) {
    World w;
    World::Ids ids = w.reserve();
    const ContentId c = ids.content();
    u64 at = 0;
    u32 count = 0;
    while (count < contents::kMostReplaced + 100) {
        StageSpans op{ids.reservation, c, {}};
        for (u32 i = 0; i < kMaxSpansPerCommit; i++, count++, at += 10) op.spans.push_back(w.span(ids, c, at, 10, {1, 0, kPage}));
        ASSERT_TRUE(w.write(op));
    }
    NewContent content;
    content.content = c;
    content.size = at;
    content.span_count = count;
    Attributes a = w.write(w.commit(ids, "f", content))->attributes;
    EXPECT_EQ(w.write(World::editOf(a, {}, 0, {})).code(), Code::TooLarge);
    auto half = w.write(World::editOf(a, {}, at / 20 * 10, {}));
    ASSERT_TRUE(half);
    EXPECT_TRUE(w.write(World::editOf(half->attributes, {}, 0, {})));
    EXPECT_EQ(w.problems(), "");
    w.pass(31 * kMinute);
    w.purge();
    EXPECT_EQ(w.read(Usage{})->garbage_blocks, count);
}

// Many files and clients, everything that contents can go through, in any order, with restarts.
TEST(ShardContents, InvariantsHoldAfterTwentyThousandRandomOperations) {
    Random rng(11);
    World w;
    World::Ids ids = w.reserve();
    std::map<std::string, InodeId> files;
    std::map<BlockServiceId, std::set<BlockId>> disks; // what services have written
    u64 ok = 0;
    auto newSpans = [&](ContentId c) {
        std::vector<SpanWithProofs> spans;
        u64 at = 0;
        for (u64 n = rng.below(5); n > 0; n--) {
            spans.push_back(rng.oneIn(5) ? World::hole(at, 1 + rng.below(1 << 20))
                                         : w.span(ids, c, at, 1 + static_cast<u32>(rng.below(60'000)),
                                                  rng.oneIn(2) ? kCopies : kWide, 1 + static_cast<u32>(rng.below(8))));
            at = spans.back().span.end();
        }
        for (const auto& s : spans)
            for (const BlockRef& b : s.span.blocks) disks[b.service].insert(b.id);
        return spans;
    };
    auto newContent = [&] {
        const ContentId c = ids.content();
        if (rng.oneIn(3)) return World::inlineOf(c, std::string(rng.below(200), 'x'));
        NewContent content = World::contentOf(c, newSpans(c));
        if (content.spans.size() > 2 && rng.oneIn(2)) {
            StageSpans op{ids.reservation, c, {content.spans.begin(), content.spans.begin() + 2}};
            EXPECT_TRUE(w.write(op));
            content.spans.erase(content.spans.begin(), content.spans.begin() + 2);
        }
        return content;
    };
    for (int i = 0; i < 20'000; i++) {
        if (ids.next % 10'000 > 9'900 || rng.oneIn(1000)) ids = w.reserve();
        const std::string name = "f" + std::to_string(rng.below(40));
        auto at = files.find(name);
        const InodeId inode = at == files.end() ? InodeId::make(InodeType::kFile, 1ull << 40, {0}) : at->second;
        auto opened = w.read(Open{inode});
        bool good = false;
        switch (rng.below(11)) {
            case 0:
            case 1: {
                CommitFile op = w.commit(ids, name, newContent());
                if (rng.oneIn(2)) op.commit_mode = CommitMode::kReplace;
                good = w.write(op).has_value();
                if (good) files[name] = op.inode;
                break;
            }
            case 2: good = w.write(SetContent{inode, ids.reservation, newContent(), {}, {}, {}}).has_value(); break;
            case 3:
            case 4: {
                if (!opened) break;
                auto puts = newSpans(opened->attributes.content);
                const u64 size = puts.empty() ? rng.below(opened->attributes.size + 1) : puts.back().span.end();
                good = w.write(World::editOf(opened->attributes, ids.reservation, size, puts)).has_value();
                break;
            }
            case 5: {
                good = w.write(Unlink{kRoot, name, {}, rng.oneIn(3)}).has_value();
                if (good) files.erase(name);
                break;
            }
            case 6: {
                auto past = w.read(PastContents{inode});
                if (!past || past->contents.empty()) break;
                const Wall until = past->contents[rng.below(past->contents.size())].until;
                good = rng.oneIn(2) ? w.write(RestoreContent{inode, until}).has_value()
                                    : w.write(PurgeNow{inode, "", until}).has_value();
                break;
            }
            case 7: {
                if (!opened || opened->spans.empty()) break;
                const SpanRecord& s = opened->spans[rng.below(opened->spans.size())];
                if (s.geometry.hole()) break;
                const u8 index = static_cast<u8>(rng.below(s.blocks.size()));
                if (rng.oneIn(2)) {
                    good = w.write(ReportBad{s.blocks[index].service, {s.blocks[index].id}}).has_value();
                    break;
                }
                World::Ids repair = w.reserve(0, true);
                ReplaceBlock op{repair.reservation,
                                opened->attributes.content,
                                s.offset,
                                index,
                                s.blocks[index].id,
                                w.block(repair, opened->attributes.content, 20 + static_cast<u32>(rng.below(40))),
                                {}};
                op.block.sum = s.blocks[index].sum;
                op.proof = w.prove(op.block, geometry::blockLength(s.geometry, s.length));
                disks[op.block.service].insert(op.block.id);
                good = w.asServer(op).has_value();
                break;
            }
            case 8: {
                const BlockServiceId service{1 + static_cast<u32>(rng.below(14))};
                auto blocks = w.garbage(service.value);
                if (blocks.size() > 10) blocks.resize(10);
                for (const BlockId& b : blocks) ASSERT_EQ(disks[service].erase(b), 1u) << "garbage that was erased before";
                good = w.asServer(DoneGarbage{service, blocks}).has_value();
                break;
            }
            case 9: {
                if (rng.oneIn(2)) w.pass(rng.below(3 * kHour));
                if (rng.oneIn(40)) w.pass(3 * kDay);
                good = w.write(Purge{1 + static_cast<u32>(rng.below(50))}, 0, true, true).has_value();
                break;
            }
            case 10: {
                good = w.write(Hold{{inode},
                                    {inode.isFile() && opened ? opened->attributes.content : ContentId::make(1, {0})},
                                    rng.oneIn(2)})
                           .has_value();
                break;
            }
        }
        ok += good;
        if (!w.write(KeepReservation{{ids.reservation}})->gone.empty()) ids = w.reserve();
        if (i % 500 == 0) {
            w.restart();
            ASSERT_EQ(w.problems(), "") << "after " << i;
        }
    }
    EXPECT_GT(ok, 8'000u);
    // In the end everything dies; every block that was ever written is told dead, and nothing is left.
    for (const auto& [name, inode] : files) ASSERT_TRUE(w.write(Unlink{kRoot, name, {}, false}));
    for (int i = 0; i < 4; i++) {
        w.pass(8 * kDay);
        w.purge();
    }
    ASSERT_EQ(w.problems(), "");
    for (auto& [service, blocks] : disks) {
        std::vector<BlockId> all(blocks.begin(), blocks.end());
        all.resize(std::min<std::size_t>(all.size(), 4096));
        for (FateOf f : w.fates(service, all)) ASSERT_EQ(f, FateOf::kDead);
        for (auto garbage = w.garbage(service.value); !garbage.empty(); garbage = w.garbage(service.value))
            ASSERT_TRUE(w.asServer(DoneGarbage{service, garbage}));
    }
    const auto usage = w.read(Usage{});
    EXPECT_EQ(usage->files, 0u);
    EXPECT_EQ(usage->bytes, 0u);
    EXPECT_EQ(usage->past_bytes, 0u);
    EXPECT_EQ(usage->garbage_blocks, 0u);
    for (const auto& [key, value] : w.kv.rows())
        EXPECT_EQ(std::string_view("vsotfdrbhxgp").find(key[0]), std::string_view::npos) << "a row is left in table " << key[0];
}

} // namespace
} // namespace skua::shard
