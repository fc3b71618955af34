#include "fuse/stream.h"

#include <algorithm>
#include <cstring>
#include <map>
#include "client/reader.h"
#include "core/data/geometry.h"

namespace skua::fuse {

namespace {
constexpr u64 kFeed = 1u << 20; // fewer bytes wait for more
constexpr u64 kWorthAHole = 64u << 10;
constexpr std::size_t kInFlight = 2; // spans, besides the one that is being filled
} // namespace

Stream::Stream(client::Client& client, const Overlay& overlay, Policy policy, client::NewId id, ContentId content)
    : client_(client),
      overlay_(overlay),
      policy_(std::move(policy)),
      id_(std::move(id)),
      content_(content),
      span_(geometry::maxSpan(policy_)) {}

Stream::~Stream() {
    CHECK(!feeding_);
    for (auto& p : parts_.all) giveBudget(*p);
}

void Stream::giveBudget(Part& part) {
    client_.spanBudget.give(part.budget);
    part.budget = 0;
}

u64 Stream::waiting() const { return overlay_.contiguous(sent_, sent_ + 64 * kFeed) - sent_; }

// The spans that were sent, as a file of their own.
class Stream::Sent final : public Source {
public:
    Sent(client::Client& client, ContentId content, ReadKey key) : client_(client), content_(content), key_(key) {}
    void add(const SpanRecord& span) { spans_[span.offset] = span; }

