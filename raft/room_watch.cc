#include "raft/room_watch.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <thread>
#include "core/base/log.h"

namespace skua::raft {

namespace {
void giveUp(const std::string& reserve) {
    if (::unlink(reserve.c_str()) == 0) log::warn("reserve given up file={}", reserve);
}
} // namespace

Room roomOf(const std::string& dir, u64 segment_bytes) {
    struct statvfs st;
    if (statvfs(dir.c_str(), &st) != 0) return {~0ull, 0}; // other calls will say what is wrong
    const u64 size = st.f_blocks * st.f_frsize;
    return {st.f_bavail * st.f_frsize, std::clamp(size / 20, 2 * segment_bytes, std::max(2 * segment_bytes, kMostLeastRoom))};
}

void waitForRoomToStart(const std::string& dir, const std::string& reserve, u64 segment_bytes) {
    if (roomOf(dir, segment_bytes).free < reserveOf(segment_bytes)) giveUp(reserve);
    for (u64 waited = 0;; waited++) {
        const u64 free = roomOf(dir, segment_bytes).free;
        if (free >= kLeastToStart) return;
        if (waited % 60 == 0)
            log::error("disk full, waiting for room to start dir={} free_kib={} wanted_kib={}", dir, free >> 10,
                       kLeastToStart >> 10);
        std::this_thread::sleep_for(std::chrono::seconds(1));
    }
}

bool RoomWatch::makeReserve() const {
    const int fd = ::open(reserve_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return false;
    const bool fine = posix_fallocate(fd, 0, static_cast<off_t>(reserveOf(segmentBytes_))) == 0;
    ::close(fd);
    if (!fine) ::unlink(reserve_.c_str());
    return fine;
}

Task<> RoomWatch::watch(Server& server, SegmentLog& log, store::KvRocksdb& rows, Event& changed) {
    for (bool reserved = false;;) {
        const Room room = roomOf(dir_, segmentBytes_);
        const bool none = log.cramped() || rows.waitsForRoom();
        const bool low = none || room.free < room.least + (server.low() ? room.least / 4 : 0);
        if (low != server.low()) {
            server.setLow(low);
            changed.pulse();
            const bool say = ring_.now().value >= said_.value + kRoomSaidNs;
            if (say && low)
                log::error("disk almost full, leading only what nobody else can dir={} free_mib={} wanted_mib={}", dir_,
                           room.free >> 20, room.least >> 20);
            else if (say || !low) log::info("disk has room again dir={} free_mib={}", dir_, room.free >> 20);
            if (low) said_ = ring_.now();
        }
        if (none && room.free < reserveOf(segmentBytes_)) {
            giveUp(reserve_);
            reserved = false;
        } else if (!low && !reserved) {
            auto job = offload_.run([&] { reserved = makeReserve(); });
            co_await job;
        }
        Sleep nap(ring_, kRoomCheckNs);
        co_await nap;
    }
}

} // namespace skua::raft
