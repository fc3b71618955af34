#include "client/cli/local_source.h"

#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

namespace skua::cli {

namespace {
constexpr std::size_t kAhead = 4;       // buffers being read or waiting
constexpr u64 kDirectMost = 256u << 20; // at a time, so that progress shows
} // namespace

LocalSource::LocalSource(Ring& ring, BufferPool& buffers, int fd, bool with_sum)
    : ring_(ring), buffers_(buffers), fd_(fd), with_sum_(with_sum) {
    struct stat st;
    if (fstat(fd, &st) != 0) return; // the first read says why
    const off_t from = ::lseek(fd, 0, SEEK_CUR);
    positioned_ = S_ISREG(st.st_mode) && from >= 0;
    if (!positioned_) return;
    next_ = static_cast<u64>(from);
    size_ = static_cast<u64>(st.st_size);
    sparse_ = static_cast<u64>(st.st_blocks) * 512 < size_;
}

LocalSource::Direct LocalSource::direct() {
    if (!positioned_ || sparse_ || with_sum_ || next_ >= size_) return {};
    const auto read = [fd = fd_](u64 at, std::span<const iovec> into) -> Result<> {
        std::vector<iovec> left(into.begin(), into.end());
        for (std::size_t first = 0; first < left.size();) {
            const ssize_t n = ::preadv(fd, &left[first], static_cast<int>(left.size() - first), static_cast<off_t>(at));
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) return Error(fromErrno(errno), std::strerror(errno));
            if (n == 0) return Error(Code::Io, "it became shorter while it was being copied; copy it again");
            at += static_cast<u64>(n);
            for (auto rest = static_cast<std::size_t>(n); rest > 0;) {
                const std::size_t part = std::min(rest, left[first].iov_len);
                left[first].iov_base = static_cast<u8*>(left[first].iov_base) + part;
                left[first].iov_len -= part;
                rest -= part;
                if (left[first].iov_len == 0) first++;
            }
        }
        return Ok{};
    };
    return {next_, std::min(size_ - next_, kDirectMost), read};
}

void LocalSource::taken(u64 bytes) {
    next_ += bytes;
    given_bytes_ += bytes;
    if (counter) *counter += bytes;
}

void LocalSource::topUp() {
    while (!ended_ && slots_.size() < kAhead && (positioned_ || !reading_)) {
        auto slot = std::make_unique<Slot>();
        slot->at = next_;
        slot->want = kLocalBuffer;
        if (positioned_ && size_ > 0) {
            if (next_ >= size_) {
                ended_ = true;
                return;
            }
            slot->want = static_cast<std::size_t>(std::min<u64>(kLocalBuffer, size_ - next_));
            if (sparse_) {
                const off_t data = ::lseek(fd_, static_cast<off_t>(next_), SEEK_DATA);
                const u64 from = data < 0 ? size_ : std::min(size_, static_cast<u64>(data));
                if (from > next_) {
                    slot->hole = from - next_;
                    slot->done = true;
                    next_ = from;
                    slots_.push_back(std::move(slot));
                    continue;
                }
                const off_t hole = ::lseek(fd_, static_cast<off_t>(next_), SEEK_HOLE);
                if (hole > static_cast<off_t>(next_))
                    slot->want = static_cast<std::size_t>(std::min<u64>(slot->want, static_cast<u64>(hole) - next_));
            }
        }
        slot->buffer = buffers_.take();
        next_ += slot->want;
        reading_ = true;
        Slot* const raw = slot.get();
        slots_.push_back(std::move(slot));
        reads_.spawn(readSlot(raw));
    }
}

Task<> LocalSource::readSlot(Slot* slot) {
    while (slot->got < slot->want) {
        const u64 at = positioned_ ? slot->at + slot->got : ~0ull;
        auto read = ring_.read(fd_, slot->buffer.data() + slot->got, slot->want - slot->got, at);
        const auto n = co_await read;
        if (!n) slot->result = n.error();
        if (!n || *n == 0) {
            ended_ = true;
            break;
        }
        slot->got += static_cast<std::size_t>(*n);
    }
    slot->done = true;
    reading_ = false;
    slot->ready.set();
    if (!positioned_) topUp();
    co_return Ok{};
}

Task<Result<client::Source::Some>> LocalSource::next() {
    Some some;
    current_.reset();
    topUp();
    if (slots_.empty()) co_return some;
    Slot& slot = *slots_.front();
    if (!slot.done) {
        auto ready = slot.ready.wait();
        (void)co_await ready;
    }
    if (!slot.result) co_return slot.result.error();
    current_ = std::move(slots_.front());
    slots_.pop_front();
    topUp();
    some.hole = current_->hole;
    if (some.hole == 0) some.bytes = {current_->buffer.data(), current_->got};
    if (with_sum_) {
        if (some.hole) sum.addZeros(some.hole);
        else sum.add(some.bytes);
    }
    const u64 bytes = some.hole + some.bytes.size();
    given_bytes_ += bytes;
    if (counter) *counter += bytes;
    co_return some;
}

Task<> LocalSource::close() {
    ended_ = true;
    co_await reads_.all();
    co_return Ok{};
}

} // namespace skua::cli
