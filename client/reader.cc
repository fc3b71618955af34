#include "client/reader.h"

#include <algorithm>
#include <cstring>
#include "core/data/geometry.h"

namespace skua::client {

namespace {

constexpr u32 kSpansAtOnce = 64; // asked of the shard
constexpr std::size_t kSpansKept = 2048;
constexpr u64 kOutOfOrder = 4u << 20;   // reads of a sequential reader may be
constexpr u64 kReadStep = 8u << 20;     // read() holds so much at a time
constexpr u64 kAheadAtOnce = 16u << 20; // of one large read, under way together
constexpr u64 kRetryMin = 50 * kMillisecond, kRetryMax = 1 * kSecond;

// Nobody need wait: too many of its services are away for good, as far as can be told.
bool tooFewLeft(Client& client, const SpanRecord& span) {
    u32 left = 0;
    for (const BlockRef& b : span.blocks) left += b.service.value != 0 && !client.services.away(b.service);
    return left < span.geometry.data;
}

// So many of its services are lost that no patience brings the bytes back.
bool tooManyLost(Client& client, const SpanRecord& span) {
    u32 left = 0;
    for (const BlockRef& b : span.blocks) left += b.service.value != 0 && !client.services.lost(b.service);
    return left < span.geometry.data;
}

std::string missingOf(Client& client, const SpanRecord& span) {
    std::string missing;
    for (const BlockRef& b : span.blocks)
        if (b.service.value != 0 && client.services.doubtful(b.service))
            missing += (missing.empty() ? "" : ", ") + client.services.describe(b.service);
    return missing;
}

// What to say then; whoever comes next does not wait for them once more.
Error tooFew(Client& client, const SpanRecord& span) {
    const std::string missing = missingOf(client, span);
    u32 there = 0, left = 0;
    for (const BlockRef& b : span.blocks) {
        if (b.service.value == 0) continue;
        there++;
        left += !client.services.doubtful(b.service);
        client.services.giveUp(b.service);
    }
    return Error(Code::Io, "its bytes need " + std::to_string(span.geometry.data) + " of " + std::to_string(there) + " disks, " +
                               std::to_string(left) + " answer; missing: " + missing);
}

const Buffer& zeros() {
    static const Buffer all = [] {
        Buffer b = Buffer::allocate(256u << 10);
        std::memset(b.data(), 0, b.size());
        return b;
    }();
    return all;
}

} // namespace

// Some of a span, in rows; shared with the task that reads it.
struct FileReader::Chunk {
    struct Part {
        Row row;
        std::vector<Buffer> cells;
    };
    explicit Chunk(Client& c) : client(c) {}
    ~Chunk() { client.readAheadBudget.give(budget); }

    Client& client;
    SpanRecord span;
    u64 begin = 0, end = 0; // of the file
    std::vector<Part> parts;
    bool ready = false, started = false;
    Error error;
    u64 missing = 0;
    u64 budget = 0;
    Event done;

