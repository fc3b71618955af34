// What a shard promises about contents: commits, edits, the past, garbage, repair.
#include "tests/unit/shard_content_world.h"

namespace skua::shard {
namespace {

using World = ContentWorld;

struct ShardContent : testing::Test {
    World w;
    World::Ids ids = w.reserve();
    void TearDown() override { EXPECT_EQ(w.problems(), ""); }
};

TEST_F(ShardContent, CommitIsSeenWholeByOpen) {
    const Attributes a = w.file(ids, "f", {10'000, 70'000, 5}, kWide);
    EXPECT_EQ(a.size, 80'005u);
    EXPECT_EQ(a.stored, 80'005u);
    const auto opened = w.read(Open{a.inode});
    ASSERT_TRUE(opened);
    EXPECT_EQ(opened->attributes, a);
    ASSERT_EQ(opened->spans.size(), 3u);
    EXPECT_EQ(opened->spans[2].offset, 80'000u);
    EXPECT_FALSE(opened->more);
    EXPECT_TRUE(readKeyHolds(w.keys.readKeyKey(), a.content, opened->read_key));
    EXPECT_EQ(w.read(Lookup{kRoot, "f"})->inode, a.inode);
}

TEST_F(ShardContent, InlineBytesNeedNoBlocks) {
    auto r = w.write(w.commit(ids, "f", World::inlineOf(ids.content(), "hello")));
    ASSERT_TRUE(r);
    EXPECT_EQ(w.read(Open{r->attributes.inode})->inline_bytes->value, "hello");
    auto too_many = w.commit(ids, "g", World::inlineOf(ids.content(), std::string(kMaxInline + 1, 'x')));
    EXPECT_EQ(w.write(too_many).code(), Code::TooLarge);
    auto wrong_size = w.commit(ids, "g", World::inlineOf(ids.content(), "hello"));
    wrong_size.content.size = 6;
    EXPECT_EQ(w.write(wrong_size).code(), Code::Invalid);
}

TEST_F(ShardContent, CommitIsRefusedWithAReceiptOfADiskThatHasAppearedElsewhereSince) {
    const auto mapSays = [&](u32 incarnation) {
        registry::ClusterMap map;
        map.disks.emplace_back();
        map.disks[0].id = {2};
        map.disks[0].incarnation = {incarnation};
        w.disks->install(map);
    };
    u32 n = 0;
    const auto commit = [&](u32 receipt_of) {
        const ContentId c = ids.content();
        SpanWithProofs s = w.span(ids, c, 0, 5000);
        s.proofs[1] = w.prove(s.span.blocks[1], geometry::blockLength(kCopies, 5000), {receipt_of});
        return w.write(w.commit(ids, "f" + std::to_string(n++), World::contentOf(c, {s}))).code();
    };
    EXPECT_EQ(commit(1), Code::Ok) << "nothing is known of any disk yet";
    mapSays(1);
    EXPECT_EQ(commit(1), Code::Ok);
    mapSays(2);
    EXPECT_EQ(commit(1), Code::Stale);
    EXPECT_EQ(commit(2), Code::Ok);
    EXPECT_EQ(commit(3), Code::Ok) << "our map is the older one";
}

TEST_F(ShardContent, CommitIsRefusedWithAForgedReceipt) {
    const ContentId c = ids.content();
    const SpanWithProofs good = w.span(ids, c, 0, 5000);
    auto refused = [&](SpanWithProofs s) { return w.write(w.commit(ids, "f", World::contentOf(c, {s}))).code(); };
    SpanWithProofs forged = good;
    forged.proofs[1].mac[0] ^= 1;
    EXPECT_EQ(refused(forged), Code::Invalid);
    SpanWithProofs other_sum = good;
    other_sum.span.blocks[1].sum++;
    EXPECT_EQ(refused(other_sum), Code::Invalid);
    SpanWithProofs other_service = good;
    other_service.span.blocks[1].service = {9};
    EXPECT_EQ(refused(other_service), Code::Invalid);
    SpanWithProofs other_block = good;
    other_block.span.blocks[1].id.n += 100;
    EXPECT_EQ(refused(other_block), Code::Invalid);
    SpanWithProofs longer = good;
    longer.span.length = 9000;
    EXPECT_EQ(refused(longer), Code::Invalid);
    SpanWithProofs missing = good;
    missing.proofs.pop_back();
    EXPECT_EQ(refused(missing), Code::Invalid);
    EXPECT_FALSE(w.read(Lookup{kRoot, "f"}));
    EXPECT_EQ(refused(good), Code::Ok);
}

TEST_F(ShardContent, SpansThatLieAboutThemselvesAreRefused) {
    const ContentId c = ids.content();
    const SpanWithProofs good = w.span(ids, c, 0, 50'000, kWide);
    // What the log holds need not have passed this leader's check.
    auto refused = [&](const SpanWithProofs& s) {
        return w.write(w.commit(ids, "f", World::contentOf(c, {s})), 1, false, false, false).code();
    };
    SpanWithProofs s = good;
    s.span.geometry.cell = 5000;
    EXPECT_EQ(refused(s), Code::Invalid);
    s = good;
    s.span.geometry.data = 3;
    EXPECT_EQ(refused(s), Code::Invalid);
    s = good;
    s.span.blocks[0].id.content.value += 1 << 16;
    EXPECT_EQ(refused(s), Code::Invalid);
    s = good;
    s.span.blocks[0].id.reservation.value++;
    EXPECT_EQ(refused(s), Code::Invalid);
    s = good;
    s.span.blocks[0].id = s.span.blocks[1].id;
    EXPECT_EQ(refused(s), Code::Invalid);
    s = good;
    s.span.blocks[0].service = s.span.blocks[1].service;
    EXPECT_EQ(refused(s), Code::Invalid);
    s = good;
    s.span.blocks[0].bad = true;
    EXPECT_EQ(refused(s), Code::Invalid);
    s = good;
    s.span.hole_length = 1;
    EXPECT_EQ(refused(s), Code::Invalid);
    s = World::hole(0, kMaxFileSize + 1);
    EXPECT_EQ(refused(s), Code::TooLarge);
    s = World::hole(~0ull - 5, 10);
    EXPECT_EQ(refused(s), Code::TooLarge);
}

TEST_F(ShardContent, AbandonedBlocksAreGarbageAtOnceAndNeverCommitted) {
    const ContentId c = ids.content();
    const SpanWithProofs s = w.span(ids, c, 0, 50'000, kWide);
    const AbandonBlocks give_up{ids.reservation, c, s.span.blocks};
    ASSERT_TRUE(w.write(give_up));
    for (u32 service = 1; service <= 6; service++) {
        const auto taken = w.read(TakeGarbage{{service}, 10}, true);
        ASSERT_TRUE(taken);
        EXPECT_EQ(taken->blocks, std::vector<BlockId>{s.span.blocks[service - 1].id});
    }
    EXPECT_FALSE(w.write(w.commit(ids, "f", World::contentOf(c, {s}))));
    EXPECT_FALSE(w.read(Lookup{kRoot, "f"}));
    ASSERT_TRUE(w.write(give_up)); // and again: nothing changes
    // Other contents of the reservation are as usable as before.
    w.file(ids, "g", {10'000});
}

TEST_F(ShardContent, BlocksThatWereCommittedAreNotAbandoned) {
    const ContentId c = ids.content();
    const SpanWithProofs s = w.span(ids, c, 0, 50'000, kWide);
    AbandonBlocks give_up{ids.reservation, c, s.span.blocks};
    ASSERT_TRUE(w.write(w.commit(ids, "f", World::contentOf(c, {s}))));
    give_up.blocks.push_back(w.block(ids, c, 3)); // of an attempt that lost
    ASSERT_TRUE(w.write(give_up));
    EXPECT_TRUE(w.read(TakeGarbage{{1}, 10}, true)->blocks.empty());
    EXPECT_EQ(w.read(TakeGarbage{{3}, 10}, true)->blocks, std::vector<BlockId>{give_up.blocks.back().id});
}

TEST_F(ShardContent, OnlyTheOwnerAbandonsAndOnlyWhatIsIts) {
    const ContentId c = ids.content();
    const SpanWithProofs s = w.span(ids, c, 0, 50'000, kWide);
    AbandonBlocks give_up{ids.reservation, c, s.span.blocks};
    EXPECT_EQ(w.write(give_up, 2).code(), Code::Expired);
    give_up.blocks[2].id.content = ids.content();
    EXPECT_EQ(w.write(give_up).code(), Code::Invalid);
    give_up.blocks[2] = s.span.blocks[2];
    give_up.blocks[2].service = {0};
    EXPECT_EQ(w.write(give_up).code(), Code::Invalid);
    give_up.blocks.resize(4097);
    EXPECT_EQ(w.write(give_up).code(), Code::Invalid);
    EXPECT_TRUE(w.write(w.commit(ids, "f", World::contentOf(c, {s}))));
}

TEST_F(ShardContent, EnoughBlocksMustBeThere) {
    const ContentId c = ids.content();
    SpanWithProofs s = w.span(ids, c, 0, 50'000, kWide);
    auto leaveOut = [&](std::size_t i) {
        s.span.blocks[i] = {{}, {}, s.span.blocks[i].sum, false};
        s.proofs[i] = {};
    };
    leaveOut(5);
    SpanWithProofs five = s;
    leaveOut(1);
    EXPECT_EQ(w.write(w.commit(ids, "f", World::contentOf(c, {s}))).code(), Code::Invalid);
    ASSERT_TRUE(w.write(w.commit(ids, "f", World::contentOf(c, {five}))));
    EXPECT_EQ(w.read(ServiceContents{{0}, {}, 10})->contents, std::vector{c}); // owed
    const ContentId alone = ids.content();                                     // 1 + 0: all there is
    EXPECT_TRUE(w.write(w.commit(ids, "g", World::contentOf(alone, {w.span(ids, alone, 0, 100, {1, 0, kPage})}))));
}

TEST_F(ShardContent, SpansMustCoverTheFileWithoutGapOrOverlap) {
    const ContentId c = ids.content();
    auto a = w.span(ids, c, 0, 1000), b = w.span(ids, c, 1000, 1000), late = w.span(ids, c, 1500, 10);
    auto code = [&](NewContent content) { return w.write(w.commit(ids, "f", content)).code(); };
    EXPECT_EQ(code(World::contentOf(c, {b})), Code::Invalid);
    EXPECT_EQ(code(World::contentOf(c, {a, late})), Code::Invalid);
    EXPECT_EQ(code(World::contentOf(c, {b, a})), Code::Invalid);
    EXPECT_EQ(code(World::contentOf(c, {a, a})), Code::Invalid);
    NewContent wrong = World::contentOf(c, {a, b});
    wrong.size++;
    EXPECT_EQ(code(wrong), Code::Invalid);
    wrong = World::contentOf(c, {a, b});
    wrong.span_count = 3;
    EXPECT_EQ(code(wrong), Code::Invalid);
    EXPECT_EQ(code(World::contentOf(c, {a, World::hole(1000, 1ull << 50)})), Code::Ok);
    EXPECT_EQ(w.read(Lookup{kRoot, "f"})->attributes->stored, 1000u);
}

TEST_F(ShardContent, IdsAreUsableOnlyUnderTheirReservationAndOnce) {
    auto code = [&](const CommitFile& op, u64 client = 1) { return w.write(op, client).code(); };
    EXPECT_EQ(code(w.commit(ids, "f", World::inlineOf(ids.content(), "x")), 2), Code::Expired); // another's
    World::Ids others = w.reserve(2);
    EXPECT_EQ(code(w.commit(ids, "f", World::inlineOf(others.content(), "x"))), Code::Invalid); // not in range
    CommitFile op = w.commit(ids, "f", World::inlineOf(ids.content(), "x"));
    op.inode = others.inode();
    EXPECT_EQ(code(op), Code::Invalid);
    const ContentId once = ids.content();
    ASSERT_EQ(code(w.commit(ids, "f", World::inlineOf(once, "x"))), Code::Ok);
    EXPECT_EQ(code(w.commit(ids, "g", World::inlineOf(once, "x"))), Code::Invalid);
    w.pass(kHour + 2 * kMinute);
    w.purge();
    EXPECT_EQ(code(w.commit(ids, "g", World::inlineOf(ids.content(), "x"))), Code::Expired);
}

TEST_F(ShardContent, KeepingAReservationKeepsIt) {
    for (int i = 0; i < 10; i++) {
        w.pass(50 * kMinute);
        w.purge();
        EXPECT_TRUE(w.write(KeepReservation{{ids.reservation}})->gone.empty());
    }
    EXPECT_TRUE(w.write(w.commit(ids, "f", World::inlineOf(ids.content(), "x"))));
    EXPECT_EQ(w.write(KeepReservation{{ids.reservation}}, 2)->gone, std::vector{ids.reservation});
    w.pass(2 * kHour);
    w.purge();
    EXPECT_EQ(w.write(KeepReservation{{ids.reservation}})->gone, std::vector{ids.reservation});
}

TEST_F(ShardContent, ABigFileIsStagedAndCommittedAtOnce) {
    const ContentId c = ids.content();
    u64 at = 0;
    u32 count = 0;
    for (int batch = 0; batch < 4; batch++) {
        StageSpans op{ids.reservation, c, {}};
        for (int i = 0; i < 60; i++, count++, at += 8192) op.spans.push_back(w.span(ids, c, at, 8192));
        auto r = w.write(op);
        ASSERT_TRUE(r) << r.error().message();
        EXPECT_EQ(r->covered, at);
        if (batch == 1) EXPECT_EQ(w.write(op).code(), Code::Invalid); // the same again
        if (batch == 2) w.restart();
    }
    EXPECT_EQ(w.read(Spans{c, {1}, 0, 10}).code(), Code::Stale); // nobody's yet
    EXPECT_EQ(w.fates({1}, {{c, ids.reservation, 0}}), std::vector{FateOf::kKeep});
    NewContent content = World::contentOf(c, {w.span(ids, c, at, 100)});
    content.span_count = ++count;
    auto r = w.write(w.commit(ids, "big", content));
    ASSERT_TRUE(r) << r.error().message();
    EXPECT_EQ(r->attributes.stored, at + 100);
    // Read back in pieces, from anywhere.
    auto opened = w.read(Open{r->attributes.inode});
    EXPECT_TRUE(opened->more);
    std::vector<SpanRecord> all = opened->spans;
    while (opened->more && all.size() < count) {
        auto more = w.read(Spans{c, {1}, all.back().end(), 50});
        ASSERT_TRUE(more);
        all.insert(all.end(), more->spans.begin(), more->spans.end());
        if (!more->more) break;
    }
    EXPECT_EQ(all.size(), count);
    EXPECT_EQ(w.read(Spans{c, {1}, 8192 * 100 + 17, 1})->spans[0].offset, 8192u * 100);
    EXPECT_EQ(w.read(Spans{c, {2}, 0, 1}).code(), Code::Stale);
    EXPECT_EQ(w.write(StageSpans{ids.reservation, c, {w.span(ids, c, at + 100, 1)}}).code(), Code::Invalid);
}

TEST_F(ShardContent, StagedSpansThatNobodyCommitsBecomeGarbage) {
    const ContentId c = ids.content();
    ASSERT_TRUE(w.write(StageSpans{ids.reservation, c, {w.span(ids, c, 0, 100), w.span(ids, c, 100, 100)}}));
    const BlockId first{c, ids.reservation, 0};
    EXPECT_EQ(w.fates({1}, {first}), std::vector{FateOf::kKeep});
    w.pass(2 * kHour);
    w.purge();
    EXPECT_EQ(w.fates({1}, {first}), std::vector{FateOf::kReferenced});
    w.pass(23 * kHour);
    w.purge();
    EXPECT_EQ(w.fates({1}, {first}), std::vector{FateOf::kDead});
    EXPECT_EQ(w.garbage(1).size(), 2u);
}

TEST_F(ShardContent, StagedSpansLiveOnWithTheirReservation) {
    const ContentId c = ids.content();
    ASSERT_TRUE(w.write(StageSpans{ids.reservation, c, {w.span(ids, c, 0, 100)}}));
    for (int i = 0; i < 100; i++) {
        w.pass(30 * kMinute);
        ASSERT_TRUE(w.write(KeepReservation{{ids.reservation}})->gone.empty());
        w.purge();
    }
    NewContent content = World::contentOf(c, {});
    content.size = 100;
    content.span_count = 1;
    EXPECT_TRUE(w.write(w.commit(ids, "f", content)));
}

TEST_F(ShardContent, SetContentMakesAPastContentThatCanComeBack) {
    Attributes a = w.file(ids, "f", {1000});
    const Attributes first = a;
    const ContentId c = ids.content();
    w.pass(kMinute);
    auto r = w.write(SetContent{a.inode, ids.reservation, World::inlineOf(c, "new"), {}, {}, {}});
    ASSERT_TRUE(r);
    EXPECT_EQ(r->attributes.size, 3u);
    auto past = w.read(PastContents{a.inode});
    ASSERT_EQ(past->contents.size(), 1u);
    EXPECT_EQ(past->contents[0].content, first.content);
    EXPECT_EQ(w.read(Spans{first.content, first.generation, 0, 1})->spans.size(), 1u); // who has it open reads on
    EXPECT_EQ(w.read(Usage{})->past_bytes, 1000u);
    w.pass(kMinute);
    ASSERT_TRUE(w.write(RestoreContent{a.inode, past->contents[0].until}));
    EXPECT_EQ(w.read(Open{a.inode})->attributes.content, first.content);
    EXPECT_EQ(w.read(PastContents{a.inode})->contents[0].content, c);
    EXPECT_EQ(w.write(RestoreContent{a.inode, {5}}).code(), Code::NotFound);
}

TEST_F(ShardContent, SetContentWithABaseRefusesAnOldOne) {
    const Attributes a = w.file(ids, "f", {1000});
    ASSERT_TRUE(w.write(SetContent{a.inode, ids.reservation, World::inlineOf(ids.content(), "b"), {}, a.content, a.generation}));
    EXPECT_EQ(
        w.write(SetContent{a.inode, ids.reservation, World::inlineOf(ids.content(), "c"), {}, a.content, a.generation}).code(),
        Code::Conflict);
    EXPECT_EQ(w.write(SetContent{kRoot, ids.reservation, World::inlineOf(ids.content(), "c"), {}, {}, {}}).code(),
              Code::IsDirectory);
}

TEST_F(ShardContent, APastContentIsPurgedWhenRetentionEndsAndNotWhileHeld) {
    const Attributes a = w.file(ids, "f", {1000});
    ASSERT_TRUE(w.write(SetContent{a.inode, ids.reservation, World::inlineOf(ids.content(), "b"), {}, {}, {}}));
    w.pass(7 * kDay - kMinute);
    w.purge();
    ASSERT_EQ(w.read(PastContents{a.inode})->contents.size(), 1u);
    ASSERT_TRUE(w.write(Hold{{}, {a.content}, false}));
    w.pass(2 * kMinute);
    w.purge();
    EXPECT_EQ(w.read(PastContents{a.inode})->contents.size(), 1u);
    EXPECT_TRUE(w.garbage(1).empty());
    w.pass(30 * kMinute);
    w.purge();
    EXPECT_TRUE(w.read(PastContents{a.inode})->contents.empty());
    EXPECT_EQ(w.garbage(1).size(), 1u);
}

TEST_F(ShardContent, PurgeNowEndsRetentionButNotTheThirtyMinutes) {
    const Attributes a = w.file(ids, "f", {1000});
    ASSERT_TRUE(w.write(SetContent{a.inode, ids.reservation, World::inlineOf(ids.content(), "b"), {}, {}, {}}));
    const Wall until = w.read(PastContents{a.inode})->contents[0].until;
    ASSERT_TRUE(w.write(PurgeNow{a.inode, "", until}));
    w.pass(29 * kMinute);
    w.purge();
    EXPECT_EQ(w.read(PastContents{a.inode})->contents.size(), 1u);
    w.pass(2 * kMinute);
    w.purge();
    EXPECT_TRUE(w.read(PastContents{a.inode})->contents.empty());
    EXPECT_EQ(w.write(PurgeNow{a.inode, "", until}).code(), Code::NotFound);
}

TEST_F(ShardContent, WhatAnEditReplacesWaitsThirtyMinutesOfAge) {
    Attributes a = w.file(ids, "f", {1000, 1000, 1000});
    auto r = w.write(World::editOf(a, ids.reservation, 3000, {w.span(ids, a.content, 1000, 1000)}));
    ASSERT_TRUE(r) << r.error().message();
    EXPECT_EQ(r->attributes.generation.value, a.generation.value + 1);
    EXPECT_EQ(w.read(Spans{a.content, a.generation, 0, 9}).code(), Code::Stale);
    EXPECT_EQ(w.read(Spans{a.content, r->attributes.generation, 0, 9})->spans.size(), 3u);
    const BlockId replaced{a.content, ids.reservation, 3};
    w.now.wall.value += kDay; // people's clocks do not matter
    w.purge();
    EXPECT_TRUE(w.garbage(1).empty());
    w.pass(29 * kMinute);
    w.purge();
    EXPECT_TRUE(w.garbage(1).empty());
    w.pass(kMinute + 1);
    w.purge();
    EXPECT_EQ(w.garbage(1), std::vector{replaced});
    EXPECT_EQ(w.write(World::editOf(a, ids.reservation, 3000, {})).code(), Code::Conflict);
}

TEST_F(ShardContent, AnEditGoesFromInlineToSpansAndBack) {
    auto r = w.write(w.commit(ids, "f", World::inlineOf(ids.content(), "hello")));
    Attributes a = r->attributes;
    EXPECT_EQ(w.write(World::editOf(a, ids.reservation, 6, {w.span(ids, a.content, 5, 1)})).code(), Code::Invalid);
    auto spans = w.write(World::editOf(a, ids.reservation, 9000, {w.span(ids, a.content, 0, 9000)}));
    ASSERT_TRUE(spans);
    EXPECT_EQ(spans->attributes.stored, 9000u);
    EXPECT_FALSE(w.read(Open{a.inode})->inline_bytes);
    EditContent back = World::editOf(spans->attributes, {}, 2, {});
    back.inline_bytes = Bytes{"hi"};
    auto small = w.write(back);
    ASSERT_TRUE(small);
    EXPECT_EQ(w.read(Open{a.inode})->inline_bytes->value, "hi");
    EXPECT_EQ(w.read(Spans{a.content, spans->attributes.generation, 0, 1}).code(), Code::Stale);
    auto empty = w.write(World::editOf(small->attributes, {}, 0, {}));
    ASSERT_TRUE(empty);
    EXPECT_EQ(empty->attributes.stored, 0u);
}

TEST_F(ShardContent, ABlockThatWasReplacedCannotBePutAgain) {
    Attributes a = w.file(ids, "f", {1000});
    const auto put = w.span(ids, a.content, 0, 1000);
    auto first = w.write(World::editOf(a, ids.reservation, 1000, {put}));
    ASSERT_TRUE(first);
    // The answer was lost, the client re-read and puts the same blocks: they would be referenced and garbage at once.
    EXPECT_EQ(w.write(World::editOf(first->attributes, ids.reservation, 1000, {put})).code(), Code::Invalid);
    auto second = w.write(World::editOf(first->attributes, ids.reservation, 1000, {w.span(ids, a.content, 0, 1000)}));
    ASSERT_TRUE(second);
    EXPECT_EQ(w.write(World::editOf(second->attributes, ids.reservation, 1000, {put})).code(), Code::Invalid);
}

TEST_F(ShardContent, ADeadFilesBlocksBecomeGarbageUntilErased) {
    const Attributes a = w.file(ids, "f", std::vector<u32>(50, 9000), kWide);
    ASSERT_TRUE(w.write(SetContent{a.inode, ids.reservation, World::inlineOf(ids.content(), "b"), {}, {}, {}}));
    ASSERT_TRUE(w.write(Unlink{kRoot, "f", {}, false}));
    EXPECT_TRUE(w.garbage(1).empty());
    w.pass(8 * kDay);
    w.purge();
    EXPECT_EQ(w.read(GetAttr{{a.inode}})->attributes[0], std::nullopt);
    for (u32 service = 1; service <= 6; service++) {
        const auto blocks = w.garbage(service);
        EXPECT_EQ(blocks.size(), 50u);
        EXPECT_EQ(w.fates({service}, {blocks[0]}), std::vector{FateOf::kDead});
        EXPECT_EQ(w.write(DoneGarbage{{service}, blocks}).code(), Code::Denied);
        ASSERT_TRUE(w.asServer(DoneGarbage{{service}, blocks}));
        ASSERT_TRUE(w.asServer(DoneGarbage{{service}, blocks})); // twice is once
        EXPECT_TRUE(w.garbage(service).empty());
        EXPECT_TRUE(w.read(ServiceContents{{service}, {}, 10})->contents.empty());
    }
    EXPECT_EQ(w.read(Usage{})->garbage_blocks, 0u);
    EXPECT_EQ(w.read(Usage{})->past_bytes, 0u);
}

TEST_F(ShardContent, FateIsKeepWhileTheReservationLives) {
    const Attributes a = w.file(ids, "f", {1000});
    const BlockId here{a.content, ids.reservation, 0}, never{a.content, ids.reservation, 77};
    const BlockId not_yet{a.content, {999}, 0}, elsewhere{ContentId::make(5, {3}), ids.reservation, 0};
    EXPECT_EQ(w.fates({1}, {here, never}), (std::vector{FateOf::kKeep, FateOf::kKeep}));
    w.pass(2 * kHour);
    w.purge();
    EXPECT_EQ(w.fates({1}, {here, never, not_yet, elsewhere}),
              (std::vector{FateOf::kReferenced, FateOf::kDead, FateOf::kKeep, FateOf::kKeep}));
    EXPECT_EQ(w.fates({2}, {here}), std::vector{FateOf::kDead}); // a copy on the wrong service
    // Replaced blocks are referenced until they are garbage.
    World::Ids more = w.reserve();
    ASSERT_TRUE(w.write(World::editOf(a, more.reservation, 1000, {w.span(more, a.content, 0, 1000)})));
    EXPECT_EQ(w.fates({1}, {here}), std::vector{FateOf::kReferenced});
    w.pass(31 * kMinute);
    w.purge();
    EXPECT_EQ(w.fates({1}, {here}), std::vector{FateOf::kDead});
}

TEST_F(ShardContent, ABadBlockIsOwedUntilItIsReplaced) {
    const Attributes a = w.file(ids, "f", {1000, 1000});
    const BlockId bad{a.content, ids.reservation, 4}; // the second span's, on service 2
    ASSERT_TRUE(w.write(ReportBad{{2}, {bad, {a.content, ids.reservation, 400}}}));
    ASSERT_TRUE(w.write(ReportBad{{2}, {bad}}));
    EXPECT_EQ(w.read(ServiceContents{{0}, {}, 10})->contents, std::vector{a.content});
    EXPECT_TRUE(w.read(Open{a.inode})->spans[1].blocks[1].bad);

    World::Ids repair = w.reserve(0, true);
    ReplaceBlock op{repair.reservation, a.content, 1000, 1, bad, w.block(repair, a.content, 7), {}};
    op.block.sum = 0x5002;
    op.proof = w.prove(op.block, kPage);
    EXPECT_EQ(w.write(op).code(), Code::Denied);
    ReplaceBlock other = op;
    other.old_id.n++;
    EXPECT_EQ(w.asServer(other).code(), Code::Conflict);
    other = op;
    other.proof.mac[3] ^= 1;
    EXPECT_EQ(w.asServer(other).code(), Code::Invalid);
    other = op;
    other.block.sum++;
    other.proof = w.prove(other.block, kPage);
    EXPECT_EQ(w.asServer(other).code(), Code::Invalid);
    other = op;
    other.block.service = {1};
    other.proof = w.prove(other.block, kPage);
    EXPECT_EQ(w.asServer(other).code(), Code::Invalid);
    ASSERT_TRUE(w.asServer(op));
    EXPECT_EQ(w.asServer(op).code(), Code::Conflict);
    EXPECT_TRUE(w.read(ServiceContents{{0}, {}, 10})->contents.empty());
    EXPECT_EQ(w.read(ServiceContents{{7}, {}, 10})->contents, std::vector{a.content});
    w.pass(31 * kMinute);
    w.purge();
    EXPECT_EQ(w.garbage(2), std::vector{bad});
    EXPECT_EQ(w.write(RetireService{{2}}).code(), Code::Denied);
    ASSERT_TRUE(w.asServer(RetireService{{2}}));
    EXPECT_TRUE(w.garbage(2).empty());
}

TEST_F(ShardContent, CheckGoesThroughEverythingInParts) {
    for (int i = 0; i < 300; i++) w.file(ids, "f" + std::to_string(i), {1000, 10});
    Bytes cursor;
    std::size_t facts = 0, calls = 0;
    do {
        auto r = w.read(Check{cursor});
        ASSERT_TRUE(r);
        EXPECT_TRUE(r->problems.empty());
        facts += r->facts.size();
        cursor = r->cursor;
        ASSERT_LT(++calls, 100u);
    } while (!cursor.value.empty());
    EXPECT_EQ(facts, 301u + 300u);
    EXPECT_GT(calls, 1u);
    EXPECT_EQ(w.read(Check{Bytes{"?"}}).code(), Code::Invalid);
}

TEST_F(ShardContent, InvariantsTellWhatIsBroken) {
    const Attributes a = w.file(ids, "f", {1000, 10});
    const auto rows = w.kv.rows();
    auto broken = [&](auto&& change) {
        store::KvMemory copy;
        store::Batch batch;
        for (const auto& [k, v] : rows) batch.emplace(k, v);
        copy.write(batch);
        store::Transaction t(copy);
        change(t);
        copy.write(t.writes());
        return !invariants::checkShard(copy).empty() || !invariants::checkAcross({&copy}).empty();
    };
    EXPECT_FALSE(broken([&](store::Transaction&) {}));
    EXPECT_TRUE(broken([&](store::Transaction& t) { SpanRows::erase(t, {a.content, 0}); }));
    EXPECT_TRUE(broken([&](store::Transaction& t) { OnServices::erase(t, {{1}, a.content}); }));
    EXPECT_TRUE(broken([&](store::Transaction& t) { OnServices::put(t, {{9}, a.content}, {1}); }));
    EXPECT_TRUE(broken([&](store::Transaction& t) { Garbage::put(t, {{1}, {a.content, ids.reservation, 0}}, {}); }));
    EXPECT_TRUE(broken([&](store::Transaction& t) { Inodes::erase(t, {a.inode}); }));
    EXPECT_TRUE(broken([&](store::Transaction& t) { t.put(SpanRows::at({a.content, 2000}), "junk"); }));
}

} // namespace
} // namespace skua::shard
