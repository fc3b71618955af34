#include "raft/segment_format.h"

#include <xxhash.h>
#include <algorithm>
#include <cstring>
#include <optional>
#include "core/base/check.h"

namespace skua::raft {

namespace {

constexpr u64 kMagic = 0x31474F4C41554B53ull; // "SKUALOG1"

struct Header {
    u64 magic = kMagic, number = 0, synced = 0, log = 0, segment = 0;
    u32 length = 0, recovered = 0;
    u64 zero = 0, sum = 0;
};
static_assert(sizeof(Header) == kWriteHeader);
struct RecordHeader {
    u32 length = 0, kind = 0, group = 0, zero = 0;
    u64 running = 0, sum = 0;
};
static_assert(sizeof(RecordHeader) == kRecordHeader);

std::size_t upTo(std::size_t n, std::size_t unit) { return (n + unit - 1) / unit * unit; }

u64 sumOf(const Header& h, std::string_view records) {
    return XXH3_64bits_withSeed(records.data(), records.size(), XXH3_64bits(&h, offsetof(Header, sum)));
}
u64 sumOf(const RecordHeader& h, std::string_view payload) {
    return XXH3_64bits_withSeed(payload.data(), payload.size(), XXH3_64bits(&h, offsetof(RecordHeader, sum)));
}

struct Write {
    Header header;
    std::string_view records;
    std::size_t pages = 0;
};
// The whole write that begins at `at`, if one does.
std::optional<Write> writeAt(u64 log, const SegmentBytes& s, std::size_t at) {
    if (s.bytes.size() < at + kWriteHeader) return std::nullopt;
    Write w;
    std::memcpy(&w.header, s.bytes.data() + at, sizeof w.header);
    if (w.header.magic != kMagic || w.header.log != log || w.header.segment != s.number) return std::nullopt;
    if (w.header.length > s.bytes.size() - at - kWriteHeader) return std::nullopt;
    w.records = s.bytes.substr(at + kWriteHeader, w.header.length);
    if (sumOf(w.header, w.records) != w.header.sum) return std::nullopt;
    w.pages = upTo(kWriteHeader + w.header.length, kLogPage) / kLogPage;
    return w;
}

// False: a record is not what its sum says, though the write's sum held.
bool takeRecords(const Write& w, u64 segment, Scan& scan, std::map<GroupId, u64>& gaps) {
    std::string_view in = w.records;
    while (!in.empty()) {
        if (in.size() < kRecordHeader) return false;
        RecordHeader h;
        std::memcpy(&h, in.data(), sizeof h);
        const std::size_t whole = upTo(kRecordHeader + static_cast<std::size_t>(h.length), 8);
        if (whole > in.size()) return false;
        Record record{static_cast<RecordKind>(h.kind), GroupId{h.group}, h.running, in.substr(kRecordHeader, h.length)};
        if (sumOf(h, record.payload) != h.sum) return false;
        u64& last = scan.running[record.group];
        const bool first = last == 0;
        if (record.kind == RecordKind::kState) {
            if (record.running != last && (!first || scan.corrupt)) gaps[record.group] = record.running;
            last = record.running;
        } else {
            if (record.running != last + 1) gaps[record.group] = record.running; // also a first one that is not the first
            last = record.running;
        }
        scan.records.push_back(record);
        scan.segment_of.push_back(segment);
        in.remove_prefix(whole);
    }
    return true;
}

} // namespace

std::size_t writeBytes(const std::vector<RecordToWrite>& records) {
    std::size_t bytes = kWriteHeader;
    for (const auto& r : records) bytes += upTo(kRecordHeader + r.payload.size(), 8);
    return bytes;
}

std::size_t pagesFor(std::size_t bytes) { return upTo(bytes, kLogPage); }

std::string layOutWrite(u64 log, u64 segment, u64 number, u64 synced, bool recovered, const std::vector<RecordToWrite>& records) {
    const std::size_t length = writeBytes(records) - kWriteHeader;
    std::string out(pagesFor(kWriteHeader + length), '\0');
    char* p = out.data() + kWriteHeader;
    for (const auto& r : records) {
        RecordHeader h;
        h.length = static_cast<u32>(r.payload.size());
        h.kind = static_cast<u32>(r.kind);
        h.group = r.group.value;
        h.running = r.running;
        h.sum = sumOf(h, r.payload);
        std::memcpy(p, &h, sizeof h);
        std::memcpy(p + kRecordHeader, r.payload.data(), r.payload.size());
        p += upTo(kRecordHeader + r.payload.size(), 8);
    }
    Header h;
    h.number = number;
    h.synced = synced;
    h.log = log;
    h.segment = segment;
    h.length = static_cast<u32>(length);
    h.recovered = recovered;
    h.sum = sumOf(h, std::string_view(out).substr(kWriteHeader, length));
    std::memcpy(out.data(), &h, sizeof h);
    return out;
}

Scan scanLog(u64 log, const std::vector<SegmentBytes>& segments) {
    Scan scan;
    // S first, over everything that is whole, wherever it is.
    for (const auto& s : segments)
        for (std::size_t at = 0; at + kLogPage <= s.bytes.size();) {
            auto w = writeAt(log, s, at);
            if (w) scan.synced = std::max(scan.synced, w->header.synced);
            at += w ? w->pages * kLogPage : kLogPage;
        }
    std::map<GroupId, u64> gaps; // group -> running number that did not follow
    std::set<GroupId> after;     // groups with a record behind the bad place
    bool begun = false;
    auto bad = [&](u64 segment, std::size_t at, u64 number) {
        if (scan.corrupt) return;
        scan.corrupt = true;
        scan.trouble = "segment " + std::to_string(segment) + " at byte " + std::to_string(at) + ": write " +
                       std::to_string(number) + " was durable (up to " + std::to_string(scan.synced) + " were) and is damaged";
    };
    // The segment after `i` that begins with this write; 0: none. Those between were made ahead and never used.
    auto following = [&](std::size_t i, u64 number) -> std::size_t {
        for (std::size_t j = i + 1; j < segments.size(); j++)
            if (auto w = writeAt(log, segments[j], 0); w && w->header.number == number) return j;
        return 0;
    };
    for (std::size_t i = 0; i < segments.size(); i++) {
        const SegmentBytes& s = segments[i];
        std::size_t at = 0;
        while (at + kLogPage <= s.bytes.size()) {
            auto w = writeAt(log, s, at);
            const u64 expected = scan.last_write + 1;
            if (w && begun && w->header.number < expected) break; // cut by an earlier start: a recovered write follows
            if (w && (!begun || w->header.number == expected)) {
                begun = true;
                const std::size_t records = scan.records.size();
                if (!takeRecords(*w, s.number, scan, gaps)) bad(s.number, at, w->header.number);
                if (scan.corrupt)
                    for (std::size_t r = records; r < scan.records.size(); r++) after.insert(scan.records[r].group);
                scan.last_write = w->header.number;
                at += w->pages * kLogPage;
                continue;
            }
            // The next write is not here. Is it in the next segment (this one was full, or a start cut the rest)?
            if (following(i, expected)) break;
            if (!begun && i + 1 < segments.size() && !w) {
                at += kLogPage;
                bad(s.number, 0, 1);
                continue;
            }
            if (expected > scan.synced) break; // never acknowledged: torn, cut
            bad(s.number, at, expected);
            // Go on at the next whole write, to learn which groups lost something.
            std::size_t then = at + kLogPage;
            for (; then + kLogPage <= s.bytes.size(); then += kLogPage)
                if (auto later = writeAt(log, s, then); later && later->header.number > scan.last_write) {
                    scan.last_write = later->header.number - 1;
                    break;
                }
            at = then;
            if (at + kLogPage > s.bytes.size() && i + 1 < segments.size())
                if (auto next = writeAt(log, segments[i + 1], 0); next && next->header.number > scan.last_write)
                    scan.last_write = next->header.number - 1;
        }
        if (!scan.corrupt && begun && i + 1 < segments.size()) {
            if (const std::size_t j = following(i, scan.last_write + 1)) {
                i = j - 1;
                continue;
            }
            if (scan.last_write + 1 > scan.synced) break; // what follows was never acknowledged
            auto next = writeAt(log, segments[i + 1], 0);
            bad(segments[i + 1].number, 0, scan.last_write + 1);
            if (next) scan.last_write = next->header.number - 1;
        }
    }
    if (!begun && scan.synced > 0) bad(segments.empty() ? 0 : segments[0].number, 0, 1);
    if (scan.corrupt) {
        for (const auto& [group, _] : scan.running)
            if (!after.contains(group)) scan.suspect.insert(group);
        for (const auto& [group, _] : gaps) scan.suspect.insert(group);
    } else {
        for (const auto& [group, number] : gaps) {
            scan.corrupt = true;
            scan.trouble = "group " + std::to_string(group.value) + " has a gap before its record " + std::to_string(number);
            scan.suspect.insert(group);
        }
    }
    return scan;
}

} // namespace skua::raft
