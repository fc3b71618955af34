#include <algorithm>
#include <cstring>
#include "blocks/store.h"
#include "core/base/log.h"

namespace skua::blocks {
namespace {

std::string nameOf(const BlockId& id) {
    return "block " + std::to_string(id.content.value) + "." + std::to_string(id.reservation.value) + "." + std::to_string(id.n);
}

bool aligned(const Buffer& b) { return reinterpret_cast<std::uintptr_t>(b.data()) % kPage == 0; }

} // namespace

Error Store::notOpen(const BlockId& id) const {
    return Error(Code::NotFound, nameOf(id) + " is not open here (any more): open it again");
}

Task<Result<bool>> Store::open(BlockId id, u32 most, u64 owner) {
    if (most == 0 || most > kMaxBlock) co_return Error(Code::Invalid, nameOf(id) + ": a block has 1 byte to 16 MiB");
    if (id.content.none() || !id.content.wellFormed()) co_return Error(Code::Invalid, "a block of no content");
    // A writer that comes again begins anew; one that is being finished is waited for.
    for (;;) {
        if (blocks_.contains(id)) co_return true;
        const auto it = open_.find(id);
        if (it == open_.end()) break;
        const WritingPtr before = it->second;
        if (!before->finishing) {
            leave(before);
            continue;
        }
        auto finished = before->finished.wait();
        (void)co_await finished;
    }
    if (readOnly_) co_return Error(Code::ReadOnly, dir_ + " takes no blocks: it had I/O errors");
    if (stopping_.isSet()) co_return Error(Code::Unavailable, "stopping");
    if (open_.size() >= options_.max_open || owners_[owner] >= options_.max_open_per_owner)
        co_return Error(Code::Busy, dir_ + ": too many blocks are being written");
    const u32 whole = (most + kPage - 1) / kPage * kPage;
    const auto w = std::make_shared<Writing>(id, whole, owner);
    w->heard = ring_.now();
    open_[id] = w;
    owners_[owner]++;
    // Where segments have taken all the room that small blocks could have, they go into slots too.
    const bool small_room = allocated() + whole + reserve() <= options_.capacity && fileSystemFree_ > reserve() / 2;
    if (whole <= kSmallBlock && small_room) {
        w->small = Buffer::allocate(whole);
    } else {
        const auto place = co_await takeSlot(classOf(whole));
        if (!place) {
            leave(w);
            co_return place.error();
        }
        w->place = *place;
        if (w->dropped) {
            giveBack(*w);
            co_return notOpen(id);
        }
    }
    w->ready = true;
    co_return false;
}

Task<Result<>> Store::piece(BlockId id, u32 offset, Buffer data, std::vector<u64> sums) {
    if (blocks_.contains(id)) co_return Ok{}; // finished before: FinishBlock compares
    const auto it = open_.find(id);
    if (it == open_.end() || !it->second->ready || it->second->finishing) co_return notOpen(id);
    const WritingPtr w = it->second;
    if (data.empty() || data.size() != sums.size() * kPage || data.size() > kMaxPiece || offset % kPage != 0 ||
        offset > w->most || data.size() > w->most - offset)
        co_return Error(Code::Invalid, nameOf(id) + ": a piece that does not lie in the block");
    const u32 first = offset / kPage;
    if (const std::size_t bad = firstBadPage(id, first, data.data(), sums); bad != sums.size())
        co_return Error(Code::Corrupt, nameOf(id) + ": page " + std::to_string(first + bad) + " is not what its sum says");
    w->heard = ring_.now();

    // A piece that comes again, because its answer was lost, is here. With other bytes it is a mistake.
    std::size_t here = 0;
    for (std::size_t i = 0; i < sums.size(); i++) here += w->have[first + i];
    if (here != 0) {
        const std::vector<u64> before = w->summer.pageSums();
        bool same = here == sums.size();
        for (std::size_t i = 0; same && i < sums.size(); i++) same = before[first + i] == sums[i];
        if (!same) co_return Error(Code::Invalid, nameOf(id) + ": pages come twice, with other bytes");
        co_return Ok{};
    }
    if (waiting_ >= options_.max_waiting) co_return Error(Code::Busy, dir_ + ": too many pieces wait for the disk");
    w->summer.add(first, sums);
    for (std::size_t i = 0; i < sums.size(); i++) w->have[first + i] = true;
    w->pages += static_cast<u32>(sums.size());
    if (!w->place) {
        std::memcpy(w->small.data() + offset, data.data(), data.size());
        co_return Ok{};
    }
    w->under_way++;
    waiting_++;
    co_await writes_.acquire();
    waiting_--;
    tasks_.spawn(writeTo(w, std::move(data), offset)); // it releases the permit
    co_return Ok{};
}

// Data or sums of a block, to its slot. Counted in w->under_way before.
Task<> Store::writeTo(WritingPtr w, Buffer data, u32 offset) {
    w->touched = true;
    lastUse_ = ring_.now();
    if (!aligned(data)) { // from a transport that does not align: O_DIRECT needs it
        Buffer copy = Buffer::allocate(data.size());
        std::memcpy(copy.data(), data.data(), data.size());
        data = copy;
    }
    const int fd = files_.at(w->place->segment)->fd;
    const u64 at = slots_.offsetOf(*w->place) + offset;
    for (std::size_t done = 0; done < data.size();) {
        auto write = ring_.write(fd, data.data() + done, data.size() - done, at + done);
        const auto n = co_await write;
        if (!n || *n <= 0) {
            w->trouble = n ? Error(Code::NoSpace, "a short write") : n.error();
            if (w->trouble.code != Code::NoSpace) noteTrouble("write failed", w->trouble);
            break;
        }
        done += static_cast<std::size_t>(*n);
    }
    lastUse_ = ring_.now();
    writtenBytes_ += data.size();
    writes_.release();
    if (--w->under_way == 0) {
        w->idle.pulse();
        if (w->dropped) giveBack(*w);
    }
    co_return Ok{};
}

Task<Result<Store::Stored>> Store::finish(BlockId id, u32 length, u64 sum) {
    WritingPtr w;
    for (;;) {
        if (const auto there = blocks_.find(id); there != blocks_.end()) {
            const Stored stored{there->second.length, there->second.sum};
            if (stored.length == length && stored.sum == sum) co_return stored;
            co_return Error(Code::Exists, nameOf(id) + " is here with other bytes");
        }
        const auto it = open_.find(id);
        if (it == open_.end() || !it->second->ready) co_return notOpen(id);
        w = it->second;
        if (!w->finishing) break;
        auto finished = w->finished.wait(); // the same request again, or another's
        (void)co_await finished;
    }
    if (length == 0 || length % kPage != 0 || length > w->most || w->pages != length / kPage ||
        w->summer.pages() != length / kPage)
        co_return Error(Code::Invalid, nameOf(id) + ": " + std::to_string(w->pages) + " pages have come, not a block of " +
                                           std::to_string(length) + " bytes");
    if (w->summer.sum() != sum) {
        leave(w);
        co_return Error(Code::Corrupt, nameOf(id) + ": its pages do not give its sum");
    }
    w->finishing = true;
    const auto done = co_await makeDurable(w, length, sum);
    if (done) {
        blocks_[id] = Entry{w->place.value_or(Place{}), length, sum, false};
        usedBytes_ += length;
        if (!w->place) smallBytes_ += length;
        if (unsettled_.emplace(id, Asked{ring_.now(), false}).second) askQueue_.push_back(id);
        if (w->place) {
            auto sums = std::make_shared<Sums>();
            sums->all = w->summer.pageSums();
            sums->there.set();
            remember(id, std::move(sums));
        }
        w->place.reset(); // the block's now
    } else {
        w->trouble = done.error();
    }
    leave(w);
    w->finished.set();
    CO_TRY_OK(done);
    co_return Stored{length, sum};
}

Task<Result<>> Store::makeDurable(WritingPtr w, u32 length, u64 sum) {
    const std::vector<u64> sums = w->summer.pageSums();
    BlockRow row;
    row.length = length;
    row.sum = sum;
    std::vector<IndexChange> changes;
    if (w->place) {
        // The sums go out beside the last pieces; then one sync for all.
        Buffer page = Buffer::allocate(sumsBytes(length / kPage));
        std::memset(page.data(), 0, page.size());
        std::memcpy(page.data(), sums.data(), sums.size() * sizeof(u64));
        w->under_way++;
        co_await writes_.acquire();
        tasks_.spawn(writeTo(w, std::move(page), length));
        while (w->under_way > 0) {
            auto idle = w->idle.wait();
            (void)co_await idle;
        }
        if (w->trouble.code != Code::Ok) co_return w->trouble;
        CO_TRY_OK(co_await sync(w->place->segment));
        row.segment = w->place->segment;
        row.slot = w->place->slot;
    } else {
        std::string value(w->small.view().substr(0, length));
        value.append(reinterpret_cast<const char*>(sums.data()), sums.size() * sizeof(u64));
        changes.push_back({smallKey(w->id), std::move(value), true});
        writtenBytes_ += length;
    }
    changes.push_back({blockKey(kBlockTable, w->id), wire::encode(row), false});
    changes.push_back({blockKey(kUnsettledTable, w->id), std::string(), false});
    const auto done = co_await commit(std::move(changes));
    co_return done;
}

// Everything written to the segment before this call is durable when it returns. Callers share syncs: one
// that began before the call does not count, the next one serves all that wait.
Task<Result<>> Store::sync(u32 segment) {
    SegmentFile& f = *files_.at(segment); // stays: one of its slots is taken
    const u64 mine = f.begun + 1;
    while (f.ended < mine && !f.broken) {
        if (f.syncing) {
            auto other = f.synced.wait();
            (void)co_await other;
            continue;
        }
        f.syncing = true;
        const u64 number = ++f.begun;
        auto operation = ring_.sync(f.fd);
        const auto done = co_await operation;
        f.syncing = false;
        if (done) {
            f.ended = number;
        } else {
            // What the kernel still had of it may be gone, and it tells only once: nothing in it is trusted to
            // become durable any more.
            f.broken = true;
            noteTrouble("sync failed", done.error());
            becomeReadOnly("a sync failed");
        }
        f.synced.pulse();
    }
    if (f.broken) co_return Error(Code::Io, dir_ + ": a sync failed");
    co_return Ok{};
}

Task<Result<Store::Stored>> Store::write(BlockId id, u64 sum, Buffer data, std::vector<u64> sums, u64 owner) {
    const u32 length = static_cast<u32>(data.size());
    if (length == 0 || length > kMaxPiece) co_return Error(Code::Invalid, nameOf(id) + ": one piece has 1 byte to 1 MiB");
    CO_TRY(const bool whole, co_await open(id, length, owner));
    if (!whole) {
        const auto taken = co_await piece(id, 0, std::move(data), std::move(sums));
        if (!taken) {
            drop(id);
            co_return taken.error();
        }
    }
    const auto done = co_await finish(id, length, sum);
    co_return done;
}

void Store::drop(BlockId id) {
    const auto it = open_.find(id);
    if (it == open_.end() || it->second->finishing) return;
    leave(it->second);
}

void Store::leave(WritingPtr w) {
    if (const auto it = open_.find(w->id); it != open_.end() && it->second == w) open_.erase(it);
    if (w->dropped) return;
    w->dropped = true;
    if (const auto it = owners_.find(w->owner); it != owners_.end() && --it->second == 0) owners_.erase(it);
    if (w->under_way == 0) giveBack(*w);
}

void Store::giveBack(Writing& w) {
    if (!w.place) return;
    // What is neither written whole nor free of writes counts as fresh: only speed hangs on it.
    if (w.touched && w.trouble.code == Code::Ok) slots_.release(*w.place);
    else slots_.releaseUnwritten(*w.place);
    w.place.reset();
}

} // namespace skua::blocks
