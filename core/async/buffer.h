// Buffer: a slice of shared bytes, aligned to 64 or more at its start, that many may hold.
//
// Touching fresh memory is the dearest thing on our machines (design, limits.md), so big buffers come
// from a BufferPool: allocated once in huge pages, touched once, reused for ever. A Buffer that came
// from a pool goes back when its last holder lets go, on any thread.
#pragma once

#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include "core/base/check.h"
#include "core/base/types.h"

namespace skua {

class Buffer {
public:
    Buffer() = default;
    // `owner` keeps the bytes alive.
    Buffer(std::shared_ptr<void> owner, u8* data, std::size_t size) : owner_(std::move(owner)), data_(data), size_(size) {}

    // From malloc, aligned to 4 KiB, not zeroed: for small or rare buffers.
    static Buffer allocate(std::size_t size);
    static Buffer copyOf(std::string_view bytes);

    u8* data() const { return data_; }
    std::size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }
    std::string_view view() const { return {reinterpret_cast<const char*>(data_), size_}; }
    std::span<u8> span() const { return {data_, size_}; }
    Buffer slice(std::size_t from, std::size_t size) const {
        CHECK(from <= size_ && size <= size_ - from);
        return Buffer(owner_, data_ + from, size);
    }
    void shrink(std::size_t size) {
        CHECK(size <= size_);
        size_ = size;
    }

private:
    std::shared_ptr<void> owner_;
    u8* data_ = nullptr;
    std::size_t size_ = 0;
};

// Buffers of one size, kept for ever once made. take() never fails: past `keep` buffers they are made
// and freed as needed (who needs a bound counts permits). Thread-safe.
class BufferPool {
public:
    BufferPool(std::size_t size, std::size_t keep);
    ~BufferPool();
    BufferPool(const BufferPool&) = delete;
    Buffer take();
    std::size_t bufferSize() const;

private:
    struct Shared;
    std::shared_ptr<Shared> shared_;
};

} // namespace skua
