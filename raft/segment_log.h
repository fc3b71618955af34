// SegmentLog: the write-ahead log of all groups of a process, on disk (format: segment_format.h).
//
//   TRY(auto log, SegmentLog::open(ring, offload, dir, options, [&](const Record& r) { … }));
//   CO_TRY_OK(co_await log->append(records));       durable, in order, when it returns
//
// Several appends may be under way; each is one write with one fdatasync, and durability counts in order.
// Segments are made whole ahead of need (written once with zeros, so that an append changes no metadata of
// the file system). A start never writes into an old segment: it begins a new one, which cuts what was torn.
// An append that fails leaves the log closed: every later one fails too (the process ends and starts anew; a write or
// fdatasync that failed is never tried again as if the pages were still there).
//
// Only a new segment needs room. Without any the log goes on to the end of the segment it has (cramped()), then an
// append waits, with nothing written and nothing durable, until there is room: full(). Segments that are dropped while it is
// cramped are used again.
// Belongs to the ring's thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include "core/async/offload.h"
#include "core/async/ring.h"
#include "core/async/sync.h"
#include "core/base/result.h"
#include "raft/segment_writer.h"

namespace skua::raft {

struct SegmentLogOptions {
    u64 segment_bytes = 64u << 20;
    u64 log_id = 0; // drawn when the store was made
    // What a group may never forget, for the head of a segment: an encoded VoteRow.
    std::function<std::string(GroupId)> state;
    // Gives a new file its blocks; 0 or an errno. For tests; none: posix_fallocate.
    std::function<int(int fd, u64 bytes)> allocate;
};
inline constexpr u64 kLogRoomRetryNs = 1 * kSecond;

class SegmentLog {
public:
    // Reads all there is; visits every good record in order. Fails where a file cannot be read or made.
    // trouble() and suspects() say what was damaged.
    static Result<std::unique_ptr<SegmentLog>> open(Ring& ring, Offload& offload, std::string dir, SegmentLogOptions options,
                                                    const std::function<void(const Record&)>& visit);
    // Nothing is under way any more; before it is destroyed. What waits for room fails.
    Task<> settled();
    ~SegmentLog();
    SegmentLog(const SegmentLog&) = delete;

    const std::string& trouble() const { return trouble_; }
    const std::set<GroupId>& suspects() const { return suspects_; }

    // `running` is filled in here. Returns when this and every earlier append is durable.
    Task<Result<>> append(std::vector<RecordToWrite> records);
    // A mark of what is synced, if nothing was appended since the last write; 100 ms after the last append.
    Task<Result<>> markSynced();
    bool wantsMark() const { return writer_.wantsMark() && underWay_ == 0; }

    // No room for another segment. full(): nor is there much left of this one; give it nothing more.
    bool cramped() const { return cramped_; }
    bool full() const { return cramped_ && nextFd_ < 0 && writer_.nearlyFull(); }

    // Segments that nothing is appended to any more; may be dropped once all their entries' rows are flushed.
    std::vector<u64> closedSegments() const;
    // The segment that is written now begins with every group's vote, durably: the closed ones may go, as far as that goes.
    Task<Result<>> begin();
    void drop(const std::vector<u64>& segments);
    u64 bytes() const { return (writer_.closed().size() + 1) * options_.segment_bytes; }

private:
    SegmentLog(Ring& ring, Offload& offload, std::string dir, SegmentLogOptions options)
        : ring_(ring),
          offload_(offload),
          dir_(std::move(dir)),
          options_(std::move(options)),
          writer_(options_.log_id, options_.segment_bytes, options_.state) {}
    std::string pathOf(u64 segment) const;
    std::string sparePath() const { return dir_ + "/spare.new"; }
    Result<int> makeSegment(const std::string& path) const; // blocking: laid out, synced, open; the fd
    Task<Result<>> nextSegment();
    Task<> prepareNext();
    Task<Result<>> write(SegmentWriter::Laid laid);

    Ring& ring_;
    Offload& offload_;
    std::string dir_;
    SegmentLogOptions options_;
    std::string trouble_;
    std::set<GroupId> suspects_;
    SegmentWriter writer_;
    int fd_ = -1, nextFd_ = -1;
    bool preparing_ = false, failed_ = false, cramped_ = false, closing_ = false;
    std::vector<int> retired_; // fds that writes may still be under way on
    u64 underWay_ = 0;
    Monotonic said_;                  // that there is no room
    Event changed_, prepared_, room_; // room_: a segment was dropped
    Semaphore laying_{1};             // one at a time takes its place in the log
    TaskGroup tasks_;
};

} // namespace skua::raft
