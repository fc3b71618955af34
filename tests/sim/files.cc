// What workers do with files: make, rewrite, edit, read.
#include <algorithm>
#include "core/data/geometry.h"
#include "tests/sim/worker.h"

namespace skua::sim {

namespace {

u64 tagOf(const SpanRecord& s) {
    for (const BlockRef& b : s.blocks)
        if (b.service.value != 0) return static_cast<u64>(b.id.reservation.value) << 32 | b.id.n;
    return 0;
}

shard::SpanWithProofs hole(u64 offset, u64 length) {
    shard::SpanWithProofs s;
    s.span.offset = offset;
    s.span.hole_length = length;
    return s;
}

} // namespace

// Blocks of one page each, on services in distinct domains; another is asked where one fails.
Task<Result<shard::SpanWithProofs>> Worker::span(Life life, client::NewId id, ContentId content, u64 offset, u64 most) {
    static constexpr Geometry kShapes[] = {{1, 1, kPage}, {2, 1, kPage}, {1, 2, kPage}};
    shard::SpanWithProofs made;
    SpanRecord& s = made.span;
    s.geometry = kShapes[world_.random.below(3)];
    s.offset = offset;
    s.length = most != 0 ? static_cast<u32>(most) : static_cast<u32>(1 + world_.random.below(u64{s.geometry.data} * kPage));
    if (s.length > u64{s.geometry.data} * kPage) s.geometry = kShapes[1];
    std::vector<client::Service> services;
    for (const auto& [_, service] : life->client.cluster.services()) services.push_back(service);
    world_.random.shuffle(services);
    const u64 sum = world_.random.next();
    std::size_t next = 0;
    for (u32 i = 0; i < s.geometry.blocks(); i++) {
        bool written = false;
        while (!written && next < services.size()) {
            const client::Service to = services[next++];
            blocks::WriteBlock write;
            write.service = to.id;
            write.incarnation = to.incarnation;
            write.id = id.block(content);
            write.sum = sum + i;
            auto answer = co_await life->client.services.ask(to.id, write, Buffer(), 3 * kSecond);
            if (life->dead) co_return Error(Code::Denied, "dead");
            if (!answer) continue;
            const Receipt& r = answer->reply.receipt;
            s.blocks.push_back({r.id, r.service, r.sum, false});
            made.proofs.push_back({r.incarnation, r.mac});
            written = true;
        }
        if (written) continue;
        s.blocks.push_back({}); // left out: owed by repair
        made.proofs.push_back({});
    }
    u32 there = 0;
    for (const BlockRef& b : s.blocks) there += b.service.value != 0;
    if (there < std::min<u32>(s.geometry.blocks(), s.geometry.data + 1u))
        co_return Error(Code::NoSpace, "too few services answer");
    if (there < s.geometry.blocks()) world_.count("block left out");
    co_return made;
}

Task<Result<shard::NewContent>> Worker::fresh(Life life, client::NewId id, ContentId content, Data* data) {
    shard::NewContent c;
    c.content = content;
    if (world_.random.oneIn(12)) { // empty
        data->in_line = world_.random.oneIn(2);
        if (data->in_line) c.inline_bytes.emplace();
        co_return c;
    }
    if (world_.random.oneIn(2)) {
        Bytes bytes{std::string(world_.random.below(60), 'x') + std::to_string(number_) + "." + std::to_string(++tags_)};
        c.size = bytes.value.size();
        *data = Data{true, c.size, {{0, c.size, std::hash<std::string>{}(bytes.value) | 1}}};
        c.inline_bytes = std::move(bytes);
        co_return c;
    }
    const u64 spans = 1 + world_.random.below(4);
    bool staging = world_.random.oneIn(3);
    for (u64 i = 0; i < spans; i++) {
        shard::SpanWithProofs s = hole(c.size, 1 + world_.random.below(10'000));
        if (!world_.random.oneIn(5)) { CO_TRY(s, co_await span(life, id, content, c.size, 0)); }
        data->pieces.push_back({s.span.offset, s.span.bytes(), tagOf(s.span)});
        c.size = s.span.end();
        c.span_count++;
        c.spans.push_back(std::move(s));
        if (staging && i + 1 < spans) {
            shard::StageSpans stage;
            stage.reservation = id.reservation();
            stage.content = content;
            stage.spans = std::move(c.spans);
            c.spans.clear();
            auto staged = co_await life->client.metadata.stageSpans(stage);
            if (life->dead) co_return Error(Code::Denied, "dead");
            if (!staged) co_return staged.error(); // given up: the sweep finds its blocks
            world_.count("spans staged");
        }
        if (!crew_.strict && world_.random.oneIn(60)) {
            const u64 ns = world_.random.below(100 * kMinute);
            (void)co_await nap(life, ns);
            if (life->dead) co_return Error(Code::Denied, "dead");
        }
    }
    data->size = c.size;
    // Stopped with all written and nothing committed: when he goes on his reservation may be over.
    if (!crew_.strict && crew_.stops > 0 && world_.random.oneIn(40)) {
        crew_.stops--;
        stop(world_.random.below(3 * kHour));
        (void)co_await nap(life, kMillisecond);
        if (life->dead) co_return Error(Code::Denied, "dead");
    }
    // Given up before the commit: nothing names the blocks.
    if (world_.random.oneIn(20)) co_return Error(Code::Io, "thought better of it");
    co_return c;
}

Task<> Worker::create(Life life, Arena& arena) {
    Op op;
    op.kind = world_.random.oneIn(3) ? Kind::kReplace : Kind::kCreate;
    op.dir = anyDir(arena);
    op.name = anyName(arena);
    op.mode = 0600 + static_cast<u32>(world_.random.below(0100));
    auto id = co_await life->client.metadata.reservations().take(op.dir.shard());
    if (!id) co_return Ok{};
    shard::CommitFile commit;
    commit.dir = op.dir;
    commit.name = op.name;
    commit.reservation = id->reservation();
    commit.inode = id->inode(InodeType::kFile);
    commit.commit_mode = op.kind == Kind::kReplace ? shard::CommitMode::kReplace : shard::CommitMode::kCreate;
    commit.mode = op.mode;
    auto content = co_await fresh(life, *id, id->content(), &op.data);
    if (!content || life->dead) co_return Ok{};
    commit.content = std::move(*content);
    op.inode = commit.inode;
    op.content = commit.content.content.value;
    const InodeId dir = op.dir;
    const std::string name = op.name;
    const InodeId inode = op.inode;
    const u32 number = invoke(arena, std::move(op));
    shard::AbandonBlocks give_back{commit.reservation, commit.content.content, {}};
    for (const shard::SpanWithProofs& s : commit.content.spans)
        for (const BlockRef& b : s.span.blocks)
            if (b.service.value != 0) give_back.blocks.push_back(b);
    auto reply = co_await life->client.metadata.commitFile(std::move(commit));
    // Whatever became of it: what was committed stays.
    if (!give_back.blocks.empty() && !life->dead && world_.random.oneIn(10)) {
        world_.count("blocks given back after a commit");
        (void)co_await life->client.metadata.abandonBlocks(std::move(give_back));
    }
    Heard heard;
    const Error* error = reply ? nullptr : &reply.error();
    if (took(life, arena, number, error, heard) == Took::kNothing) {
        if (!life->dead) co_await verify(life, arena, dir, name);
        co_return Ok{};
    }
    if (reply) {
        heard.names = {{"", inode}, {"replaced", reply->replaced}};
        heard.detail = textOf(reply->attributes);
        arena.learn(dir, name, inode);
    }
    hear(arena, number, heard);
    co_return Ok{};
}

Task<> Worker::content(Life life, Arena& arena) {
    const InodeId inode = anyFile(arena);
    if (inode.none()) co_return Ok{};
    auto id = co_await life->client.metadata.reservations().take(inode.shard());
    if (!id) co_return Ok{};
    Op op;
    op.kind = Kind::kSetContent;
    op.inode = inode;
    auto content = co_await fresh(life, *id, id->content(), &op.data);
    if (!content || life->dead) co_return Ok{};
    shard::SetContent set;
    set.inode = inode;
    set.reservation = id->reservation();
    set.content = std::move(*content);
    op.content = set.content.content.value;
    const u32 number = invoke(arena, std::move(op));
    auto reply = co_await life->client.metadata.setContent(std::move(set));
    Heard heard;
    const Error* error = reply ? nullptr : &reply.error();
    if (took(life, arena, number, error, heard) == Took::kNothing) co_return Ok{};
    if (reply) heard.detail = textOf(*reply);
    hear(arena, number, heard);
    co_return Ok{};
}

// Opens, then puts something in, at the end, or cuts.
Task<> Worker::edit(Life life, Arena& arena) {
    const InodeId inode = anyFile(arena);
    if (inode.none()) co_return Ok{};
    Op look;
    look.kind = Kind::kOpen;
    look.inode = inode;
    const u32 looked = invoke(arena, look);
    const u64 asked = world_.now();
    auto open = co_await life->client.metadata.open(inode);
    Heard first;
    const Error* none = open ? nullptr : &open.error();
    if (took(life, arena, looked, none, first) == Took::kNothing) co_return Ok{};
    if (open) first.detail = textOf(open->attributes) + " " + show(dataOf(*open));
    hear(arena, looked, first);
    if (!open) {
        arena.forget(inode);
        co_return Ok{};
    }
    remember(*open, asked);
    auto id = co_await life->client.metadata.reservations().take(inode.shard());
    if (!id) co_return Ok{};
    const ContentId content = open->attributes.content;
    shard::EditContent edit;
    edit.inode = inode;
    edit.content = content;
    edit.base = open->attributes.generation;
    edit.reservation = id->reservation();
    edit.size = open->attributes.size;
    Op op;
    op.kind = Kind::kEditContent;
    op.inode = inode;
    op.content = content.value;
    op.generation = edit.base.value;
    const bool was_inline = open->inline_bytes.has_value();
    const u64 what = world_.random.below(5);
    if (what == 0 || (was_inline && what < 3)) {
        Bytes bytes{"edit " + std::to_string(number_) + "." + std::to_string(++tags_)};
        edit.size = bytes.value.size();
        op.data = Data{true, edit.size, {{0, edit.size, std::hash<std::string>{}(bytes.value) | 1}}};
        edit.inline_bytes = std::move(bytes);
    } else if (!was_inline && what == 1 && !open->spans.empty()) { // cut at a span
        edit.size = open->spans[world_.random.below(open->spans.size())].offset;
    } else if (!was_inline && what == 2 && !open->spans.empty()) { // one span anew, or a hole in its place
        const SpanRecord old = open->spans[world_.random.below(open->spans.size())];
        shard::SpanWithProofs s = hole(old.offset, old.bytes());
        if (!world_.random.oneIn(3) && old.bytes() <= 2 * kPage) {
            auto made = co_await span(life, *id, content, old.offset, old.bytes());
            if (!made) co_return Ok{};
            s = std::move(*made);
        }
        edit.spans.push_back(std::move(s));
    } else { // more at the end, or all anew
        const u64 from = was_inline ? 0 : edit.size;
        shard::SpanWithProofs s = hole(from, 1 + world_.random.below(5'000));
        if (!world_.random.oneIn(4)) {
            auto made = co_await span(life, *id, content, from, 0);
            if (!made) co_return Ok{};
            s = std::move(*made);
        }
        edit.size = s.span.end();
        edit.spans.push_back(std::move(s));
    }
    if (life->dead) co_return Ok{};
    if (!op.data.in_line) {
        op.data.size = edit.size;
        for (const auto& s : edit.spans) op.data.pieces.push_back({s.span.offset, s.span.bytes(), tagOf(s.span)});
    }
    const u32 number = invoke(arena, std::move(op));
    auto reply = co_await life->client.metadata.editContent(std::move(edit));
    Heard heard;
    const Error* error = reply ? nullptr : &reply.error();
    if (took(life, arena, number, error, heard) == Took::kNothing) co_return Ok{};
    if (reply) heard.detail = textOf(*reply);
    hear(arena, number, heard);
    co_return Ok{};
}

// What is read now can be read for half an hour, whatever happens to the file. `asked`: when the answer cannot have been older.
void Worker::remember(const shard::Open::Reply& open, u64 asked) {
    if (open.attributes.nlink == 0) return;
    struct Want {
        BlockId id;
        BlockServiceId service;
        u64 sum = 0;
    };
    std::vector<Want> wants;
    for (const SpanRecord& s : open.spans)
        for (const BlockRef& b : s.blocks)
            if (b.service.value != 0) wants.push_back({b.id, b.service, b.sum});
    if (wants.empty()) return;
    auto check = [&cluster = cluster_, wants, opened = asked] {
        if (cluster.world.now() > opened + 20 * kMinute) return;
        for (const Want& w : wants)
            for (const auto& service : cluster.services)
                if (service->service == w.service && !service->has(w.id, w.sum))
                    cluster.world.fail(fmt::format("block {}/{} of content {:x}, seen at {} s, is not on service {}",
                                                   w.id.reservation.value, w.id.n, w.id.content.value, opened / kSecond,
                                                   w.service.value));
    };
    check();
    world_.after(world_.random.below(20 * kMinute), check);
}

} // namespace skua::sim
