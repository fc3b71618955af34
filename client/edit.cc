#include "client/edit.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <map>
#include "client/reader.h"
#include "client/writer.h"
#include "core/data/geometry.h"

namespace skua::client {

namespace {

constexpr int kTries = 30; // against others who edit the same file
constexpr u64 kWorthAHole = 64u << 10;
constexpr u64 kMergeLast = 1u << 20; // a last span up to this long is written anew with what follows it
constexpr u64 kStep = 1u << 20;
constexpr std::size_t kInFlight = 2;

// What the bytes of some range will be.
struct Paint {
    enum class From : u8 { kBase, kZero, kPiece } from{};
    u64 end = 0;
    const EditPiece* piece = nullptr;
};

// The file as it shall be: ranges by their beginning, without gaps, 0..size.
class Picture {
public:
    explicit Picture(u64 size) : size_(size) { ranges_[0] = {Paint::From::kZero, size, nullptr}; }

    void paint(u64 from, u64 to, Paint with) {
        to = std::min(to, size_);
        if (from >= to) return;
        cutAt(from);
        cutAt(to);
        ranges_.erase(ranges_.lower_bound(from), ranges_.lower_bound(to));
        with.end = to;
        ranges_[from] = with;
    }
    std::map<u64, Paint>& ranges() { return ranges_; }
    u64 size() const { return size_; }
    // The range that `at` is in.
    std::map<u64, Paint>::const_iterator at(u64 at) const { return std::prev(ranges_.upper_bound(at)); }

private:
    void cutAt(u64 at) {
        if (at == 0 || at >= size_) return;
        auto it = std::prev(ranges_.upper_bound(at));
        if (it->first == at) return;
        ranges_[at] = it->second;
        it->second.end = at;
    }
    std::map<u64, Paint> ranges_;
    u64 size_;
};

struct Range {
    u64 from = 0, to = 0;
};
void addRange(std::vector<Range>& all, u64 from, u64 to) {
    if (from < to) all.push_back({from, to});
}
std::vector<Range> merged(std::vector<Range> all) {
    std::sort(all.begin(), all.end(), [](const Range& a, const Range& b) { return a.from < b.from; });
    std::vector<Range> out;
    for (const Range& r : all) {
        if (!out.empty() && r.from <= out.back().to) out.back().to = std::max(out.back().to, r.to);
        else out.push_back(r);
    }
    return out;
}

class Editor {
public:
    Editor(Client& client, Edit& edit) : client_(client), edit_(edit) {}

    Task<Result<Attributes>> run() {
        for (int attempt = 0;; attempt++) {
            auto done = co_await once();
            const bool again = done.code() == Code::Conflict || done.code() == Code::Stale;
            if (!again || attempt >= kTries) co_return done;
            Sleep nap(client_.clock, kMillisecond * (1 + client_.services.random().below(10 * static_cast<u64>(attempt) + 10)));
            co_await nap;
        }
    }

    const NewId& id() const { return id_; }

private:
    Task<Result<Attributes>> once();
    Task<Result<>> touchSpans(FileReader& base, u64 kept, std::vector<Range>& touched);
    Task<Result<>> bytesOf(FileReader& base, u64 from, std::span<u8> into);
    Task<Result<>> writeRegion(FileReader& base, Range region, std::vector<shard::SpanWithProofs>& puts);
    Task<Result<>> writeRun(FileReader& base, Range run, std::vector<shard::SpanWithProofs>& puts);
    Task<Result<>> settle(std::size_t in_flight, std::vector<shard::SpanWithProofs>& puts);
    Task<Result<Attributes>> commit(const Attributes& base, u64 covered, std::vector<shard::SpanWithProofs> puts);
    void compose(u64 base_size);

