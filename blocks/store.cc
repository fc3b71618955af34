#include "blocks/store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include "core/base/log.h"

namespace skua::blocks {
namespace {

constexpr std::size_t kCommitsTogether = 256;
constexpr u32 kErrorsPerMinute = 3;
constexpr u64 kLeastFileSystemFree = 32u << 20; // below it the index could not be written

std::string segmentName(u32 segment) {
    std::string n = std::to_string(segment);
    return std::string(n.size() < 6 ? 6 - n.size() : 0, '0') + n;
}

} // namespace

Store::SegmentFile::~SegmentFile() {
    if (fd >= 0) ::close(fd);
}

Store::Store(Ring& ring, std::string dir, StoreOptions options, BufferPool& pieces)
    : ring_(ring),
      dir_(std::move(dir)),
      options_(options),
      pieces_(pieces),
      offload_(ring, 3, "disk"),
      slots_(options.segment),
      writes_(options.max_writes),
      reads_(options.max_reads) {}

Store::~Store() { CHECK(tasks_.running() == 0); }

Result<> Store::start() {
    std::error_code error;
    std::filesystem::create_directories(dir_ + "/segments", error);
    if (error) return Error(fromErrno(error.value()), dir_ + "/segments: " + error.message());
    // Where O_DIRECT is refused (some file systems in containers) everything works, a little slower.
    const int probe = ::open((dir_ + "/FORMAT").c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC);
    if (probe < 0 && errno == EINVAL) {
        direct_ = false;
        log::warn("no O_DIRECT dir={}: buffered writes with fdatasync", dir_);
    }
    if (probe >= 0) ::close(probe);
    TRY(index_, Index::open(dir_));
    TRY_OK(load());
    struct statvfs space{};
    if (::statvfs(dir_.c_str(), &space) == 0) fileSystemFree_ = static_cast<u64>(space.f_bavail) * space.f_frsize;
    started_ = true;
    tasks_.spawn(maintain());
    tasks_.spawn(fill());
    return Ok{};
}

Result<> Store::load() {
    Index::Loader loader;
    loader.segment = [&](u32 segment, const SegmentRow& row) -> Result<> {
        const auto size_class = classWith(row.slot_data);
        if (!size_class || segment == 0) return Error(Code::Corrupt, "index: a segment of an unknown class");
        TRY_OK(openSegment(segment));
        slots_.addSegment(segment, *size_class, row.written);
        return Ok{};
    };
    loader.block = [&](const BlockId& id, const BlockRow& row) -> Result<> {
        const Place place{row.segment, row.slot};
        if (row.length == 0 || row.length % kPage != 0 || row.length > kMaxBlock)
            return Error(Code::Corrupt, "index: a block of an impossible length");
        if (row.segment == 0) smallBytes_ += row.length;
        else if (!slots_.take(place)) return Error(Code::Corrupt, "index: two blocks in one slot, or a block in none");
        else if (classData(slots_.classOfSegment(row.segment)) < row.length)
            return Error(Code::Corrupt, "index: a block is longer than its slot");
        blocks_[id] = Entry{place, row.length, row.sum, row.bad};
        usedBytes_ += row.length;
        badBlocks_ += row.bad;
        return Ok{};
    };
    loader.unsettled = [&](const BlockId& id) -> Result<> {
        if (unsettled_.emplace(id, Asked{ring_.now(), false}).second) askQueue_.push_back(id);
        return Ok{};
    };
    TRY_OK(index_->load(loader));
    // A file without a row was being made when the process ended.
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(dir_ + "/segments", error)) {
        const u32 n = static_cast<u32>(std::strtoul(entry.path().filename().c_str(), nullptr, 10));
        if (!files_.contains(n)) std::filesystem::remove(entry.path(), error);
        lastSegment_ = std::max(lastSegment_, n);
    }
    return Ok{};
}

Result<> Store::openSegment(u32 segment) {
    const std::string path = dir_ + "/segments/" + segmentName(segment);
    const int flags = O_RDWR | O_CLOEXEC | (direct_ ? O_DIRECT : 0);
    const int fd = ::open(path.c_str(), flags);
    if (fd < 0) return Error(fromErrno(errno), path + ": " + std::strerror(errno));
    auto file = std::make_unique<SegmentFile>();
    file->fd = fd;
    struct stat at{};
    if (::fstat(fd, &at) < 0 || static_cast<u64>(at.st_size) < options_.segment)
        return Error(Code::Corrupt, path + ": is shorter than a segment");
    files_[segment] = std::move(file);
    lastSegment_ = std::max(lastSegment_, segment);
    return Ok{};
}

