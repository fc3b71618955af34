#include "client/row.h"

#include <bit>
#include "core/base/log.h"
#include "core/data/checksum.h"
#include "core/data/erasure.h"
#include "core/net/frame.h"

namespace skua::client {

namespace {

constexpr u64 kCallLimit = 5 * kSecond;         // of one ReadBlock
constexpr u64 kLateAtMost = 700 * kMillisecond; // then others are asked, permit or not

// Shared with the tasks that ask, which may outlive the reader's interest.
struct RowJob {
    Client& client;
    Row row;
    std::vector<Buffer> cells;
    u64 asked = 0, good = 0, bad = 0; // by block; asked includes the other two
    u64 missing = 0;
    u64 late = 0;       // asked, and not waited for any more
    bool away = false;  // a service could not be reached
    bool wrong = false; // bytes were not what was written
    bool over = false;  // the row is read: late answers are let go
    std::vector<u64> asked_at;
    Event changed;

    RowJob(Client& c, Row r) : client(c), row(std::move(r)), cells(row.span.blocks.size()), asked_at(row.span.blocks.size()) {}
    u32 length() const { return row.to - row.from; }
    u32 blocks() const { return static_cast<u32>(cells.size()); }
};

Task<> askBlock(std::shared_ptr<RowJob> job, u32 index) {
    const BlockRef ref = job->row.span.blocks[index];
    Services& services = job->client.services;
    blocks::ReadBlock request;
    request.service = ref.service;
    request.id = ref.id;
    request.offset = job->row.from;
    request.length = job->length();
    request.key = job->row.key;
    auto answer = co_await services.ask(ref.service, request, Buffer(), kCallLimit);
    if (job->over) co_return Ok{};
    const u64 bit = 1ull << index;
    job->late &= ~bit;
    if (answer) {
        const auto& sums = answer->reply.sums;
        const Buffer& bytes = answer->payload;
        const bool shaped = bytes.size() == job->length() && sums.size() == job->length() / kPage;
        if (shaped && firstBadPage(ref.id, job->row.from / kPage, bytes.data(), sums) == sums.size()) {
            job->cells[index] = bytes;
            job->good |= bit;
        } else {
            log::warn("wrong bytes service={} content={} block={} offset={}", ref.service.value, ref.id.content.value, index,
                      job->row.from);
            services.reportBad(ref.service, ref.id);
            job->bad |= bit;
            job->wrong = true;
        }
    } else {
        job->bad |= bit;
        const Code code = answer.code();
        if (code == Code::Corrupt) {
            services.reportBad(ref.service, ref.id);
            job->wrong = true;
        } else if (code == Code::NotFound || code == Code::Stale) {
            job->missing |= bit;
        } else {
            job->away = true;
        }
    }
    job->changed.pulse();
    co_return Ok{};
}

void ask(const std::shared_ptr<RowJob>& job, u32 index) {
    job->asked |= 1ull << index;
    job->asked_at[index] = job->client.clock.now().value;
    job->client.services.background().spawn(askBlock(job, index));
}

// Blocks that a row can be read from, and those that it should rather not be asked of.
struct Sources {
    u64 all = 0, doubtful = 0, last = 0; // last: said to be bad; better than nothing, sums tell
};
Sources sourcesOf(RowJob& job) {
    Sources s;
    for (u32 i = 0; i < job.blocks(); i++) {
        const BlockRef& ref = job.row.span.blocks[i];
        if (ref.service.value == 0) continue;
        s.all |= 1ull << i;
        if (ref.bad) s.last |= 1ull << i;
        else if (job.client.services.doubtful(ref.service)) s.doubtful |= 1ull << i;
    }
    return s;
}

// Asks what is still needed: the wanted blocks themselves, or, where one of them cannot be had (soon),
// enough of the others to decode from. False: there is nobody left to ask.
bool askForMore(const std::shared_ptr<RowJob>& job, u32 data, const Sources& sources) {
    const u64 pending = job->asked & ~job->good & ~job->bad & ~job->late;
    const u64 direct = job->good | pending | (sources.all & ~sources.doubtful & ~sources.last & ~job->asked);
    if ((job->row.want & ~direct) == 0) {
        for (u32 i = 0; i < job->blocks(); i++)
            if (job->row.want & ~job->asked & 1ull << i) ask(job, i);
        return true;
    }
    u32 coming = static_cast<u32>(std::popcount(job->good | pending));
    for (const u64 not_yet : {sources.doubtful | sources.last, sources.last, u64{0}})
        for (u32 i = 0; i < job->blocks() && coming < data; i++) {
            const u64 bit = 1ull << i;
            if (!(sources.all & bit) || job->asked & bit || not_yet & bit) continue;
            ask(job, i);
            coming++;
        }
    return coming >= data;
}

Result<> decodeRow(RowJob& job, u32 data, u32 parity) {
    const u64 lost = job.row.want & ~job.good;
    if (data == 1) {
        job.cells[0] = job.cells[static_cast<u32>(std::countr_zero(job.good))];
        return Ok{};
    }
    std::vector<u8*> cells(job.blocks(), nullptr);
    for (u32 i = 0; i < job.blocks(); i++) {
        if (lost & 1ull << i) job.cells[i] = net::takePayload(job.length());
        if ((lost | job.good) & 1ull << i) cells[i] = job.cells[i].data();
    }
    if (!Erasure::of(data, parity).decode(job.good, lost, cells.data(), job.length()))
        return Error(Code::Corrupt, "too few cells to decode from");
    return Ok{};
}

} // namespace

Task<Result<RowCells>> readRow(Client& client, Row row) {
    const u32 data = row.span.geometry.data, parity = row.span.geometry.parity;
    auto job = std::make_shared<RowJob>(client, std::move(row));
    if (job->blocks() != data + parity || job->blocks() > 64)
        co_return Error(Code::Corrupt, "a span whose blocks do not fit its scheme");
    // Those that were waited for in vain are not asked again by everybody: they are being probed.
    u32 worth_asking = 0;
    for (const BlockRef& b : job->row.span.blocks) worth_asking += b.service.value != 0 && !client.services.away(b.service);
    if (worth_asking < data) co_return Error(Code::Unavailable, "too few block services answer");
    bool more = true;
    for (;;) {
        const u64 lost = job->row.want & ~job->good;
        if (lost == 0) break;
        if (static_cast<u32>(std::popcount(job->good)) >= data) {
            client.services.stats.degraded++;
            CO_TRY_OK(decodeRow(*job, data, parity));
            break;
        }
        const Sources sources = sourcesOf(*job);
        const u64 before = job->good | job->bad;
        more = askForMore(job, data, sources);
        if ((job->good | job->bad) != before) continue; // some were answered at once
        const u64 running = job->asked & ~job->good & ~job->bad;
        if (running == 0 && !more) {
            job->over = true;
            if (job->away) co_return Error(Code::Unavailable, "too few block services answer");
            if (job->missing != 0) co_return Error(Code::NotFound, "too few blocks are where they should be");
            co_return Error(Code::Corrupt, job->wrong ? "too few good blocks are left" : "too few blocks are left");
        }
        if (client.clock.now() >= job->row.until) {
            job->over = true;
            co_return Error(Code::Unavailable, "too few block services answer in time");
        }
        // The next moment at which somebody becomes late.
        const u64 now = client.clock.now().value, soft = client.services.hedgeAfter();
        u64 next = 0;
        bool lateNow = false;
        for (u32 i = 0; i < job->blocks(); i++) {
            const u64 bit = 1ull << i;
            if (!(running & bit) || job->late & bit) continue;
            const u64 waited = now - job->asked_at[i];
            if (waited >= kLateAtMost || (waited >= soft && client.services.mayHedge())) {
                job->late |= bit;
                lateNow = true;
                client.services.stats.hedges++;
                if (waited >= kLateAtMost) client.services.failed(job->row.span.blocks[i].service);
                continue;
            }
            const u64 at = job->asked_at[i] + (waited < soft ? soft : kLateAtMost);
            if (next == 0 || at < next) next = at;
        }
        if (lateNow) continue;
        const u64 last = std::max(job->row.until.value, now + 1);
        auto waiting = job->changed.wait(client.clock, (next != 0 ? std::min(next, last) : last) - now);
        (void)co_await waiting;
    }
    // Who still waits for a silent service must not keep the cells of the others in memory.
    job->over = true;
    RowCells got;
    got.missing = job->missing;
    got.cells = std::move(job->cells);
    co_return got;
}

} // namespace skua::client
