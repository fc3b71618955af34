#include "core/async/buffer.h"

#include <sys/mman.h>
#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <vector>

namespace skua {

namespace {
constexpr std::size_t kAlign = 4096, kHuge = 2u << 20;
constexpr std::size_t roundUp(std::size_t n, std::size_t to) { return (n + to - 1) / to * to; }
} // namespace

Buffer Buffer::allocate(std::size_t size) {
    void* p = std::aligned_alloc(kAlign, roundUp(std::max<std::size_t>(size, 1), kAlign));
    CHECK(p != nullptr);
    return Buffer(std::shared_ptr<void>(p, std::free), static_cast<u8*>(p), size);
}

Buffer Buffer::copyOf(std::string_view bytes) {
    Buffer b = allocate(bytes.size());
    std::memcpy(b.data(), bytes.data(), bytes.size());
    return b;
}

// Outlives the pool while buffers are out.
struct BufferPool::Shared {
    const std::size_t size, step, keep;
    std::mutex lock;
    std::vector<u8*> free;                            // guarded by lock
    std::size_t made = 0;                             // guarded by lock
    std::vector<std::pair<void*, std::size_t>> slabs; // guarded by lock

    Shared(std::size_t s, std::size_t k) : size(s), step(roundUp(std::max<std::size_t>(s, 1), kAlign)), keep(k) {}
    ~Shared() {
        for (auto [at, bytes] : slabs) munmap(at, bytes);
    }

    // One or more buffers in whole huge pages. Under `lock`.
    void grow() {
        const std::size_t bytes = roundUp(step, kHuge), whole = bytes + kHuge;
        void* p = mmap(nullptr, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(p != MAP_FAILED);
        const auto start = reinterpret_cast<std::uintptr_t>(p), aligned = roundUp(start, kHuge);
        if (aligned > start) munmap(p, aligned - start);
        if (const std::size_t tail = start + whole - aligned - bytes) munmap(reinterpret_cast<void*>(aligned + bytes), tail);
        madvise(reinterpret_cast<void*>(aligned), bytes, MADV_HUGEPAGE); // without it only slower
        slabs.emplace_back(reinterpret_cast<void*>(aligned), bytes);
        for (std::size_t at = 0; at + step <= bytes && made < keep; at += step, made++)
            free.push_back(reinterpret_cast<u8*>(aligned + at));
        std::reverse(free.begin(), free.end());
    }
};

BufferPool::BufferPool(std::size_t size, std::size_t keep) : shared_(std::make_shared<Shared>(size, keep)) {}
BufferPool::~BufferPool() = default;
std::size_t BufferPool::bufferSize() const { return shared_->size; }

Buffer BufferPool::take() {
    u8* at = nullptr;
    {
        std::lock_guard hold(shared_->lock);
        if (shared_->free.empty() && shared_->made < shared_->keep) shared_->grow();
        if (!shared_->free.empty()) {
            at = shared_->free.back();
            shared_->free.pop_back();
        }
    }
    if (!at) return Buffer::allocate(shared_->size);
    auto giveBack = [shared = shared_](void* p) {
        std::lock_guard hold(shared->lock);
        shared->free.push_back(static_cast<u8*>(p));
    };
    return Buffer(std::shared_ptr<void>(at, std::move(giveBack)), at, shared_->size);
}

} // namespace skua