Task<> Store::stop() {
    stopping_.set();
    fillWanted_.set();
    std::vector<WritingPtr> all;
    for (auto& [id, w] : open_) all.push_back(w);
    for (auto& w : all)
        if (!w->finishing) leave(w);
    co_await tasks_.all();
    co_return Ok{};
}

// Once a second: how full the file system is, and open blocks that nothing was heard of.
Task<> Store::maintain() {
    while (!stopping_.isSet()) {
        auto rest = stopping_.wait(ring_, kSecond);
        (void)co_await rest;
        if (stopping_.isSet()) break;
        struct statvfs space{};
        int failed = 0;
        auto job = offload_.run(
            [&] { failed = ::statvfs(dir_.c_str(), &space) == 0 ? ::access((dir_ + "/FORMAT").c_str(), F_OK) : -1; });
        co_await job;
        if (failed == 0) fileSystemFree_ = static_cast<u64>(space.f_bavail) * space.f_frsize;
        if ((failed == 0) != present_) {
            present_ = failed == 0;
            if (present_) log::info("disk is back dir={}", dir_);
            else log::error("disk is gone dir={}: is it mounted? It is reported as not up", dir_);
        }
        const Monotonic now = ring_.now();
        std::vector<WritingPtr> silent;
        for (auto& [id, w] : open_)
            if (!w->finishing && w->ready && w->heard.value + options_.expire_ns < now.value) silent.push_back(w);
        for (auto& w : silent) leave(w);
        co_await giveBackSegments();
    }
    co_return Ok{};
}

void Store::noteTrouble(const char* what, const Error& error) {
    errors_++;
    static log::OncePerSecond often;
    if (often.allow()) log::error("{} dir={} error=\"{}\"{}", what, dir_, error.message(), often.skipped());
    const Monotonic now = ring_.now();
    recentErrors_.push_back(now);
    while (recentErrors_.front().value + kMinute < now.value) recentErrors_.pop_front();
    if (recentErrors_.size() >= kErrorsPerMinute) becomeReadOnly("too many I/O errors");
}

void Store::becomeReadOnly(const std::string& why) {
    if (readOnly_) return;
    readOnly_ = true;
    log::error("read-only dir={} why=\"{}\": it serves reads until the process is restarted; look at the disk", dir_, why);
}

Task<Result<>> Store::commit(std::vector<IndexChange> changes) {
    Commit mine;
    mine.changes = std::move(changes);
    commits_.push_back(&mine);
    if (!committing_) {
        committing_ = true;
        tasks_.spawn(commitLoop());
    }
    auto done = mine.done.wait();
    (void)co_await done;
    co_return mine.result;
}

// In the order of asking, as many as there are in one batch with one sync.
Task<> Store::commitLoop() {
    while (!commits_.empty()) {
        std::vector<Commit*> group;
        std::vector<IndexChange> changes;
        while (!commits_.empty() && group.size() < kCommitsTogether) {
            Commit* c = commits_.front();
            commits_.pop_front();
            group.push_back(c);
            std::move(c->changes.begin(), c->changes.end(), std::back_inserter(changes));
        }
        Result<> result = Ok{};
        auto job = offload_.run([&] { result = index_->commit(changes); });
        co_await job;
        if (!result) {
            noteTrouble("index failed", result.error());
            becomeReadOnly("the index cannot be written");
        }
        for (Commit* c : group) {
            c->result = result;
            c->done.set();
        }
    }
    committing_ = false;
    co_return Ok{};
}

u64 Store::reserve() const { return std::clamp<u64>(options_.capacity / 50, 16u << 20, 2ull << 30); }