    Client& client_;
    Edit& edit_;
    Policy policy_;
    NewId id_;
    std::vector<EditPiece> appended_; // `append`, where it goes this time
    std::optional<Picture> picture_;
    std::vector<Range> dirty_;
    std::deque<SpanWriter> writers_;
    ContentId content_;
};

// Layers: what is there, cut, holes, pieces, what is appended.
void Editor::compose(u64 base_size) {
    const u64 kept = std::min(base_size, edit_.cut.value_or(base_size));
    u64 end = kept;
    for (const auto& p : edit_.pieces) end = std::max(end, p.offset + p.bytes.size());
    appended_.clear();
    for (const auto& b : edit_.append) {
        appended_.push_back({end, b});
        end += b.size();
    }
    const u64 size = edit_.size.value_or(end);
    picture_.emplace(size);
    dirty_.clear();
    picture_->paint(0, kept, {Paint::From::kBase, 0, nullptr});
    addRange(dirty_, kept, size);
    for (std::size_t i = 0; i < edit_.holes.size() && i < edit_.hole_lengths.size(); i++) {
        const u64 from = edit_.holes[i].offset, to = std::min(size, from + std::min(edit_.hole_lengths[i], kMaxFileSize));
        picture_->paint(from, to, {Paint::From::kZero, 0, nullptr});
        addRange(dirty_, from, to);
    }
    for (const auto* list : {&edit_.pieces, &appended_})
        for (const auto& p : *list) {
            picture_->paint(p.offset, p.offset + p.bytes.size(), {Paint::From::kPiece, 0, &p});
            addRange(dirty_, p.offset, std::min(size, p.offset + p.bytes.size()));
        }
}

Task<Result<Attributes>> Editor::once() {
    writers_.clear();
    CO_TRY(auto opened, co_await client_.metadata.open(edit_.inode));
    FileReader base(client_, std::move(opened));
    base.setReadAhead(0);
    const Attributes& attributes = base.attributes();
    content_ = attributes.content;
    policy_ = edit_.policy.scheme.empty() ? client_.cluster.defaultPolicy() : edit_.policy;
    compose(base.size());
    const u64 size = picture_->size();
    if (size > kMaxFileSize) co_return Error(Code::TooLarge, "a file has at most 2^60 bytes");
    const bool was_inline = base.inlineBytes().has_value() || base.size() == 0;
    if (size <= inlineMost(policy_)) {
        shard::EditContent request;
        request.inode = edit_.inode;
        request.content = content_;
        request.base = attributes.generation;
        request.size = size;
        request.mtime = edit_.mtime;
        std::string bytes(size, '\0');
        CO_TRY_OK(co_await bytesOf(base, 0, std::span<u8>(reinterpret_cast<u8*>(bytes.data()), bytes.size())));
        request.inline_bytes.emplace();
        request.inline_bytes->value = std::move(bytes);
        auto done = co_await client_.metadata.editContent(std::move(request));
        co_return done;
    }
    std::vector<Range> touched = dirty_;
    if (was_inline) {
        addRange(touched, 0, size);
    } else {
        CO_TRY_OK(co_await touchSpans(base, std::min(base.size(), size), touched));
    }
    CO_TRY(id_, co_await client_.metadata.reservations().take(edit_.inode.shard()));
    std::vector<shard::SpanWithProofs> puts;
    const std::vector<Range> regions = merged(std::move(touched));
    for (const Range& region : regions) { CO_TRY_OK(co_await writeRegion(base, region, puts)); }
    CO_TRY_OK(co_await settle(0, puts));
    std::sort(puts.begin(), puts.end(), [](const auto& a, const auto& b) { return a.span.offset < b.span.offset; });
    const u64 covered = was_inline ? 0 : base.size();
    auto done = co_await commit(attributes, covered, std::move(puts));
    co_return done;
}

// Spans with data are put whole: what is dirty grows to their borders.
Task<Result<>> Editor::touchSpans(FileReader& base, u64 kept, std::vector<Range>& touched) {
    std::vector<Range> dirty = merged(dirty_);
    // The span that the new end cuts through.
    if (picture_->size() < base.size() && picture_->size() > 0) addRange(dirty, picture_->size() - 1, picture_->size());
    // A short last span grows with what is behind it, so that files appended to bit by bit do not end up in crumbs.
    if (picture_->size() > base.size() && base.size() > 0) {
        CO_TRY(const SpanRecord* last, co_await base.spanAt(base.size() - 1));
        if (!last->geometry.hole() && last->length <= kMergeLast) addRange(dirty, last->offset, last->end());
    }
    const std::vector<Range> all = merged(std::move(dirty));
    for (const Range& r : all)
        for (u64 at = r.from; at < std::min(r.to, kept);) {
            CO_TRY(const SpanRecord* span, co_await base.spanAt(at));
            if (span->geometry.hole()) addRange(touched, at, std::min({r.to, span->end(), kept}));
            else addRange(touched, span->offset, std::min(span->end(), kept));
            at = span->end();
        }
    co_return Ok{};
}

Task<Result<>> Editor::bytesOf(FileReader& base, u64 from, std::span<u8> into) {
    for (u64 done = 0; done < into.size();) {
        const u64 at = from + done;
        const auto range = picture_->at(at);
        const Paint paint = range->second;
        const u64 n = std::min<u64>(into.size() - done, paint.end - at);
        switch (paint.from) {
            case Paint::From::kZero: std::memset(into.data() + done, 0, n); break;
            case Paint::From::kPiece:
                std::memcpy(into.data() + done, paint.piece->bytes.data() + (at - paint.piece->offset), n);
                break;
            case Paint::From::kBase: {
                const std::span<u8> part = into.subspan(done, n);
                CO_TRY(const u64 got, co_await base.read(at, part));
                if (got != n) co_return Error(Code::Stale, "the file is shorter than it said");
            }
        }
        done += n;
    }
    co_return Ok{};
}

// Long zeros become holes, the rest spans.
Task<Result<>> Editor::writeRegion(FileReader& base, Range region, std::vector<shard::SpanWithProofs>& puts) {
    u64 run = region.from;
    for (u64 at = region.from; at < region.to;) {
        const Paint paint = picture_->at(at)->second;
        u64 end = std::min(paint.end, region.to);
        bool zero = paint.from == Paint::From::kZero;
        if (paint.from == Paint::From::kBase) {
            // What was a hole stays one.
            const bool in_spans = !base.inlineBytes() && base.size() > 0;
            if (in_spans) {
                CO_TRY(const SpanRecord* span, co_await base.spanAt(at));
                zero = span->geometry.hole();
                end = std::min(end, span->end());
            }
        }
        if (zero && end - at >= kWorthAHole) {
            const Range before{run, at};
            CO_TRY_OK(co_await writeRun(base, before, puts));
            if (!puts.empty() && puts.back().span.geometry.hole() && puts.back().span.end() == at)
                puts.back().span.hole_length += end - at;
            else puts.push_back(holeSpan(at, end - at));
            run = end;
        }
        at = end;
    }
    const Range rest{run, region.to};
    CO_TRY_OK(co_await writeRun(base, rest, puts));
    co_return Ok{};
}

Task<Result<>> Editor::writeRun(FileReader& base, Range run, std::vector<shard::SpanWithProofs>& puts) {
    const u64 most = geometry::maxSpan(policy_);
    Buffer buffer;
    for (u64 from = run.from; from < run.to;) {
        const u64 length = std::min(most, run.to - from);
        CO_TRY_OK(co_await settle(kInFlight - 1, puts));
        SpanWriter writer(client_, id_, content_, policy_, from, length);
        for (u64 at = from; at < from + length;) {
            const u64 n = std::min(kStep, from + length - at);
            if (buffer.size() < n) buffer = Buffer::allocate(n);
            const std::span<u8> part(buffer.data(), n);
            CO_TRY_OK(co_await bytesOf(base, at, part));
            CHECK(writer.fill(part) == n);
            at += n;
        }
        writer.complete();
        writers_.push_back(std::move(writer));
        from += length;
    }
    co_return Ok{};
}

Task<Result<>> Editor::settle(std::size_t in_flight, std::vector<shard::SpanWithProofs>& puts) {
    while (writers_.size() > in_flight) {
        CO_TRY(auto made, co_await writers_.front().finish());
        writers_.pop_front();
        puts.push_back(std::move(made));
    }
    co_return Ok{};
}

// In one request if they fit, else in steps from the front, each of which others may see.
Task<Result<Attributes>> Editor::commit(const Attributes& base, u64 covered, std::vector<shard::SpanWithProofs> puts) {
    Generation generation = base.generation;
    std::size_t from = 0;
    for (;;) {
        shard::EditContent request;
        request.inode = edit_.inode;
        request.reservation = id_.reservation();
        request.content = content_;
        request.base = generation;
        request.mtime = edit_.mtime;
        const std::size_t to = std::min(puts.size(), from + kMaxSpansPerCommit);
        for (; from < to; from++) request.spans.push_back(puts[from]);
        const bool last = from == puts.size();
        if (!last) covered = std::max(covered, request.spans.back().span.end());
        request.size = last ? picture_->size() : covered;
        auto done = co_await client_.metadata.editContent(std::move(request));
        if (!done || last) co_return done;
        generation = done->generation;
        // What was appended has its place now; doing it again must not append it again.
        for (auto& p : appended_) edit_.pieces.push_back(p);
        edit_.append.clear();
        appended_.clear();
    }
}

} // namespace

Task<Result<Attributes>> editFile(Client& client, Edit edit) {
    Editor editor(client, edit);
    auto done = co_await editor.run();
    if (!done) {
        const NewId id = editor.id();
        (void)co_await client.giveUp(id);
    }
    co_return done;
}

Task<Result<Attributes>> replaceContent(Client& client, InodeId inode, Policy policy, std::vector<Buffer> bytes,
                                        std::optional<Wall> mtime) {
    if (policy.scheme.empty()) policy = client.cluster.defaultPolicy();
    FileWriter writer(client, std::move(policy), inode.shard());
    for (const Buffer& b : bytes) { CO_TRY_OK(co_await writer.append(b.span())); }
    shard::SetContent request;
    CO_TRY(request.content, co_await writer.finish());
    request.inode = inode;
    request.reservation = writer.reservation();
    request.mtime = mtime;
    auto done = co_await client.metadata.setContent(std::move(request));
    co_return done;
}

} // namespace skua::client
