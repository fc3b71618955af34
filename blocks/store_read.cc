#include <algorithm>
#include <cstring>
#include "blocks/store.h"
#include "core/base/log.h"

namespace skua::blocks {
namespace {

constexpr u64 kSumsKept = 4u << 20; // pages whose sums are kept in memory: 32 MiB, of 16 GiB of data
constexpr std::size_t kEraseTogether = 1024;

std::string nameOf(const BlockId& id) {
    return "block " + std::to_string(id.content.value) + "." + std::to_string(id.reservation.value) + "." + std::to_string(id.n);
}

} // namespace

// --- which slots are being read --------------------------------------------------------------------------

void Store::pin(Place place) { pins_[place]++; }

void Store::unpin(Place place) {
    const auto it = pins_.find(place);
    CHECK(it != pins_.end());
    if (--it->second > 0) return;
    pins_.erase(it);
    if (dying_.erase(place)) slots_.release(place);
}

void Store::releaseWhenUnread(Place place) {
    if (pins_.contains(place)) dying_.insert(place);
    else slots_.release(place);
}

// --- reading -----------------------------------------------------------------------------------------------

Task<Result<Store::Read>> Store::read(BlockId id, u32 offset, u32 length) {
    const auto it = blocks_.find(id);
    if (it == blocks_.end()) co_return Error(Code::NotFound, nameOf(id) + " is not here");
    const Entry entry = it->second;
    if (entry.bad) co_return Error(Code::Corrupt, nameOf(id) + " is damaged on this disk");
    if (length == 0 || length > kMaxPiece || length % kPage != 0 || offset % kPage != 0 || offset > entry.length ||
        length > entry.length - offset)
        co_return Error(Code::Invalid, nameOf(id) + ": whole pages within the block, at most 1 MiB");
    if (waiting_ >= options_.max_waiting) co_return Error(Code::Busy, dir_ + ": too many reads wait for the disk");
    pin(entry.place); // (segment 0 is no slot; pinning it does nothing but count)
    waiting_++;
    readsNow_++;
    co_await reads_.acquire();
    waiting_--;
    Result<Read> out = Error(Code::Io);
    if (entry.place.segment == 0) out = co_await readSmall(id, entry, offset, length);
    else out = co_await readSlot(id, entry, offset, length);
    reads_.release();
    readsNow_--;
    lastUse_ = ring_.now();
    unpin(entry.place);
    if (out) {
        readBytes_ += length;
    } else if (out.code() == Code::Io && blocks_.contains(id)) {
        noteTrouble("read failed", out.error());
        (void)co_await markBad(id);
        co_return Error(Code::Corrupt, nameOf(id) + " cannot be read from this disk");
    }
    co_return out;
}

Task<Result<Store::Read>> Store::readSlot(BlockId id, Entry entry, u32 offset, u32 length) {
    const int fd = files_.at(entry.place.segment)->fd;
    const u64 begin = slots_.offsetOf(entry.place);
    Read out;
    if (length == entry.length && length <= kMaxPiece / 2 && !sums_.contains(id)) {
        // A small block, whole: its sums follow it, so they come along.
        out.data = Buffer::allocate(length + sumsBytes(length / kPage));
        CO_TRY_OK(co_await readAll(fd, out.data.data(), static_cast<u32>(out.data.size()), begin));
        out.sums.resize(length / kPage);
        std::memcpy(out.sums.data(), out.data.data() + length, out.sums.size() * sizeof(u64));
        out.data.shrink(length);
        co_return out;
    }
    // The whole block's sums come with the first piece, beside the data, and serve the others.
    std::shared_ptr<Sums> sums;
    if (const auto known = sums_.find(id); known != sums_.end()) {
        sums = known->second;
    } else {
        sums = std::make_shared<Sums>();
        sums->all.resize(entry.length / kPage);
        remember(id, sums);
        pin(entry.place);
        tasks_.spawn(loadSums(sums, entry));
    }
    out.data = length <= pieces_.bufferSize() / 2 ? Buffer::allocate(length) : pieces_.take();
    out.data.shrink(length);
    CO_TRY_OK(co_await readAll(fd, out.data.data(), length, begin + offset));
    auto there = sums->there.wait();
    (void)co_await there;
    if (sums->trouble.code != Code::Ok) {
        if (const auto known = sums_.find(id); known != sums_.end() && known->second == sums) sums_.erase(known);
        co_return sums->trouble;
    }
    const auto first = sums->all.begin() + offset / kPage;
    out.sums.assign(first, first + length / kPage);
    co_return out;
}

Task<> Store::loadSums(std::shared_ptr<Sums> sums, Entry entry) {
    const Buffer page = Buffer::allocate(sumsBytes(entry.length / kPage));
    const int fd = files_.at(entry.place.segment)->fd;
    const auto done =
        co_await readAll(fd, page.data(), static_cast<u32>(page.size()), slots_.offsetOf(entry.place) + entry.length);
    if (done) std::memcpy(sums->all.data(), page.data(), sums->all.size() * sizeof(u64));
    else sums->trouble = done.error();
    sums->there.set();
    unpin(entry.place);
    co_return Ok{};
}

void Store::remember(const BlockId& id, std::shared_ptr<Sums> sums) {
    sumsPages_ += sums->all.size();
    sums_[id] = std::move(sums);
    sumsOrder_.push_back(id);
    while (sumsPages_ > kSumsKept && sumsOrder_.size() > 1) {
        const auto it = sums_.find(sumsOrder_.front());
        if (it != sums_.end()) {
            sumsPages_ -= std::min<u64>(sumsPages_, it->second->all.size());
            sums_.erase(it);
        }
        sumsOrder_.pop_front();
    }
}

Task<Result<>> Store::readAll(int fd, u8* into, u32 size, u64 at) {
    for (u32 done = 0; done < size;) {
        auto read = ring_.read(fd, into + done, size - done, at + done);
        const auto n = co_await read;
        if (!n) co_return Error(Code::Io, n.error().detail);
        if (*n <= 0) co_return Error(Code::Io, "a segment ended early");
        done += static_cast<u32>(*n);
    }
    co_return Ok{};
}

Task<Result<Store::Read>> Store::readSmall(BlockId id, Entry entry, u32 offset, u32 length) {
    Buffer whole = Buffer::allocate(entry.length);
    std::vector<u64> sums(entry.length / kPage);
    Result<> done = Ok{};
    auto job = offload_.run([&] { done = index_->readSmall(id, whole.span(), sums); });
    co_await job;
    if (!done && done.code() == Code::NotFound) co_return Error(Code::NotFound, nameOf(id) + " is not here");
    if (!done) co_return Error(Code::Io, done.error().detail);
    Read out;
    out.data = whole.slice(offset, length);
    const auto first = sums.begin() + offset / kPage;
    out.sums.assign(first, first + length / kPage);
    co_return out;
}

Task<Result<bool>> Store::verify(BlockId id) {
    const auto it = blocks_.find(id);
    if (it == blocks_.end()) co_return Error(Code::NotFound, nameOf(id) + " is not here");
    const Entry entry = it->second;
    if (entry.bad) co_return false;
    BlockSummer summer(id);
    bool good = true;
    for (u32 at = 0; good && at < entry.length; at += kMaxPiece) {
        const u32 n = std::min(kMaxPiece, entry.length - at);
        const auto part = co_await read(id, at, n);
        if (!part && part.code() == Code::Corrupt) co_return false; // marked by read()
        CO_TRY_OK(part);
        good = firstBadPage(id, at / kPage, part->data.data(), part->sums) == part->sums.size();
        summer.add(at / kPage, part->sums);
    }
    if (good && summer.sum() == entry.sum) co_return true;
    log::error("damaged {} dir={}", nameOf(id), dir_);
    CO_TRY_OK(co_await markBad(id));
    co_return false;
}

Task<Result<>> Store::markBad(BlockId id) {
    const auto it = blocks_.find(id);
    if (it == blocks_.end() || it->second.bad) co_return Ok{};
    it->second.bad = true;
    badBlocks_++;
    const Entry entry = it->second;
    const BlockRow row{entry.place.segment, entry.place.slot, entry.length, entry.sum, true};
    std::vector<IndexChange> changes;
    changes.push_back({blockKey(kBlockTable, id), wire::encode(row), false});
    const auto done = co_await commit(std::move(changes));
    co_return done;
}

Task<Result<std::vector<BlockInfo>>> Store::list(BlockId after, u32 limit) {
    Result<std::vector<BlockInfo>> out = Error(Code::Io);
    auto job = offload_.run([&] { out = index_->list(after, limit); });
    co_await job;
    co_return out;
}

// --- erasing, and whose fate is known ------------------------------------------------------------------------

Task<Result<>> Store::erase(std::vector<BlockId> ids) {
    for (std::size_t from = 0; from < ids.size(); from += kEraseTogether) {
        // Gone for new readers at once; its slot is free when that is durable and the last read is over.
        std::vector<std::pair<BlockId, Entry>> going;
        std::vector<IndexChange> changes;
        for (std::size_t i = from; i < std::min(ids.size(), from + kEraseTogether); i++) {
            const BlockId id = ids[i];
            drop(id);
            const auto it = blocks_.find(id);
            if (it == blocks_.end()) continue;
            going.emplace_back(id, it->second);
            blocks_.erase(it);
            sums_.erase(id);
            changes.push_back({blockKey(kBlockTable, id), std::nullopt, false});
            changes.push_back({blockKey(kUnsettledTable, id), std::nullopt, false});
            if (going.back().second.place.segment == 0) changes.push_back({smallKey(id), std::nullopt, true});
        }
        if (going.empty()) continue;
        const auto done = co_await commit(std::move(changes));
        for (const auto& [id, entry] : going) {
            if (!done) {
                blocks_.emplace(id, entry);
                continue;
            }
            unsettled_.erase(id);
            usedBytes_ -= entry.length;
            badBlocks_ -= entry.bad;
            erased_++;
            if (entry.place.segment == 0) smallBytes_ -= entry.length;
            else releaseWhenUnread(entry.place);
        }
        CO_TRY_OK(done);
    }
    co_return Ok{};
}

Task<Result<>> Store::settle(std::vector<BlockId> ids) {
    std::vector<IndexChange> changes;
    for (const BlockId& id : ids)
        if (unsettled_.erase(id)) changes.push_back({blockKey(kUnsettledTable, id), std::nullopt, false});
    if (changes.empty()) co_return Ok{};
    const auto done = co_await commit(std::move(changes));
    co_return done;
}

std::vector<BlockId> Store::toAsk(u64 first_after_ns, u64 again_after_ns, std::size_t limit) {
    std::vector<BlockId> out;
    const u64 now = ring_.now().value;
    for (std::size_t left = askQueue_.size(); left > 0 && out.size() < limit; left--) {
        const BlockId id = askQueue_.front();
        const auto it = unsettled_.find(id);
        if (it == unsettled_.end()) { // settled or erased since
            askQueue_.pop_front();
            continue;
        }
        Asked& a = it->second;
        if (now < a.since.value + (a.asked ? again_after_ns : first_after_ns)) {
            // Kept in order of asking, so those behind wait too; but not behind one that was asked before.
            if (!a.asked) break;
            askQueue_.pop_front();
            askQueue_.push_back(id);
            continue;
        }
        a = Asked{Monotonic{now}, true};
        out.push_back(id);
        askQueue_.pop_front();
        askQueue_.push_back(id);
    }
    return out;
}

} // namespace skua::blocks