u64 Store::freeBytes() const {
    const u64 taken = allocated() + reserve();
    u64 room = options_.capacity > taken ? options_.capacity - taken : 0;
    // What the file system has left bounds what can be added, not what is overwritten.
    room = std::min(room, fileSystemFree_ > reserve() ? fileSystemFree_ - reserve() : 0);
    if (fileSystemFree_ < kLeastFileSystemFree) return 0;
    // Room comes in whole segments. What is less, and free slots of smaller classes, serve small blocks and are not
    // counted: who looks at this wants to store long files.
    return room / options_.segment * options_.segment + slots_.freeForLarge();
}

const Store::Entry* Store::find(const BlockId& id) const {
    const auto it = blocks_.find(id);
    return it == blocks_.end() ? nullptr : &it->second;
}

void Store::fillInfo(DiskInfo& info) const {
    info.path = dir_;
    info.capacity = options_.capacity;
    info.used = usedBytes_;
    info.free = freeBytes();
    info.blocks = blocks_.size();
    info.bad = badBlocks_;
    info.unsettled = unsettled_.size();
    info.open = open_.size();
    info.written_bytes = writtenBytes_;
    info.read_bytes = readBytes_;
    info.erased_blocks = erased_;
    info.errors = errors_;
    info.read_only = readOnly_;
}

// --- segments: files of slots ---------------------------------------------------------------------------

bool Store::busyNow() const {
    constexpr u64 kQuiet = 50 * kMillisecond;
    return writes_.free() < options_.max_writes || readsNow_ > 0 || ring_.now().value < lastUse_.value + kQuiet;
}

Task<Result<Place>> Store::takeSlot(u32 size_class) {
    if (auto place = slots_.allocate(size_class)) {
        if (options_.ahead && slots_.readyBytes(size_class) < options_.ahead / 2) fillWanted_.set();
        co_return *place;
    }
    // One at a time: whoever waited finds the slots of the segment that the first one made.
    co_await making_.acquire();
    auto place = co_await makeRoom(size_class);
    making_.release();
    fillWanted_.set();
    co_return place;
}

Task<Result<Place>> Store::makeRoom(u32 size_class) {
    if (auto place = slots_.allocate(size_class)) co_return *place;
    if (fileSystemFree_ < kLeastFileSystemFree) co_return Error(Code::NoSpace, dir_ + ": the file system is full");
    // A class of its own for every size is a luxury of disks that are not half full.
    if (allocated() > options_.capacity / 2)
        if (auto place = slots_.allocateLarger(size_class)) co_return *place;
    Result<> made = Error(Code::NoSpace, dir_ + " is full");
    const bool room = allocated() + options_.segment + reserve() <= options_.capacity &&
                      fileSystemFree_ > options_.segment + kLeastFileSystemFree;
    if (room) made = co_await makeSegment(size_class);
    if (!made) {
        if (const auto empty = slots_.emptySegment()) {
            // In memory at once, so that nobody takes its old slots; the index hears of it before it hears of
            // any block in the new ones, because commits keep their order.
            const bool written = slots_.allWritten(*empty);
            slots_.changeClass(*empty, size_class);
            std::vector<IndexChange> changes;
            changes.push_back({segmentKey(*empty), wire::encode(SegmentRow{classData(size_class), written}), false});
            const auto place = slots_.allocate(size_class);
            const auto done = co_await commit(std::move(changes));
            if (!done) {
                slots_.releaseUnwritten(*place);
                co_return done.error();
            }
            co_return *place;
        }
    }
    if (auto place = slots_.allocate(size_class)) co_return *place;
    if (auto place = slots_.allocateLarger(size_class)) co_return *place;
    co_return made ? Error(Code::NoSpace, dir_ + " is full") : made.error();
}

// The file is durable before its row is, and its row before any row of a block in it (commits keep order).
Task<Result<>> Store::makeSegment(u32 size_class) {
    const u32 segment = ++lastSegment_;
    const std::string folder = dir_ + "/segments", path = folder + "/" + segmentName(segment);
    Result<> result = Ok{};
    auto job = offload_.run([&] {
        const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (fd < 0) {
            result = Error(fromErrno(errno), path);
            return;
        }
        int error = 0;
        if (::fallocate(fd, 0, 0, static_cast<off_t>(options_.segment)) < 0) error = errno;
        // A file system that cannot reserve: the file has holes, and a full disk is found out by writing.
        if (error == EOPNOTSUPP && ::ftruncate(fd, static_cast<off_t>(options_.segment)) == 0) error = 0;
        if (error == 0 && ::fsync(fd) < 0) error = errno;
        ::close(fd);
        const int at = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (error == 0 && (at < 0 || ::fsync(at) < 0)) error = errno;
        if (at >= 0) ::close(at);
        if (error) {
            ::unlink(path.c_str());
            result = Error(fromErrno(error), path + ": " + std::strerror(error));
        }
    });
    co_await job;
    CO_TRY_OK(result);
    CO_TRY_OK(openSegment(segment));
    slots_.addSegment(segment, size_class, false);
    std::vector<IndexChange> changes;
    changes.push_back({segmentKey(segment), wire::encode(SegmentRow{classData(size_class), false}), false});
    const auto done = co_await commit(std::move(changes));
    co_return done;
}

