#include "tests/sim/log_disk.h"

#include <algorithm>

namespace skua::sim {

std::string LogDisk::recover(u64 log, u64 segment_bytes, raft::SegmentWriter::State state,
                             const std::function<void(const raft::Record&)>& visit) {
    std::vector<raft::SegmentBytes> segments;
    for (const auto& [number, bytes] : files_) segments.push_back({number, bytes});
    const raft::SegmentRecovery found = raft::recoverSegments(log, segments);
    for (const raft::Record& record : found.scan.records) visit(record);
    writer_.reset();
    underWay_.clear();
    if (found.scan.corrupt) return found.scan.trouble;
    writer_.emplace(log, segment_bytes, std::move(state));
    writer_->startAfter(found);
    drop(found.unwritten);
    writer_->openSegment(found.next);
    files_[found.next];
    return {};
}

void LogDisk::write(World& world, std::vector<raft::RecordToWrite> records) {
    UnderWay u;
    u.synced = writer_->durable();
    u.mark = records.empty();
    raft::SegmentWriter::Laid& laid = u.laid;
    auto fit = writer_->lay(records, laid);
    if (fit == raft::SegmentWriter::Fit::kNextSegment) {
        world.count("log segments filled");
        writer_->openSegment(writer_->segment() + 1);
        files_[writer_->segment()];
        fit = writer_->lay(records, laid);
    }
    if (fit != raft::SegmentWriter::Fit::kHere)
        world.fail(fmt::format("a write of {} bytes is too large for the log", raft::writeBytes(records)));
    underWay_.push_back(std::move(u));
}

void LogDisk::put(const raft::SegmentWriter::Laid& laid, std::size_t from, std::size_t bytes) {
    std::string& file = files_[laid.segment];
    if (file.size() < laid.at + laid.pages.size()) file.resize(laid.at + laid.pages.size());
    laid.pages.copy(file.data() + laid.at + from, bytes, from);
}

void LogDisk::landed() {
    const UnderWay u = std::move(underWay_.front());
    underWay_.pop_front();
    put(u.laid, 0, u.laid.pages.size());
    there_.push_back({u.laid.number, u.laid.segment, u.laid.at, u.laid.pages.find_last_not_of('\0') + 1});
    synced_ = u.synced;
    writer_->finished(u.laid.number);
    if (u.mark) writer_->marked(u.synced);
}

void LogDisk::crash(World& world) {
    for (const auto& [laid, synced, mark] : underWay_) {
        const u64 fate = world.random.below(4);
        if (fate == 0) continue;
        if (fate == 1) {
            put(laid, 0, laid.pages.size());
            continue;
        }
        std::size_t there = 0, sectors = laid.pages.size() / kSector;
        for (std::size_t i = 0; i < sectors; i++)
            if (world.random.oneIn(2)) put(laid, i * kSector, kSector), there++;
        if (there > 0 && there < sectors) world.count("fault torn log write");
        if (fate == 3) {
            std::string& file = files_[laid.segment];
            if (file.size() < laid.at + laid.pages.size()) continue;
            world.count("fault flipped byte in an unacknowledged log write");
            file[laid.at + world.random.below(laid.pages.size())] ^= static_cast<char>(1u << world.random.below(8));
        }
    }
    underWay_.clear();
    writer_.reset();
}

std::vector<u64> LogDisk::closed() const {
    if (!writer_) return {};
    return {writer_->closed().begin(), writer_->closed().end()};
}

void LogDisk::drop(const std::vector<u64>& segments) {
    for (const u64 s : segments)
        if (writer_->drop(s)) {
            files_.erase(s);
            std::erase_if(there_, [&](const There& t) { return t.segment == s; });
        }
}

std::size_t LogDisk::bytes() const {
    std::size_t all = 0;
    for (const auto& [_, bytes] : files_) all += bytes.size();
    return all;
}

std::optional<LogDisk::Flip> LogDisk::flip(World& world) {
    std::size_t durable = 0;
    while (durable < there_.size() && there_[durable].number <= synced_) durable++;
    if (durable == 0) return std::nullopt;
    const There& t = there_[world.random.below(durable)];
    const Flip flip{t.segment, t.at + world.random.below(t.bytes)};
    files_[flip.segment][flip.at] ^= static_cast<char>(1u << world.random.below(8));
    return flip;
}

} // namespace skua::sim
