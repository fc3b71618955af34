// The other half of a span being written: placement, attempts, receipts.
#include <algorithm>
#include <utility>
#include "client/span_job.h"
#include "core/base/log.h"
#include "core/data/checksum.h"

namespace skua::client {

namespace {

constexpr u64 kCallLimit = 8 * kSecond; // of one request to a block service
constexpr u64 kSlowAtLeast = 500 * kMillisecond, kSlowTimes = 3;
constexpr std::size_t kAttemptsMost = 8; // of one block

std::vector<u64> label(const BlockJob& block, const BlockId& id, u32 first, u32 pages) {
    const BlockMix mix(id);
    std::vector<u64> sums(pages);
    for (u32 i = 0; i < pages; i++) sums[i] = block.plain[first + i] ^ mix(first + i);
    return sums;
}

Task<> sendPiece(std::shared_ptr<SpanJob> job, u32 index, std::shared_ptr<Attempt> attempt, u32 offset, u32 length) {
    const BlockJob& block = job->blocks[index];
    blocks::Piece piece;
    piece.service = attempt->service;
    piece.id = attempt->id;
    piece.offset = offset;
    piece.sums = label(block, attempt->id, offset / kPage, length / kPage);
    Buffer payload = block.bytes.slice(offset, length);
    auto answer = co_await job->client.services.ask(attempt->service, std::move(piece), std::move(payload), kCallLimit);
    if (!answer && attempt->error.code == Code::Ok) attempt->error = answer.error();
    co_return Ok{};
}

bool rightReceipt(const Receipt& r, const Attempt& a, u32 length, u64 sum) {
    return r.service == a.service && r.id == a.id && r.length == length && r.sum == sum;
}

// OpenBlock, pieces as they become ready, FinishBlock.
Task<Result<Receipt>> stream(std::shared_ptr<SpanJob> job, u32 index, std::shared_ptr<Attempt> attempt) {
    Services& services = job->client.services;
    blocks::OpenBlock open;
    open.service = attempt->service;
    open.incarnation = attempt->incarnation;
    open.id = attempt->id;
    open.most = job->block_length;
    CO_TRY(auto opened, co_await services.ask(attempt->service, open, Buffer(), kCallLimit));
    (void)opened;
    BlockJob& block = job->blocks[index];
    TaskGroup pieces;
    u32 sent = 0;
    while (attempt->error.code == Code::Ok) {
        if (job->abandoned) {
            attempt->error = Error(Code::Stale, "given up");
            break;
        }
        const u32 there = block.ready - sent;
        if (there >= kMaxPiece || (job->sealedAll() && there > 0)) {
            const u32 n = std::min(there, kMaxPiece);
            pieces.spawn(sendPiece(job, index, attempt, sent, n));
            sent += n;
            continue;
        }
        if (job->completed && sent == job->block_length) break;
        auto more = job->changed.wait();
        (void)co_await more;
    }
    (void)co_await pieces.all();
    if (attempt->error.code != Code::Ok) co_return attempt->error;
    blocks::FinishBlock finish;
    finish.service = attempt->service;
    finish.id = attempt->id;
    finish.length = job->block_length;
    finish.sum = job->blockSum(index);
    const u64 sum = finish.sum;
    CO_TRY(auto answer, co_await services.ask(attempt->service, finish, Buffer(), kCallLimit));
    if (!rightReceipt(answer.reply.receipt, *attempt, job->block_length, sum))
        co_return Error(Code::Corrupt, "a receipt for something else");
    co_return answer.reply.receipt;
}

Task<Result<Receipt>> writeWhole(std::shared_ptr<SpanJob> job, u32 index, std::shared_ptr<Attempt> attempt) {
    const BlockJob& block = job->blocks[index];
    blocks::WriteBlock write;
    write.service = attempt->service;
    write.incarnation = attempt->incarnation;
    write.id = attempt->id;
    write.sum = job->blockSum(index);
    write.sums = label(block, attempt->id, 0, job->block_length / kPage);
    const u64 sum = write.sum;
    Buffer payload = block.bytes.slice(0, job->block_length);
    CO_TRY(auto answer, co_await job->client.services.ask(attempt->service, std::move(write), std::move(payload), kCallLimit));
    if (!rightReceipt(answer.reply.receipt, *attempt, job->block_length, sum))
        co_return Error(Code::Corrupt, "a receipt for something else");
    co_return answer.reply.receipt;
}

Task<> runAttempt(std::shared_ptr<SpanJob> job, u32 index, std::shared_ptr<Attempt> attempt) {
    // A block of one piece goes as one message: so wait until it is clear which it is.
    while (!job->sealedAll() && !job->abandoned && job->blocks[index].ready <= kMaxPiece) {
        auto more = job->changed.wait();
        (void)co_await more;
    }
    Result<Receipt> receipt = Error(Code::Stale, "given up");
    if (!job->abandoned && job->sealedAll() && job->block_length <= kMaxPiece) {
        receipt = co_await writeWhole(job, index, attempt);
    } else if (!job->abandoned) {
        receipt = co_await stream(job, index, attempt);
    }
    attempt->finished = true;
    if (receipt) {
        attempt->receipt = *receipt;
        job->client.wrote(job->id, BlockRef{attempt->id, attempt->service, receipt->sum, false});
        attempt->error = Error();
    } else {
        attempt->error = receipt.error();
    }
    job->changed.pulse();
    co_return Ok{};
}

// Services in distinct domains, away from those of the span's other blocks.
std::vector<BlockServiceId> placeBlocks(SpanJob& job, u32 count, const std::vector<BlockServiceId>& taken) {
    Services& services = job.client.services;
    PlacementWish wish;
    wish.count = count;
    wish.bytes = job.block_length;
    wish.disk_class = job.policy.disk_class;
    wish.taken = taken;
    wish.avoid = job.avoid;
    const auto& candidates = services.candidates();
    std::vector<BlockServiceId> placed;
    for (std::size_t i : place(candidates, wish, services.random())) placed.push_back(candidates[i].service);
    if (placed.size() < count) {
        const auto others = services.lastCandidates();
        wish.count = count - static_cast<u32>(placed.size());
        wish.taken.insert(wish.taken.end(), placed.begin(), placed.end());
        for (std::size_t i : place(others, wish, services.random())) placed.push_back(others[i].service);
    }
    return placed;
}

std::vector<BlockServiceId> othersOf(const SpanJob& job, u32 index) {
    std::vector<BlockServiceId> taken;
    for (u32 i = 0; i < job.blocks.size(); i++) {
        if (i == index) continue;
        const BlockJob& b = job.blocks[i];
        if (b.won) taken.push_back(b.won->service);
        else if (b.settled) continue;
        else if (b.attempts.empty()) taken.push_back(b.first);
        else
            for (const auto& a : b.attempts)
                if (!a->finished) taken.push_back(a->service);
    }
    return taken;
}

// When a block that has no receipt yet counts as slow; 0: cannot be said yet.
u64 slowAt(const SpanJob& job) {
    if (!job.completed) return 0;
    std::vector<u64> took;
    for (const auto& b : job.blocks)
        if (b.won) took.push_back(b.took_ns);
    if (took.size() * 2 < job.blocks.size()) return 0;
    std::sort(took.begin(), took.end());
    return job.completed_at.value + std::max(kSlowAtLeast, kSlowTimes * took[took.size() / 2]);
}

bool takesNoBlocks(Code code) { return code == Code::ReadOnly || code == Code::Stale || code == Code::NotFound; }

Task<> driveBlock(std::shared_ptr<SpanJob> job, u32 index) {
    BlockJob& block = job->blocks[index];
    Services& services = job->client.services;
    BlockServiceId next = block.first;
    for (;;) {
        if (next.value != 0) {
            const Service* service = job->client.cluster.service(next);
            auto attempt = std::make_shared<Attempt>();
            attempt->service = next;
            attempt->doubted = services.doubtful(next);
            attempt->incarnation = service ? service->incarnation : Incarnation{};
            attempt->id = job->id.block(job->content);
            block.attempts.push_back(attempt);
            services.background().spawn(runAttempt(job, index, attempt));
            next = {};
        }
        // Until one has a receipt, or another attempt is called for.
        bool another = false;
        for (;;) {
            u32 running = 0;
            for (const auto& a : block.attempts) {
                if (a->finished && a->error.code == Code::Ok && !block.won) block.won = a;
                if (!a->finished) running++;
            }
            if (block.won || running == 0) break;
            const u64 slow = slowAt(*job), now = job->client.clock.now().value;
            if (slow != 0 && now >= slow && running == 1 && block.attempts.size() < kAttemptsMost) {
                another = true;
                break;
            }
            // Anything that changes the answer pulses; only the passing of time does not.
            if (slow > now) {
                auto waiting = job->changed.wait(job->client.clock, slow - now);
                (void)co_await waiting;
            } else {
                auto waiting = job->changed.wait();
                (void)co_await waiting;
            }
        }
        if (block.won) {
            block.took_ns = job->client.clock.now().value - job->completed_at.value;
            break;
        }
        if (job->abandoned) break;
        const auto last = block.attempts.back();
        if (another) {
            services.failed(last->service);
        } else {
            const Code why = last->error.code;
            if (why == Code::NoSpace) services.refused(last->service, job->block_length);
            else if (takesNoBlocks(why)) services.refused(last->service, 0);
            log::debug("block not written service={} error={}", last->service.value, last->error.message());
        }
        job->avoid.push_back(last->service);
        services.stats.rewritten++;
        const auto placed =
            block.attempts.size() < kAttemptsMost ? placeBlocks(*job, 1, othersOf(*job, index)) : std::vector<BlockServiceId>{};
        if (!placed.empty()) {
            next = placed[0];
            continue;
        }
        if (!another) break; // nowhere to go: left out
        // Slow, and nowhere else to go: then it is waited for, unless it was tried in spite of doubt.
        while (!last->finished && !last->doubted) {
            auto waiting = job->changed.wait();
            (void)co_await waiting;
        }
        if (last->finished && last->error.code == Code::Ok) block.won = last;
        break;
    }
    block.settled = true;
    job->changed.pulse();
    co_return Ok{};
}

// Too few blocks were taken: because of room, or because too few services answer?
Error whyNot(const SpanJob& job, u32 least) {
    const Services::Shortage s = job.client.services.shortage(job.block_length);
    const std::string wanted = std::to_string(least), there = " of " + std::to_string(s.domains);
    if (s.live < least)
        return Error(Code::Io, "too few disks can be written: " + wanted + " needed in distinct failure domains, " +
                                   std::to_string(s.live) + there + " answer" + s.why);
    if (s.with_room < least)
        return Error(Code::NoSpace, wanted + " disks in distinct failure domains must have room, " + std::to_string(s.with_room) +
                                        there + " have" + s.why);
    // Enough seemed to be there: then what the last one said is the reason.
    Error last;
    for (const auto& b : job.blocks)
        for (const auto& a : b.attempts)
            if (a->finished && a->error.code != Code::Ok && (last.code == Code::Ok || a->error.code == Code::NoSpace))
                last = Error(a->error.code, "disk " + std::to_string(a->service.value) + ": " + a->error.message());
    return Error(last.code == Code::NoSpace ? Code::NoSpace : Code::Io, "too few blocks were written; " + last.detail);
}

constexpr u64 kWaitMin = 200 * kMillisecond, kWaitMax = 1 * kSecond; // a hard mount's, for disks

u32 leastOf(const SpanJob& job) { return std::min<u32>(job.geometry.blocks(), job.geometry.data + 1u); }

// A hard mount: too few blocks were taken, but they would be if disks that are away came back. Says which those are.
bool worthWaiting(const SpanJob& job, u32 least, std::string& why) {
    Services& services = job.client.services;
    if (!services.hard() || job.abandoned) return false;
    const Services::Shortage s = services.shortage(job.block_length);
    why = s.why;
    if (s.live < least) return s.hoped >= least;
    if (s.with_room < least) return false;
    for (const BlockJob& b : job.blocks)
        for (const auto& a : b.attempts)
            if (a->finished && (a->error.code == Code::Unavailable || a->error.code == Code::OutcomeUnknown)) return true;
    return false;
}

// Places and sends the blocks that have no receipt; ends when each of them has one, or cannot.
Task<> sendBlocks(std::shared_ptr<SpanJob> job) {
    Client& client = job->client;
    std::vector<u32> wanting;
    std::vector<BlockServiceId> taken;
    for (u32 i = 0; i < job->blocks.size(); i++) {
        if (job->blocks[i].won) taken.push_back(job->blocks[i].won->service);
        else wanting.push_back(i);
    }
    const u32 all = static_cast<u32>(wanting.size()), have = static_cast<u32>(taken.size()), total = leastOf(*job);
    const u32 least = total > have ? total - have : 0;
    std::vector<BlockServiceId> placed;
    for (bool fresh = false;;) {
        placed = placeBlocks(*job, all, taken);
        if (placed.size() >= all) break;
        // Somebody may be back whom the hints still call silent; that is worth one question a second.
        if (placed.size() >= least) {
            if (std::exchange(fresh, true) || !client.services.mayRefresh()) break;
            (void)co_await client.cluster.refresh();
            continue;
        }
        // A cluster that is just starting, or a map that is old. Who is full does not come back by waiting.
        const Services::Shortage shortage = client.services.shortage(job->block_length);
        const bool full = shortage.live >= total;
        if (client.services.hard() && !full && shortage.hoped >= total) break; // runSpan() waits for them
        if (full ? std::exchange(fresh, true) || !client.services.mayRefresh() : !client.services.waitForMore()) break;
        (void)co_await client.cluster.refresh();
        if (full) continue;
        Sleep nap(client.clock, 200 * kMillisecond);
        co_await nap;
    }
    if (placed.size() < least) co_return Ok{};
    for (u32 i = 0; i < all; i++) {
        BlockJob& block = job->blocks[wanting[i]];
        if (i < placed.size()) block.first = placed[i];
        else block.settled = true;
    }
    TaskGroup drivers;
    for (u32 i = 0; i < placed.size(); i++) drivers.spawn(driveBlock(job, wanting[i]));
    (void)co_await drivers.all();
    co_return Ok{};
}

u32 wholeOf(const SpanJob& job) {
    u32 whole = 0;
    for (const auto& b : job.blocks) whole += b.won != nullptr;
    return whole;
}

} // namespace

Task<> runSpan(std::shared_ptr<SpanJob> job) {
    Client& client = job->client;
    const u32 all = job->geometry.blocks(), least = leastOf(*job);
    {
        DiskWait wait(client.services);
        for (u64 pause = kWaitMin;; pause = std::min(pause * 2, kWaitMax)) {
            (void)co_await sendBlocks(job);
            std::string why;
            if (wholeOf(*job) >= least || !worthWaiting(*job, least, why)) break;
            wait.waits(why.substr(std::min<std::size_t>(why.size(), 2))); // without "; "
            Sleep nap(client.clock, pause);
            co_await nap;
            (void)co_await client.cluster.refresh();
            job->avoid.clear();
            for (BlockJob& b : job->blocks) {
                if (b.won) continue;
                b.settled = false;
                b.first = {};
                b.attempts.clear(); // one that still runs ends by itself; what it writes is swept
            }
        }
    }
    // `finished` says too that the coder has nothing of it any more.
    while (!job->sealedAll()) {
        auto more = job->changed.wait();
        (void)co_await more;
    }
    const u32 whole = wholeOf(*job);
    if (whole < least) {
        if (job->error.code == Code::Ok) job->error = whyNot(*job, least);
    } else if (whole < all) {
        client.services.stats.left_out += all - whole;
        static log::OncePerSecond often;
        if (often.allow())
            log::warn("span written with fewer blocks than its scheme blocks={} of={} content={}{}; repair adds them", whole, all,
                      job->content.value, often.skipped());
    }
    job->finished = true;
    job->changed.pulse();
    co_return Ok{};
}

} // namespace skua::client