// When more than half of the segments are empty, one a second goes back to the file system.
Task<> Store::giveBackSegments() {
    constexpr std::size_t kKept = 8;
    const std::size_t empty = slots_.emptySegments();
    if (readOnly_ || making_.free() == 0 || empty <= kKept || empty <= slots_.segments() / 2) co_return Ok{};
    co_await making_.acquire();
    if (const auto segment = slots_.emptySegment()) {
        slots_.dropSegment(*segment);
        std::vector<IndexChange> changes;
        changes.push_back({segmentKey(*segment), std::nullopt, false});
        const auto done = co_await commit(std::move(changes));
        if (done) {
            // Nothing is under way on it: a slot is free only then.
            files_.erase(*segment);
            const std::string path = dir_ + "/segments/" + segmentName(*segment);
            auto job = offload_.run([&] { ::unlink(path.c_str()); });
            co_await job;
        }
    }
    making_.release();
    co_return Ok{};
}

// --- zeros, ahead of need --------------------------------------------------------------------------------

// Overwriting is twice as fast as fresh space: so while the disk is idle, free slots of classes in use are
// written once, until enough are ready.
Task<> Store::fill() {
    while (!stopping_.isSet()) {
        auto wanted = fillWanted_.wait();
        (void)co_await wanted;
        fillWanted_.reset();
        if (options_.ahead == 0) continue;
        for (u32 c = 0; c < kClasses && !stopping_.isSet(); c++) {
            if (!slots_.everUsed(c)) continue;
            while (!stopping_.isSet() && !readOnly_ && slots_.readyBytes(c) < std::min(options_.ahead, options_.segment)) {
                if (busyNow()) {
                    auto rest = stopping_.wait(ring_, 20 * kMillisecond);
                    (void)co_await rest;
                    continue;
                }
                const auto place = slots_.beginFill(c);
                if (!place) {
                    // A class that runs out gets a segment ahead, while a quarter of the disk is nobody's.
                    const bool room = allocated() + options_.segment + reserve() <= options_.capacity / 4 * 3;
                    if (!room || making_.free() == 0 || slots_.readyBytes(c) >= options_.ahead / 2) break;
                    co_await making_.acquire();
                    const auto made = co_await makeSegment(c);
                    making_.release();
                    if (!made) break;
                    continue;
                }
                const auto done = co_await fillSlot(*place);
                slots_.endFill(*place, done.has_value());
                if (!done) break;
                if (slots_.allWritten(place->segment)) {
                    std::vector<IndexChange> changes;
                    changes.push_back({segmentKey(place->segment), wire::encode(SegmentRow{classData(c), true}), false});
                    (void)co_await commit(std::move(changes));
                }
            }
        }
    }
    co_return Ok{};
}

Task<Result<>> Store::fillSlot(Place place) {
    static const Buffer zeros = [] {
        Buffer b = Buffer::allocate(kMaxPiece);
        std::memset(b.data(), 0, b.size());
        return b;
    }();
    const int fd = files_.at(place.segment)->fd;
    const u64 begin = slots_.offsetOf(place), end = begin + slotBytes(slots_.classOfSegment(place.segment));
    for (u64 at = begin; at < end;) {
        auto write = ring_.write(fd, zeros.data(), std::min<u64>(end - at, zeros.size()), at);
        CO_TRY(const int n, co_await write);
        if (n <= 0) co_return Error(Code::NoSpace, "a short write");
        at += static_cast<u64>(n);
    }
    co_return Ok{};
}

} // namespace skua::blocks
