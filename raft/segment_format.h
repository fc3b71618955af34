// The bytes of the log, purely: how writes are laid out, and what a scan of all segments tells.
//
// A segment is a file of whole pages; a write begins on a page and takes whole pages:
//
//   offset size
//   0      8    magic
//   8      8    number        of this write: one more than the last one's
//   16     8    synced        every write up to this number was durable when this one was made
//   24     8    log           drawn when the log was made
//   32     8    segment       number of the file
//   40     4    length        of the records that follow the header, bytes
//   44     4    recovered     1: made by a start; whatever an older segment has from this number on is cut
//   48     8    zero
//   56     8    XXH3-64 of bytes 0..55 and of the records
//   64     …    records, then zeros to the end of the page
//
//   record: length u32 (of the payload) · kind u32 · group u32 · zero u32 · running u64 · XXH3-64 · payload, to 8 bytes
//
// `running` counts a group's records from 1 without gaps. Torn and corrupt are told apart (design,
// replication.md): let S be the highest `synced` that any whole write has. A bad write with a number up to S
// was durable: corruption. From the first bad write after S on, everything was never acknowledged: it is cut.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>
#include "core/base/types.h"

namespace skua::raft {

inline constexpr std::size_t kLogPage = 4096;
inline constexpr std::size_t kWriteHeader = 64, kRecordHeader = 32;

enum class RecordKind : u32 {
    kEntry = 1,   // an encoded Entry
    kState = 2,   // begins a segment: the group's running number so far (payload: its VoteRow, or nothing)
    kVote = 3,    // an encoded VoteRow (group_messages.h)
    kBase = 4,    // an encoded LogBase: the group's log begins anew behind it
    kCarried = 5, // an encoded Carried (group_messages.h): an entry that an older segment had, written again
};
struct Record {
    RecordKind kind{};
    GroupId group;
    u64 running = 0;
    std::string_view payload; // into the segment's bytes
};
struct RecordToWrite {
    RecordKind kind{};
    GroupId group;
    u64 running = 0;
    std::string payload;
};

// Of a write with these, with its header, without the zeros behind; and of the whole pages that so much takes.
std::size_t writeBytes(const std::vector<RecordToWrite>& records);
std::size_t pagesFor(std::size_t bytes);
// Whole pages, ready to be written.
std::string layOutWrite(u64 log, u64 segment, u64 number, u64 synced, bool recovered, const std::vector<RecordToWrite>& records);

struct SegmentBytes {
    u64 number = 0;
    std::string_view bytes;
};
struct Scan {
    std::vector<Record> records; // of all good writes, in order
    std::vector<u64> segment_of; // of each record
    u64 last_write = 0;          // number of the last good write; the next one is one more
    u64 synced = 0;              // S
    bool corrupt = false;
    std::string trouble;            // in words, where corrupt
    std::set<GroupId> suspect;      // groups that may have lost something that was promised
    std::map<GroupId, u64> running; // last running number of each group
};
// `segments` in order of their numbers. An empty log is a scan with nothing.
Scan scanLog(u64 log, const std::vector<SegmentBytes>& segments);

} // namespace skua::raft