    // [offset, offset + length) of the file, which lies within.
    void slices(u64 offset, u64 length, std::vector<Buffer>& out) const {
        const auto in_span = static_cast<u32>(offset - span.offset);
        for (const auto& e : geometry::extents(span.geometry, span.length, in_span, static_cast<u32>(length)))
            for (u32 at = e.in_block, left = e.length; left > 0;) {
                const Part* part = nullptr;
                for (const auto& p : parts)
                    if (p.row.want & 1ull << e.block && p.row.from <= at && at < p.row.to) part = &p;
                CHECK(part);
                const u32 n = std::min(left, part->row.to - at);
                out.push_back(part->cells[e.block].slice(at - part->row.from, n));
                at += n;
                left -= n;
            }
    }
    // The rows that have these bytes.
    void plan(const ReadKey& key, Monotonic until) {
        const auto in_span = static_cast<u32>(begin - span.offset);
        struct Range {
            u32 from = ~0u, to = 0;
        };
        std::vector<Range> ranges(span.geometry.data);
        for (const auto& e : geometry::extents(span.geometry, span.length, in_span, static_cast<u32>(end - begin))) {
            ranges[e.block].from = std::min(ranges[e.block].from, e.in_block / kPage * kPage);
            ranges[e.block].to = std::max(ranges[e.block].to, (e.in_block + e.length + kPage - 1) / kPage * kPage);
        }
        for (u32 b = 0; b < ranges.size(); b++)
            for (u32 from = ranges[b].from; from < ranges[b].to;) {
                const u32 to = std::min(ranges[b].to, from / kMaxPiece * kMaxPiece + kMaxPiece);
                auto same =
                    std::find_if(parts.begin(), parts.end(), [&](const Part& p) { return p.row.from == from && p.row.to == to; });
                if (same == parts.end()) {
                    parts.emplace_back();
                    same = parts.end() - 1;
                    same->row.span = span;
                    same->row.key = key;
                    same->row.from = from;
                    same->row.to = to;
                    same->row.until = until;
                }
                same->row.want |= 1ull << b;
                from = to;
            }
    }
};

FileReader::FileReader(Client& client, shard::Open::Reply opened)
    : client_(client),
      attributes_(opened.attributes),
      inline_(std::move(opened.inline_bytes)),
      key_(opened.read_key),
      readAheadMost_(client.options.read_ahead_most) {
    for (auto& s : opened.spans) spans_[s.offset] = std::move(s);
    if (inline_) inlineBuffer_ = Buffer::copyOf(inline_->value);
}
FileReader::~FileReader() = default;

Task<Result<>> FileReader::loadSpans(u64 from, bool again) {
    if (spans_.size() > kSpansKept) spans_.clear();
    const u32 limit = again ? 1 : kSpansAtOnce;
    CO_TRY(auto reply, co_await client_.metadata.spans(content(), generation(), from, limit));
    key_ = reply.read_key;
    for (auto& s : reply.spans) spans_[s.offset] = std::move(s);
    co_return Ok{};
}

Task<Result<const SpanRecord*>> FileReader::spanAt(u64 offset) {
    for (int attempt = 0;; attempt++) {
        auto it = spans_.upper_bound(offset);
        if (it != spans_.begin()) {
            --it;
            const SpanRecord& s = it->second;
            if (offset < s.end()) {
                if (!s.geometry.hole() && (!geometry::valid(s.geometry, s.length) || s.blocks.size() != s.geometry.blocks()))
                    co_return Error(Code::Corrupt, "a span whose shape makes no sense");
                co_return &s;
            }
        }
        if (attempt > 0) co_return Error(Code::Corrupt, "no span has offset " + std::to_string(offset));
        CO_TRY_OK(co_await loadSpans(offset, false));
    }
}

Task<> FileReader::runChunk(Client& client, std::shared_ptr<Chunk> chunk) {
    struct One {
        static Task<> read(Client& client, Chunk& chunk, std::size_t index) {
            auto got = co_await readRow(client, chunk.parts[index].row);
            if (got) {
                chunk.parts[index].cells = std::move(got->cells);
                chunk.missing |= got->missing;
            } else if (chunk.error.code == Code::Ok) {
                chunk.error = got.error();
            }
            co_return Ok{};
        }
    };
    TaskGroup rows;
    for (std::size_t i = 0; i < chunk->parts.size(); i++) rows.spawn(One::read(client, *chunk, i));
    (void)co_await rows.all();
    chunk->ready = true;
    chunk->done.set();
    co_return Ok{};
}

void FileReader::startChunk(std::shared_ptr<Chunk> chunk, Monotonic until) {
    chunk->started = true;
    chunk->plan(key_, until);
    client_.services.background().spawn(runChunk(client_, chunk));
}

// The whole stripes around `offset` of a span: the unit of sequential reading. Known ones are found again.
std::shared_ptr<FileReader::Chunk> FileReader::chunkAt(const SpanRecord& span, u64 offset) {
    for (auto& c : chunks_)
        if (c->begin <= offset && offset < c->end) return c;
    auto chunk = std::make_shared<Chunk>(client_);
    chunk->span = span;
    const u64 stripe = static_cast<u64>(span.geometry.cell) * span.geometry.data;
    const u64 unit = stripe * std::max(1u, kMaxPiece / span.geometry.cell);
    chunk->begin = span.offset + (offset - span.offset) / unit * unit;
    chunk->end = std::min({chunk->begin + unit, span.end(), size()});
    chunks_.push_back(chunk);
    return chunk;
}

void FileReader::forget(u64 before) {
    chunks_.remove_if([&](auto& c) { return c->end <= before; });
}

// Starts the chunks of [from, to), as far as spans are known and the budget of all readers goes.
void FileReader::readAhead(u64 from, u64 to) {
    u64 at = from;
    const u64 end = std::min(size(), to);
    while (at < end) {
        auto it = spans_.upper_bound(at);
        if (it == spans_.begin()) return;
        const SpanRecord& s = std::prev(it)->second;
        if (at >= s.end()) return;
        if (s.geometry.hole()) {
            at = s.end();
            continue;
        }
        if (!geometry::valid(s.geometry, s.length) || s.blocks.size() != s.geometry.blocks()) return;
        auto chunk = chunkAt(s, at);
        if (!chunk->started) {
            const u64 bytes = chunk->end - chunk->begin;
            if (!client_.readAheadBudget.tryTake(bytes)) {
                chunks_.remove(chunk);
                return;
            }
            chunk->budget = bytes;
            startChunk(chunk, Monotonic{client_.clock.now().value + client_.options.patience.silent_ns});
        }
        at = chunk->end;
    }
}

// At least one byte of what is asked, in buffers.
Task<Result<std::vector<Buffer>>> FileReader::some(u64 offset, u64 length, u64 ahead_to, const Gone* gone) {
    std::vector<Buffer> out;
    const bool hard = client_.services.hard();
    Monotonic until{client_.clock.now().value + client_.options.patience.silent_ns};
    DiskWait wait(client_.services);
    u64 pause = kRetryMin;
    for (int wrong = 0;;) {
        CO_TRY(const SpanRecord* span, co_await spanAt(offset));
        const u64 n = std::min(length, span->end() - offset);
        if (span->geometry.hole()) {
            for (u64 left = std::min<u64>(n, kReadStep); left > 0;) {
                const u64 part = std::min<u64>(left, zeros().size());
                out.push_back(zeros().slice(0, part));
                left -= part;
            }
            co_return out;
        }
        const u64 stripe = static_cast<u64>(span->geometry.cell) * span->geometry.data;
        std::shared_ptr<Chunk> chunk;
        for (auto& c : chunks_)
            if (c->begin <= offset && offset < c->end) chunk = c;
        if (!chunk && (streak_ > 0 || n >= stripe)) chunk = chunkAt(*span, offset);
        if (!chunk) {
            chunk = std::make_shared<Chunk>(client_);
            chunk->span = *span;
            chunk->begin = offset;
            chunk->end = offset + n;
        }
        if (!chunk->started) {
            chunk->budget = chunk->end - chunk->begin;
            client_.readAheadBudget.take(chunk->budget);
            startChunk(chunk, until);
        }
        readAhead(chunk->end, ahead_to);
        if (!chunk->ready) {
            auto waiting = chunk->done.wait();
            (void)co_await waiting;
        }
        if (chunk->missing != 0) {
            // Blocks that were not where the span says: it may have moved. Those that have not are bad.
            const SpanRecord before = chunk->span;
            const u64 missing = chunk->missing;
            chunk->missing = 0;
            auto loaded = co_await loadSpans(before.offset, true);
            if (auto now = spans_.find(before.offset); loaded && now != spans_.end())
                for (u32 i = 0; i < before.blocks.size() && i < now->second.blocks.size(); i++)
                    if (missing & 1ull << i && now->second.blocks[i] == before.blocks[i])
                        client_.services.reportBad(before.blocks[i].service, before.blocks[i].id);
        }
        if (chunk->error.code == Code::Ok) {
            chunk->slices(offset, std::min(n, chunk->end - offset), out);
            co_return out;
        }
        chunks_.remove(chunk);
        const Error error = chunk->error;
        const SpanRecord before = chunk->span;
        chunk.reset();
        const bool passing = error.code == Code::Unavailable || error.code == Code::OutcomeUnknown || error.code == Code::Busy;
        const bool hopeless = hard ? tooManyLost(client_, before) : client_.clock.now() >= until || tooFewLeft(client_, before);
        if (passing && hopeless) co_return tooFew(client_, before);
        if (passing && hard) {
            if (gone && (*gone)()) co_return Error(Code::Unavailable, "nobody waits for these bytes any more");
            wait.waits(missingOf(client_, before));
        }
        if (!passing && wrong++ >= 2) {
            // Not there on any service that was asked: for the user that is damage, not a missing file.
            if (error.code == Code::NotFound) co_return Error(Code::Corrupt, error.detail);
            co_return error;
        }
        Sleep nap(client_.clock, pause);
        co_await nap;
        pause = std::min(pause * 2, kRetryMax);
        (void)co_await client_.cluster.refresh();
        // What is not committed yet (generation 0) has no other spans than it was given.
        if (generation().value != 0) {
            auto again = co_await loadSpans(offset, true);
            if (again.code() == Code::Stale) co_return again.error();
        }
        if (hard) until = Monotonic{client_.clock.now().value + client_.options.patience.silent_ns};
    }
}

Task<Result<std::vector<Buffer>>> FileReader::pieces(u64 offset, u64 length, const Gone* gone) {
    std::vector<Buffer> out;
    if (offset >= size()) co_return out;
    length = std::min(length, size() - offset);
    if (length == 0) co_return out;
    if (inline_) {
        const u64 have = inlineBuffer_.size();
        if (offset < have) out.push_back(inlineBuffer_.slice(offset, std::min(length, have - offset)));
        for (u64 left = offset + length > have ? offset + length - std::max(offset, have) : 0; left > 0;) {
            const u64 part = std::min<u64>(left, zeros().size());
            out.push_back(zeros().slice(0, part));
            left -= part;
        }
        co_return out;
    }
    const u64 end = offset + length;
    // Reads of several threads of one sequential reader come a little out of order.
    const bool near = streak_ > 0 && offset < next_ + kOutOfOrder && offset + kOutOfOrder > next_;
    if (offset > 0 && (offset == next_ || near)) {
        streak_++;
        window_ = std::min(readAheadMost_, std::max<u64>(window_ * 2, 1u << 20));
        next_ = std::max(next_, end);
    } else {
        streak_ = 0;
        window_ = 0;
        next_ = end;
        if (length < (1u << 20)) release();
    }
    const u64 window = window_;
    for (u64 at = offset; at < end;) {
        // Besides what lies ahead of this read, the rest of it: a large read is under way in many places.
        const u64 ahead_to = std::max(window == 0 ? 0 : end + window, std::min(end, at + kAheadAtOnce));
        CO_TRY(auto got, co_await some(at, end - at, ahead_to, gone));
        for (auto& b : got) {
            at += b.size();
            out.push_back(std::move(b));
        }
    }
    // What lies a little behind may still be asked for by a read that is out of order.
    if (end == size()) release();
    else forget(end > kOutOfOrder ? end - kOutOfOrder : 0);
    co_return out;
}

Task<Result<u64>> FileReader::read(u64 offset, std::span<u8> into) {
    u64 done = 0;
    while (done < into.size()) {
        CO_TRY(auto got, co_await pieces(offset + done, std::min<u64>(into.size() - done, kReadStep)));
        if (got.empty()) break;
        for (auto& b : got) {
            std::memcpy(into.data() + done, b.data(), b.size());
            done += b.size();
        }
    }
    co_return done;
}

Task<Result<u64>> FileReader::seekData(u64 offset) {
    if (offset >= size()) co_return Error(Code::NoAttribute, "behind the end");
    if (inline_) co_return offset;
    while (offset < size()) {
        CO_TRY(const SpanRecord* span, co_await spanAt(offset));
        if (!span->geometry.hole()) co_return offset;
        offset = span->end();
    }
    co_return Error(Code::NoAttribute, "no data behind it");
}

Task<Result<u64>> FileReader::seekHole(u64 offset) {
    if (offset >= size()) co_return Error(Code::NoAttribute, "behind the end");
    if (inline_) co_return size();
    while (offset < size()) {
        CO_TRY(const SpanRecord* span, co_await spanAt(offset));
        if (span->geometry.hole()) co_return offset;
        offset = span->end();
    }
    co_return size();
}

} // namespace skua::client
