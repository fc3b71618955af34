#include "raft/segment_log.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include "core/async/buffer.h"
#include "core/base/log.h"
#include "core/store/room_files.h"

namespace skua::raft {

namespace {

Error fileError(const std::string& path, const char* what) {
    const Code code = errno == ENOSPC || errno == EDQUOT ? Code::NoSpace : Code::Io;
    return Error(code, path + ": " + what + ": " + std::strerror(errno));
}

void syncDirectory(const std::string& dir) {
    const int fd = ::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    (void)fsync(fd);
    ::close(fd);
}

void giveBackTail(const std::string& path, std::string_view bytes) {
    const std::size_t last = bytes.find_last_not_of('\0');
    const std::size_t used = last == std::string_view::npos ? 0 : (last / kLogPage + 1) * kLogPage;
    if (used >= bytes.size()) return;
    const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    (void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(used),
                    static_cast<off_t>(bytes.size() - used));
    ::close(fd);
}

struct Mapped {
    u64 number = 0;
    void* at = nullptr;
    std::size_t size = 0;
    ~Mapped() {
        if (at) munmap(at, size);
    }
};

} // namespace

std::string SegmentLog::pathOf(u64 segment) const {
    char name[32];
    std::snprintf(name, sizeof name, "segment-%012llu", static_cast<unsigned long long>(segment));
    return dir_ + "/" + name;
}

// Every block written once: overwriting later changes nothing but data. A spare file has its blocks already.
Result<int> SegmentLog::makeSegment(const std::string& path) const {
    const std::string temporary = path + ".new";
    const bool spare = std::rename(sparePath().c_str(), temporary.c_str()) == 0;
    // It was a segment: nobody may find its old name again once it is filled with zeros.
    if (spare) syncDirectory(dir_);
    int fd = ::open(temporary.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return fileError(temporary, "cannot make it");
    auto give_up = [&](const char* what) {
        Error e = fileError(temporary, what);
        ::close(fd);
        ::unlink(temporary.c_str());
        return e;
    };
    // An allocation that fails takes what there is for a moment, and RocksDB must not meet that.
    struct statvfs st;
    if (!spare && !options_.allocate && statvfs(dir_.c_str(), &st) == 0 &&
        st.f_bavail * st.f_frsize < options_.segment_bytes + store::RoomFiles::kLeastRoom) {
        errno = ENOSPC;
        return give_up("cannot allocate it");
    }
    const int refused = options_.allocate ? options_.allocate(fd, options_.segment_bytes)
                                          : posix_fallocate(fd, 0, static_cast<off_t>(options_.segment_bytes));
    if (refused != 0) {
        errno = refused;
        return give_up("cannot allocate it");
    }
    const std::size_t chunk = std::min<std::size_t>(options_.segment_bytes, 4u << 20);
    Buffer zeros = Buffer::allocate(chunk);
    std::memset(zeros.data(), 0, chunk);
    for (u64 at = 0; at < options_.segment_bytes; at += chunk) {
        const std::size_t n = std::min<std::size_t>(chunk, options_.segment_bytes - at);
        errno = ENOSPC; // of a short write
        if (pwrite(fd, zeros.data(), n, static_cast<off_t>(at)) != static_cast<ssize_t>(n)) return give_up("cannot fill it");
    }
    if (fdatasync(fd) != 0) return give_up("cannot sync it");
    if (std::rename(temporary.c_str(), path.c_str()) != 0) return give_up("cannot rename it");
    syncDirectory(dir_);
    ::close(fd);
    fd = ::open(path.c_str(), O_RDWR | O_DIRECT | O_CLOEXEC);
    if (fd < 0 && errno == EINVAL) fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC); // no O_DIRECT here
    if (fd < 0) return fileError(path, "cannot open it");
    return fd;
}

Result<std::unique_ptr<SegmentLog>> SegmentLog::open(Ring& ring, Offload& offload, std::string dir, SegmentLogOptions options,
                                                     const std::function<void(const Record&)>& visit) {
    std::unique_ptr<SegmentLog> log(new SegmentLog(ring, offload, std::move(dir), options));
    std::error_code ec;
    std::filesystem::create_directories(log->dir_, ec);
    if (ec) return Error(Code::Io, log->dir_ + ": " + ec.message());
    std::vector<u64> numbers;
    for (const auto& entry : std::filesystem::directory_iterator(log->dir_, ec)) {
        const std::string name = entry.path().filename();
        if (name.ends_with(".new")) ::unlink(entry.path().c_str()); // was never finished
        else if (name.starts_with("segment-")) numbers.push_back(std::strtoull(name.c_str() + 8, nullptr, 10));
    }
    std::vector<std::unique_ptr<Mapped>> maps;
    std::vector<SegmentBytes> segments;
    for (u64 number : numbers) {
        const std::string path = log->pathOf(number);
        const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
        struct stat st;
        if (fd < 0 || fstat(fd, &st) != 0) return fileError(path, "cannot read it");
        auto m = std::make_unique<Mapped>();
        m->number = number;
        m->size = static_cast<std::size_t>(st.st_size);
        if (m->size) {
            m->at = mmap(nullptr, m->size, PROT_READ, MAP_SHARED, fd, 0);
            if (m->at == MAP_FAILED) {
                m->at = nullptr;
                ::close(fd);
                return fileError(path, "cannot map it");
            }
        }
        ::close(fd);
        segments.push_back({number, {static_cast<const char*>(m->at), m->size}});
        maps.push_back(std::move(m));
    }
    const SegmentRecovery found = recoverSegments(options.log_id, segments);
    const Scan& scan = found.scan;
    for (const Record& record : scan.records) visit(record);
    log->trouble_ = scan.trouble;
    log->suspects_ = scan.suspect;
    log->writer_.startAfter(found);
    if (!scan.corrupt) log->drop(found.unwritten);
    const u64 next = found.next;
    if (!scan.corrupt) {
        auto made = log->makeSegment(log->pathOf(next));
        if (!made && made.code() == Code::NoSpace) {
            // Nothing is appended to old ones any more: what they have behind their last record is room.
            for (const SegmentBytes& s : segments)
                if (log->writer_.closed().contains(s.number)) giveBackTail(log->pathOf(s.number), s.bytes);
            made = log->makeSegment(log->pathOf(next));
        }
        if (!made && made.code() != Code::NoSpace) return made.error();
        if (made) {
            log->fd_ = *made;
            log->writer_.openSegment(next);
        } else { // the first append waits for room
            log->cramped_ = true;
            log::error("log has no room for a first segment why=\"{}\"", made.error().message());
            log->tasks_.spawn(log->prepareNext());
        }
    } else {
        log->failed_ = true; // nothing is appended behind damage: a human looks first
    }
    return log;
}

SegmentLog::~SegmentLog() {
    for (int fd : retired_) ::close(fd);
    if (fd_ >= 0) ::close(fd_);
    if (nextFd_ >= 0) ::close(nextFd_);
}

Task<> SegmentLog::prepareNext() {
    preparing_ = true;
    const std::string path = pathOf(writer_.segment() + 1);
    while (!closing_ && nextFd_ < 0) {
        Result<int> made = 0;
        auto job = offload_.run([&] { made = makeSegment(path); });
        co_await job;
        if (made) {
            nextFd_ = *made;
            cramped_ = false;
        } else if (made.code() != Code::NoSpace) {
            log::error("log segment={} failed why=\"{}\"", path, made.error().message());
            break;
        } else {
            if (!std::exchange(cramped_, true) && (said_.value == 0 || ring_.now().value >= said_.value + kMinute)) {
                said_ = ring_.now();
                log::error("log has no room, it goes on to the end of its segment why=\"{}\"", made.error().message());
            }
            auto room = room_.wait(ring_, kLogRoomRetryNs);
            (void)co_await room;
        }
    }
    preparing_ = false;
    prepared_.pulse();
    co_return Ok{};
}

Task<> SegmentLog::settled() {
    closing_ = true;
    room_.pulse();
    auto done = co_await tasks_.all();
    co_return done;
}

Task<Result<>> SegmentLog::nextSegment() {
    if (nextFd_ < 0 && !preparing_) tasks_.spawn(prepareNext());
    while (preparing_) {
        auto ready = prepared_.wait();
        (void)co_await ready;
    }
    if (nextFd_ < 0) co_return Error(Code::NoSpace, "the log in " + dir_ + " cannot grow");
    if (fd_ >= 0) retired_.push_back(fd_);
    fd_ = nextFd_;
    nextFd_ = -1;
    writer_.openSegment(writer_.segment() + 1);
    co_return Ok{};
}

Task<Result<>> SegmentLog::write(SegmentWriter::Laid laid) {
    Buffer aligned = Buffer::copyOf(laid.pages);
    const int fd = fd_;
    const u64 at = laid.at, number = laid.number;
    underWay_++;
    laying_.release();
    Operation op = ring_.writeThrough(fd, aligned.data(), aligned.size(), at);
    (void)co_await op;
    underWay_--;
    if (op.result() != static_cast<int>(aligned.size())) {
        failed_ = true;
        changed_.pulse();
        const Error why = op.result() < 0 ? kernelError(op.result(), "write") : kernelError(-ENOSPC, "short write");
        co_return why;
    }
    writer_.finished(number);
    changed_.pulse();
    while (writer_.durable() < number && !failed_) {
        auto earlier = changed_.wait();
        (void)co_await earlier;
    }
    if (writer_.durable() < number) co_return Error(Code::Io, "an earlier write of the log failed");
    if (underWay_ == 0) {
        for (int old : retired_) ::close(old);
        retired_.clear();
    }
    co_return Ok{};
}

Task<Result<>> SegmentLog::append(std::vector<RecordToWrite> records) {
    auto turn = laying_.acquire();
    co_await turn;
    if (failed_) {
        laying_.release();
        co_return Error(Code::Io, trouble_.empty() ? "the log failed earlier" : trouble_);
    }
    SegmentWriter::Laid laid;
    auto fit = writer_.lay(records, laid);
    if (fit == SegmentWriter::Fit::kNextSegment) {
        auto next = co_await nextSegment();
        if (!next) {
            laying_.release();
            co_return next.error();
        }
        fit = writer_.lay(records, laid);
    }
    if (fit != SegmentWriter::Fit::kHere) {
        laying_.release();
        co_return Error(Code::TooLarge, "one write of the log is larger than half a segment");
    }
    if (nextFd_ < 0 && !preparing_ && writer_.nextDue()) tasks_.spawn(prepareNext());
    auto done = co_await write(std::move(laid));
    co_return done;
}

Task<Result<>> SegmentLog::markSynced() {
    if (!wantsMark() || failed_) co_return Ok{};
    const u64 up_to = writer_.durable();
    std::vector<RecordToWrite> nothing;
    auto done = co_await append(std::move(nothing));
    if (done) writer_.marked(up_to);
    co_return done;
}

Task<Result<>> SegmentLog::begin() {
    if (writer_.begun()) co_return Ok{};
    std::vector<RecordToWrite> nothing;
    auto done = co_await append(std::move(nothing));
    co_return done;
}

std::vector<u64> SegmentLog::closedSegments() const { return {writer_.closed().begin(), writer_.closed().end()}; }

void SegmentLog::drop(const std::vector<u64>& segments) {
    for (u64 s : segments) {
        if (!writer_.drop(s)) continue;
        // Where there is no room, its blocks are those of the next one.
        if (cramped_ && ::access(sparePath().c_str(), F_OK) != 0 && std::rename(pathOf(s).c_str(), sparePath().c_str()) == 0)
            continue;
        if (::unlink(pathOf(s).c_str()) != 0)
            log::warn("log segment={} cannot be removed why=\"{}\"", pathOf(s), std::strerror(errno));
    }
    room_.pulse();
}

} // namespace skua::raft
