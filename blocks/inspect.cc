#include <cstdio>
#include <filesystem>
#include "blocks/disk.h"
#include "blocks/invariants.h"
#include "blocks/store.h"
#include "blocks/tools.h"
#include "core/base/config.h"
#include "core/base/log.h"

namespace skua::blocks {
namespace {

int fail(const Error& e) {
    std::fprintf(stderr, "%s\n", e.message().c_str());
    return 1;
}

Task<Result<u64>> checkAll(Store& store) {
    u64 bad = 0;
    BlockId after;
    for (;;) {
        CO_TRY(const auto part, co_await store.list(after, kMaxIdsPerMessage));
        for (const BlockInfo& b : part) {
            after = b.id;
            const auto good = co_await store.verify(b.id);
            if (good && *good) continue;
            bad++;
            std::printf("bad %llu.%u.%u length=%u\n", static_cast<unsigned long long>(b.id.content.value), b.id.reservation.value,
                        b.id.n, b.length);
        }
        if (part.size() < kMaxIdsPerMessage) co_return bad;
    }
}

} // namespace

int inspect(const std::string& dir, bool list, bool check, bool json) {
    auto disk = Disk::openAny(dir);
    if (!disk) return fail(disk.error());
    const DiskFormat& f = disk->info();
    u64 blocks = 0, bytes = 0, bad = 0, unsettled = 0;
    std::vector<std::string> wrong;
    const bool used = std::filesystem::exists(dir + "/index/CURRENT");
    if (used) {
        auto index = Index::open(dir, false);
        if (!index) return fail(index.error());
        wrong = problems(**index, f.segment);
        Index::Loader count;
        count.segment = [](u32, const SegmentRow&) -> Result<> { return Ok{}; };
        count.block = [](const BlockId&, const BlockRow&) -> Result<> { return Ok{}; };
        count.unsettled = [&](const BlockId&) -> Result<> {
            unsettled++;
            return Ok{};
        };
        if (const auto counted = (*index)->load(count); !counted) return fail(counted.error());
        BlockId after;
        for (;;) {
            const auto part = (*index)->list(after, kMaxIdsPerMessage);
            if (!part) return fail(part.error());
            for (const BlockInfo& b : *part) {
                after = b.id;
                blocks++;
                bytes += b.length;
                bad += b.bad;
                if (list)
                    std::printf("%llu.%u.%u length=%u sum=%016llx%s\n", static_cast<unsigned long long>(b.id.content.value),
                                b.id.reservation.value, b.id.n, b.length, static_cast<unsigned long long>(b.sum),
                                b.bad ? " bad" : "");
            }
            if (part->size() < kMaxIdsPerMessage) break;
        }
    }
    if (used && check) {
        auto ring = Ring::makeOrExit();
        BufferPool pieces(kMaxPiece, 8);
        StoreOptions o;
        o.capacity = f.capacity;
        o.segment = f.segment;
        o.ahead = 0;
        Store store(*ring, dir, o, pieces);
        if (const auto started = store.start(); !started) return fail(started.error());
        const auto found = runBlocking(*ring, checkAll(store));
        runBlocking(*ring, store.stop());
        if (!found) return fail(found.error());
        bad = *found;
    }
    for (const auto& w : wrong) std::printf("wrong: %s\n", w.c_str());
    const char* format =
        json ? "{\"cluster\": \"%s\", \"service\": %u, \"incarnation\": %u, \"capacity\": %llu, \"blocks\": %llu, \"bytes\": "
               "%llu, \"unsettled\": %llu, \"bad\": %llu, \"wrong\": %zu}\n"
             : "cluster=%s service=%u incarnation=%u capacity=%llu blocks=%llu bytes=%llu unsettled=%llu bad=%llu wrong=%zu\n";
    std::printf(format, toHex(f.cluster.value).c_str(), f.service.value, f.incarnation.value,
                static_cast<unsigned long long>(f.capacity), static_cast<unsigned long long>(blocks),
                static_cast<unsigned long long>(bytes), static_cast<unsigned long long>(unsettled),
                static_cast<unsigned long long>(bad), wrong.size());
    return bad || !wrong.empty() ? 1 : 0;
}

} // namespace skua::blocks
