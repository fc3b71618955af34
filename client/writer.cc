#include "client/writer.h"

#include <algorithm>
#include <utility>
#include "client/span_job.h"

namespace skua::client {

namespace {
constexpr u64 kWorthAHole = 64u << 10;    // fewer zeros are written
constexpr std::size_t kSpansInFlight = 2; // besides the one that is being filled
constexpr u64 kGiveUpFor = 1 * kSecond, kGiveUpLook = 10 * kMillisecond;
constexpr std::size_t kBreath = 1u << 20; // bytes that are taken before others run
} // namespace

SpanWriter::SpanWriter(Client& client, NewId id, ContentId content, const Policy& policy, u64 offset, u64 length_known)
    : job_(std::make_shared<SpanJob>(client, std::move(id), content, policy, offset, length_known)) {
    if (job_->chosen) client.services.background().spawn(runSpan(job_));
}

SpanWriter::~SpanWriter() {
    // What is complete goes on by itself, and may still be waited for by nobody.
    if (job_ && !job_->finished && !job_->completed) job_->abandon();
}
SpanWriter::SpanWriter(SpanWriter&&) noexcept = default;
SpanWriter& SpanWriter::operator=(SpanWriter&&) noexcept = default;

u64 SpanWriter::room() const { return job_->room(); }
u64 SpanWriter::filled() const { return job_->filled; }

std::size_t SpanWriter::fill(std::span<const u8> bytes) {
    const bool before = job_->chosen;
    const std::size_t taken = job_->fill(bytes);
    if (!before && job_->chosen) job_->client.services.background().spawn(runSpan(job_));
    return taken;
}

u32 SpanWriter::read(const StripeRead& from, u64 at) {
    const u32 before = job_->filled;
    if (!job_->client.coder || !job_->chosen || !job_->read(from, at)) return 0;
    return job_->filled - before;
}

Task<> SpanWriter::sealed() {
    std::shared_ptr<SpanJob> job = job_;
    while (job->sealing > 0) {
        auto waiting = job->changed.wait();
        (void)co_await waiting;
    }
    co_return Ok{};
}

void SpanWriter::complete() {
    const bool before = job_->chosen;
    job_->complete();
    if (!before && job_->chosen) job_->client.services.background().spawn(runSpan(job_));
}

bool SpanWriter::done() const { return job_->finished; }

Task<Result<shard::SpanWithProofs>> SpanWriter::finish() {
    complete();
    std::shared_ptr<SpanJob> job = job_;
    CHECK(job->filled > 0);
    while (!job->finished) {
        auto waiting = job->changed.wait();
        (void)co_await waiting;
    }
    if (job->error.code != Code::Ok) co_return job->error;
    shard::SpanWithProofs made;
    made.span.offset = job->offset;
    made.span.length = job->filled;
    made.span.geometry = job->geometry;
    for (u32 i = 0; i < job->blocks.size(); i++) {
        const BlockJob& b = job->blocks[i];
        BlockRef ref;
        shard::Proof proof;
        ref.sum = job->blockSum(i);
        if (b.won) {
            ref.id = b.won->id;
            ref.service = b.won->service;
            proof.incarnation = b.won->receipt.incarnation;
            proof.mac = b.won->receipt.mac;
        }
        made.span.blocks.push_back(ref);
        made.proofs.push_back(proof);
    }
    co_return made;
}

Task<Result<shard::SpanWithProofs>> writeSpan(Client& client, NewId id, ContentId content, Policy policy, u64 offset,
                                              std::span<const u8> bytes) {
    SpanWriter writer(client, std::move(id), content, policy, offset, bytes.size());
    while (!bytes.empty()) {
        const std::size_t taken = writer.fill(bytes.first(std::min(bytes.size(), kBreath)));
        CHECK(taken > 0);
        bytes = bytes.subspan(taken);
        if (bytes.empty()) break;
        Sleep breath(client.clock, 0);
        co_await breath;
    }
    auto made = co_await writer.finish();
    co_return made;
}

shard::SpanWithProofs holeSpan(u64 offset, u64 bytes) {
    shard::SpanWithProofs hole;
    hole.span.offset = offset;
    hole.span.hole_length = bytes;
    return hole;
}

// --- FileWriter -----------------------------------------------------------------------------------------

FileWriter::FileWriter(Client& client, Policy policy, ShardId shard)
    : client_(client), policy_(std::move(policy)), shard_(shard) {}

FileWriter::FileWriter(Client& client, Policy policy, NewId id)
    : client_(client), policy_(std::move(policy)), shard_(id.from->shard), id_(std::move(id)), begun_(true) {}

FileWriter::~FileWriter() {
    client_.spanBudget.give(currentBudget_);
    for (auto& p : parts_) client_.spanBudget.give(p.budget);
}

u32 inlineMost(const Policy& policy) { return policy.inline_most == 0 ? 0 : std::min(policy.inline_most - 1, kMaxInline); }

Task<Result<>> FileWriter::begin() {
    if (failed_.code != Code::Ok) co_return failed_;
    if (begun_) co_return Ok{};
    CO_TRY(id_, co_await client_.metadata.reservations().take(shard_));
    begun_ = true;
    co_return Ok{};
}

Task<Result<>> FileWriter::append(std::span<const u8> bytes) {
    CO_TRY_OK(co_await begin());
    if (bytes.size() > kMaxFileSize - size_) co_return Error(Code::TooLarge, "a file has at most 2^60 bytes");
    if (!streaming_) {
        if (size_ + bytes.size() <= inlineMost(policy_)) {
            head_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
            size_ += bytes.size();
            co_return Ok{};
        }
        streaming_ = true;
        const std::string head = std::move(head_);
        head_.clear();
        size_ = 0;
        auto put_head = co_await put(std::span<const u8>(reinterpret_cast<const u8*>(head.data()), head.size()));
        if (!put_head) failed_ = put_head.error();
        CO_TRY_OK(std::move(put_head));
    }
    auto done = co_await put(bytes);
    if (!done) failed_ = done.error();
    co_return done;
}

Task<Result<>> FileWriter::put(std::span<const u8> bytes) {
    while (!bytes.empty()) {
        if (!current_) { CO_TRY_OK(co_await openSpan()); }
        const std::size_t taken = current_->fill(bytes.first(std::min(bytes.size(), kBreath)));
        CHECK(taken > 0);
        size_ += taken;
        bytes = bytes.subspan(taken);
        if (current_->room() == 0) closeSpan();
        if (taken == kBreath) {
            // What was just encoded leaves now, not when the caller waits for something else.
            Sleep breath(client_.clock, 0);
            co_await breath;
        }
    }
    co_return Ok{};
}

Task<Result<u64>> FileWriter::appendFrom(const StripeRead& read, u64 at, u64 bytes) {
    CO_TRY_OK(co_await begin());
    const u64 span = geometry::maxSpan(policy_);
    const Geometry g = geometry::choose(policy_, static_cast<u32>(span));
    const u64 stripe = static_cast<u64>(g.cell) * g.data;
    if (!client_.coder || (size_ > 0 && !streaming_) || current_ || bytes > kMaxFileSize - size_ || span % stripe != 0)
        co_return u64{0};
    u64 taken = 0;
    Error wrong;
    while (bytes - taken >= span) {
        auto opened = co_await openSpan(span);
        if (!opened) wrong = opened.error();
        if (!opened) break;
        streaming_ = true;
        while (current_->room() > 0) {
            const u32 n = current_->read(read, at + taken);
            CHECK(n == stripe);
            taken += n;
            size_ += n;
        }
        closeSpan();
    }
    // The reader is the caller's: nothing may call it after this.
    for (auto& p : parts_) {
        if (!p.writer) continue;
        (void)co_await p.writer->sealed();
    }
    if (wrong.code != Code::Ok) {
        failed_ = wrong;
        co_return wrong;
    }
    co_return taken;
}

Task<Result<>> FileWriter::openSpan(u64 length_known) {
    CO_TRY_OK(co_await settle(kSpansInFlight));
    const Geometry g = geometry::choose(policy_, geometry::maxSpan(policy_));
    const u64 bytes = geometry::storedBytes(g, geometry::maxSpan(policy_));
    // Over the budget of all writers together: one span at a time. The first never waits for others.
    if (!client_.spanBudget.tryTake(bytes)) {
        CO_TRY_OK(co_await settle(0));
        client_.spanBudget.take(bytes);
    }
    currentBudget_ = bytes;
    current_ = std::make_unique<SpanWriter>(client_, id_, id_.content(), policy_, size_, length_known);
    co_return Ok{};
}

void FileWriter::closeSpan() {
    if (!current_) return;
    current_->complete();
    Part part;
    part.writer = std::move(current_);
    part.budget = currentBudget_;
    currentBudget_ = 0;
    parts_.push_back(std::move(part));
}

std::size_t FileWriter::inFlight() const {
    return static_cast<std::size_t>(
        std::count_if(parts_.begin(), parts_.end(), [](const Part& p) { return p.writer && !p.writer->done(); }));
}

// Waits until at most so many spans are under way; takes the receipts of those that are done.
Task<Result<>> FileWriter::settle(std::size_t in_flight_most) {
    for (std::size_t i = 0; i < parts_.size(); i++) {
        if (parts_[i].ready) continue;
        if (parts_[i].writer) {
            if (!parts_[i].writer->done() && inFlight() <= in_flight_most) continue;
            CO_TRY(parts_[i].span, co_await parts_[i].writer->finish());
            parts_[i].writer.reset();
            client_.spanBudget.give(parts_[i].budget);
            parts_[i].budget = 0;
        }
        parts_[i].ready = true;
    }
    CO_TRY_OK(co_await stage(2 * kMaxSpansPerCommit));
    co_return Ok{};
}

// Stages finished spans from the front until at most `keep` are left.
Task<Result<>> FileWriter::stage(std::size_t keep) {
    while (parts_.size() > keep) {
        shard::StageSpans request;
        request.reservation = id_.reservation();
        request.content = id_.content();
        while (request.spans.size() < kMaxSpansPerCommit && request.spans.size() < parts_.size() &&
               parts_[request.spans.size()].ready)
            request.spans.push_back(parts_[request.spans.size()].span);
        if (request.spans.empty()) break;
        const std::size_t n = request.spans.size();
        CO_TRY_OK(co_await client_.metadata.stageSpans(std::move(request)));
        parts_.erase(parts_.begin(), parts_.begin() + static_cast<std::ptrdiff_t>(n));
        staged_ += static_cast<u32>(n);
    }
    co_return Ok{};
}

Task<Result<>> FileWriter::skip(u64 bytes) {
    CO_TRY_OK(co_await begin());
    if (bytes > kMaxFileSize - size_) co_return Error(Code::TooLarge, "a file has at most 2^60 bytes");
    if (bytes < kWorthAHole) {
        const std::vector<u8> zeros(bytes);
        auto done = co_await append(zeros);
        co_return done;
    }
    auto done = co_await hole(bytes);
    if (!done) failed_ = done.error();
    co_return done;
}

Task<Result<>> FileWriter::hole(u64 bytes) {
    if (!streaming_) {
        streaming_ = true;
        const std::string head = std::move(head_);
        head_.clear();
        size_ = 0;
        CO_TRY_OK(co_await put(std::span<const u8>(reinterpret_cast<const u8*>(head.data()), head.size())));
    }
    closeSpan();
    if (!parts_.empty() && parts_.back().ready && parts_.back().span.span.geometry.hole()) {
        parts_.back().span.span.hole_length += bytes;
    } else {
        Part part;
        part.span = holeSpan(size_, bytes);
        part.ready = true;
        parts_.push_back(std::move(part));
    }
    size_ += bytes;
    CO_TRY_OK(co_await settle(kSpansInFlight));
    co_return Ok{};
}

Task<> FileWriter::giveUp() {
    if (!begun_) co_return Ok{};
    current_.reset();
    // What is under way has its receipts soon, or ends by itself and is given back then.
    const u64 until = client_.clock.now().value + kGiveUpFor;
    while (inFlight() > 0 && client_.clock.now().value < until) {
        Sleep nap(client_.clock, kGiveUpLook);
        co_await nap;
    }
    client_.spanBudget.give(std::exchange(currentBudget_, 0));
    for (auto& p : parts_) client_.spanBudget.give(p.budget);
    parts_.clear();
    (void)co_await client_.giveUp(id_);
    co_return Ok{};
}

Task<Result<shard::NewContent>> FileWriter::finish() {
    CO_TRY_OK(co_await begin());
    shard::NewContent content;
    content.content = id_.content();
    content.size = size_;
    if (!streaming_) {
        content.inline_bytes.emplace();
        content.inline_bytes->value = head_;
        co_return content;
    }
    closeSpan();
    auto settled = co_await settle(0);
    if (settled) settled = co_await stage(kMaxSpansPerCommit);
    if (!settled) {
        failed_ = settled.error();
        co_return failed_;
    }
    for (auto& p : parts_) content.spans.push_back(std::move(p.span));
    content.span_count = staged_ + static_cast<u32>(content.spans.size());
    parts_.clear();
    co_return content;
}

} // namespace skua::client