    Task<Result<std::vector<Buffer>>> read(u64 offset, u64 length) override {
        std::vector<Buffer> out;
        while (length > 0) {
            auto it = spans_.upper_bound(offset);
            if (it == spans_.begin() || std::prev(it)->second.end() <= offset)
                co_return Error(Code::Io, "bytes that were sent are not known any more");
            const SpanRecord& span = std::prev(it)->second;
            shard::Open::Reply one;
            one.attributes.content = content_;
            one.attributes.size = span.end();
            one.spans.push_back(span);
            one.read_key = key_;
            const u64 n = std::min(length, span.end() - offset);
            auto reader = std::make_unique<client::FileReader>(client_, std::move(one));
            CO_TRY(auto some, co_await reader->pieces(offset, n));
            for (Buffer& b : some) out.push_back(std::move(b));
            offset += n;
            length -= n;
        }
        co_return out;
    }

private:
    client::Client& client_;
    const ContentId content_;
    const ReadKey key_;
    std::map<u64, SpanRecord> spans_;
};

void Stream::fillZeros(client::SpanWriter& writer, u64 bytes) {
    zeros_.resize(std::max<std::size_t>(zeros_.size(), std::min<u64>(bytes, kFeed)));
    while (bytes > 0) {
        const u64 n = std::min<u64>(bytes, zeros_.size());
        CHECK(writer.fill(std::span<const u8>(zeros_.data(), n)) == n);
        bytes -= n;
    }
}

void Stream::fillFromOverlay(client::SpanWriter& writer, u64 from, u64 to) {
    overlay_.each(from, to, [&](u64 begin, u64 end, const Overlay::Extent* extent, u64 in_extent) {
        CHECK(!extent || !extent->sent());
        if (extent && extent->held()) {
            CHECK(writer.fill(std::span<const u8>(extent->bytes.data() + in_extent, end - begin)) == end - begin);
            return;
        }
        fillZeros(writer, end - begin);
    });
}

Task<Result<>> Stream::fillFromAnywhere(client::SpanWriter& writer, u64 from, u64 to) {
    struct Piece {
        u64 from, to;
        Buffer bytes;
        std::shared_ptr<Source> source;
    };
    std::vector<Piece> pieces;
    overlay_.each(from, to, [&](u64 begin, u64 end, const Overlay::Extent* e, u64 in_extent) {
        pieces.push_back(
            Piece{begin, end, e && e->held() ? e->bytes.slice(in_extent, end - begin) : Buffer(), e ? e->source : nullptr});
    });
    for (const Piece& p : pieces) {
        if (p.source) {
            CO_TRY(auto read, co_await p.source->read(p.from, p.to - p.from));
            for (const Buffer& b : read) CHECK(writer.fill(b.span()) == b.size());
        } else if (!p.bytes.empty()) {
            CHECK(writer.fill(p.bytes.span()) == p.bytes.size());
        } else {
            fillZeros(writer, p.to - p.from);
        }
    }
    co_return Ok{};
}

Task<> Stream::letGo(Overlay& overlay, u64 bytes) {
    if (keyRefused_) co_return Ok{};
    if (!sentSource_) {
        const Generation none;
        auto key = co_await client_.metadata.spans(content_, none, 0, 0); // no span: the key alone
        keyRefused_ = !key;
        if (!key || sentSource_) co_return Ok{};
        sentSource_ = std::make_shared<Sent>(client_, content_, key->read_key);
    }
    for (u64 gone = 0; kept_ < parts_.all.size() && gone < bytes; kept_++) {
        Part& part = *parts_.all[kept_];
        if (!part.bad && (!part.ready || part.filled != span_)) break; // not yet
        if (part.bad || part.gone) continue;
        sentSource_->add(part.span.span);
        overlay.send(kept_ * span_, kept_ * span_ + part.filled, sentSource_);
        part.gone = true;
        gone += part.filled;
    }
    co_return Ok{};
}

u64 Stream::durable() const {
    u64 sum = 0;
    for (u64 i = kept_; i < parts_.all.size() && parts_.all[i]->ready && !keyRefused_; i++) sum += parts_.all[i]->filled;
    return sum;
}

Task<> Stream::feed() {
    CHECK(!feeding_);
    feeding_ = true;
    {
        Sleep breath(client_.clock, 0); // the answer to the write leaves first
        co_await breath;
    }
    while (!stopping_) {
        const u64 index = sent_ / span_, border = (index + 1) * span_;
        const u64 until = overlay_.contiguous(sent_, std::min(border, sent_ + kFeed));
        if (until - sent_ < kFeed && until != border) break;
        if (parts_.all.size() <= index) {
            u64 budget = 0;
            auto taken = co_await takeBudget(parts_, budget);
            if (!taken || stopping_ || sent_ / span_ != index) {
                client_.spanBudget.give(budget);
                if (!taken) break; // finish() writes what failed once more, and says so if it fails again
                continue;
            }
            while (parts_.all.size() < index) { // behind one that was skipped
                parts_.all.push_back(std::make_shared<Part>());
                parts_.all.back()->bad = true;
            }
            auto part = std::make_shared<Part>();
            part->budget = budget;
            part->writer = std::make_unique<client::SpanWriter>(client_, id_, content_, policy_, index * span_);
            parts_.all.push_back(std::move(part));
            continue; // the world may have changed
        }
        Part& part = *parts_.all[index];
        if (part.bad || !part.writer) {
            sent_ = border;
            continue;
        }
        fillFromOverlay(*part.writer, sent_, until);
        part.filled += until - sent_;
        sent_ = until;
        if (sent_ == border) {
            part.writer->complete();
            part.complete = true;
        }
        progress_.pulse();
        Sleep breath(client_.clock, 0);
        co_await breath;
    }
    feeding_ = false;
    progress_.pulse();
    co_return Ok{};
}

void Stream::touched(u64 from, u64 to) {
    if (from >= sent_ || from >= to) return;
    sequential_ = false;
    for (u64 index = from / span_; index < parts_.all.size() && index * span_ < to; index++) {
        Part& part = *parts_.all[index];
        if (part.bad || index * span_ + part.filled <= from) continue;
        part.bad = true;
        part.ready = false;
        part.writer.reset();
        giveBudget(part);
        if (index == sent_ / span_) sent_ = (index + 1) * span_;
    }
}

// Waits until at most so many spans are under way; takes the receipts of those that are done.
Task<Result<>> Stream::settleParts(Parts& parts, std::size_t in_flight_most) {
    const auto over = [](const PartPtr& p) { return p->bad || p->ready; };
    while (parts.settled < parts.all.size() && over(parts.all[parts.settled])) parts.settled++;
    for (std::size_t i = parts.settled; i < parts.all.size(); i++) {
        const PartPtr part = parts.all[i];
        if (over(part) || !part->complete || !part->writer) continue;
        std::size_t in_flight = 0;
        for (std::size_t j = parts.settled; j < parts.all.size(); j++) {
            const Part& p = *parts.all[j];
            in_flight += !p.bad && p.complete && p.writer && !p.writer->done();
        }
        if (!part->writer->done() && in_flight <= in_flight_most) continue;
        const auto writer = std::move(part->writer); // touched() may come meanwhile
        auto made = co_await writer->finish();
        giveBudget(*part);
        if (part->bad) continue;
        if (!made) {
            part->bad = true;
            co_return made.error();
        }
        part->span = std::move(*made);
        part->ready = true;
    }
    co_return Ok{};
}

Task<Result<>> Stream::settle(std::size_t in_flight_most) {
    auto done = co_await settleParts(parts_, in_flight_most);
    co_return done;
}

// Over the budget of all writers together: one span at a time. The first never waits for others.
Task<Result<>> Stream::takeBudget(Parts& parts, u64& budget) {
    CO_TRY_OK(co_await settleParts(parts, kInFlight));
    const u64 bytes = geometry::storedBytes(geometry::choose(policy_, span_), static_cast<u32>(span_));
    if (!client_.spanBudget.tryTake(bytes)) {
        CO_TRY_OK(co_await settleParts(parts, 0));
        client_.spanBudget.take(bytes);
    }
    budget = bytes;
    co_return Ok{};
}

Task<Result<>> Stream::writeRun(u64 from, u64 to, Parts& into) {
    if (from >= to) co_return Ok{};
    auto part = std::make_shared<Part>();
    CO_TRY_OK(co_await takeBudget(into, part->budget));
    part->writer = std::make_unique<client::SpanWriter>(client_, id_, content_, policy_, from, to - from);
    into.all.push_back(part);
    for (u64 at = from; at < to;) {
        const u64 n = std::min(kFeed, to - at);
        auto filled = co_await fillFromAnywhere(*part->writer, at, at + n);
        if (!filled) {
            part->writer.reset();
            part->bad = true;
            co_return filled;
        }
        at += n;
        Sleep breath(client_.clock, 0);
        co_await breath;
    }
    part->filled = to - from;
    part->writer->complete();
    part->complete = true;
    co_return Ok{};
}

// Long zeros become holes, the rest spans.
Task<Result<>> Stream::rewrite(u64 from, u64 to, Parts& into) {
    struct Hole {
        u64 from, to;
    };
    std::vector<Hole> holes;
    overlay_.each(from, to, [&](u64 begin, u64 end, const Overlay::Extent* extent, u64) {
        if (extent && !extent->zero()) return;
        if (!holes.empty() && holes.back().to == begin) holes.back().to = end;
        else holes.push_back(Hole{begin, end});
    });
    u64 run = from;
    for (const Hole hole : holes) {
        if (hole.to - hole.from < kWorthAHole) continue;
        CO_TRY_OK(co_await writeRun(run, hole.from, into));
        auto part = std::make_shared<Part>();
        part->span = client::holeSpan(hole.from, hole.to - hole.from);
        part->complete = part->ready = true;
        into.all.push_back(std::move(part));
        run = hole.to;
    }
    CO_TRY_OK(co_await writeRun(run, to, into));
    co_return Ok{};
}

Task<Result<shard::NewContent>> Stream::finish(u64 size) {
    stopping_ = true;
    while (feeding_) {
        auto waiting = progress_.wait();
        (void)co_await waiting;
    }
    shard::NewContent content;
    content.content = content_;
    content.size = size;
    if (size <= client::inlineMost(policy_)) {
        content.inline_bytes.emplace();
        std::string& bytes = content.inline_bytes->value;
        bytes.resize(size, '\0');
        overlay_.each(0, size, [&](u64 begin, u64 end, const Overlay::Extent* extent, u64 in_extent) {
            if (extent && extent->held()) std::memcpy(bytes.data() + begin, extent->bytes.data() + in_extent, end - begin);
        });
        co_return content;
    }
    // First what was begun, so that it is under way while the rest is written.
    for (u64 index = 0; index < parts_.all.size(); index++) {
        Part& part = *parts_.all[index];
        const u64 from = index * span_, want = from < size ? std::min(span_, size - from) : 0;
        if (part.bad || part.complete) continue;
        if (part.filled > want) {
            touched(from, from + 1);
            continue;
        }
        if (part.filled < want) { // a short rest follows what was sent already
            bool whole = true;
            overlay_.each(from + part.filled, from + want, [&](u64 begin, u64 end, const Overlay::Extent* e, u64) {
                if ((!e || e->zero()) && end - begin >= kWorthAHole) whole = false;
            });
            if (!whole) {
                touched(from, from + 1);
                continue;
            }
            while (part.filled < want) {
                const u64 n = std::min(kFeed, want - part.filled);
                fillFromOverlay(*part.writer, from + part.filled, from + part.filled + n);
                part.filled += n;
                Sleep breath(client_.clock, 0);
                co_await breath;
            }
        }
        part.writer->complete();
        part.complete = true;
    }
    // A span that failed while it was streamed is written once more, like one that was changed.
    for (;;) {
        auto settled = co_await settle(0);
        if (settled) break;
    }
    Parts made;
    for (u64 from = 0; from < size; from += span_) {
        const u64 index = from / span_, want = std::min(span_, size - from);
        const bool good = index < parts_.all.size() && parts_.all[index]->ready && parts_.all[index]->filled == want;
        if (good) {
            made.all.push_back(parts_.all[index]);
            continue;
        }
        if (index < parts_.all.size()) giveBudget(*parts_.all[index]);
        auto written = co_await rewrite(from, from + want, made);
        if (!written) {
            for (auto& p : made.all) giveBudget(*p);
            co_return written.error();
        }
    }
    auto settled = co_await settleParts(made, 0);
    for (auto& p : made.all) giveBudget(*p);
    if (!settled) co_return settled.error();
    std::vector<shard::SpanWithProofs> spans;
    for (auto& p : made.all) {
        const bool joins = p->span.span.geometry.hole() && !spans.empty() && spans.back().span.geometry.hole();
        if (joins) spans.back().span.hole_length += p->span.span.hole_length;
        else spans.push_back(p->span);
    }
    content.span_count = static_cast<u32>(spans.size());
    CO_TRY_OK(co_await stage(spans));
    content.spans = std::move(spans);
    co_return content;
}

// All but the last few go ahead of the commit.
Task<Result<>> Stream::stage(std::vector<shard::SpanWithProofs>& spans) {
    std::size_t from = 0;
    while (spans.size() - from > kMaxSpansPerCommit) {
        shard::StageSpans request;
        request.reservation = id_.reservation();
        request.content = content_;
        const std::size_t to = from + kMaxSpansPerCommit;
        for (; from < to; from++) request.spans.push_back(spans[from]);
        staged_ += kMaxSpansPerCommit;
        CO_TRY_OK(co_await client_.metadata.stageSpans(std::move(request)));
    }
    spans.erase(spans.begin(), spans.begin() + static_cast<std::ptrdiff_t>(from));
    co_return Ok{};
}

} // namespace skua::fuse
