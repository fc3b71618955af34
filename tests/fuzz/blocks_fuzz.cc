// A block service on a real (small) disk is asked whatever the input says, with service, incarnation and read
// key put right half the time: nothing crashes, and the block that was there before is there afterwards.
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include <csignal>
#include <cstring>
#include <filesystem>
#include "blocks/service.h"
#include "core/base/log.h"
#include "core/data/receipt.h"

using namespace skua;
using namespace skua::blocks;

namespace {

const net::Keys kKeys(ClusterId{1}, MacKey{1, 2, 3});
constexpr BlockServiceId kDisk{1};
constexpr Incarnation kIncarnation{1};
std::string folder;

struct World {
    std::unique_ptr<Ring> ring = Ring::makeOrExit();
    std::unique_ptr<Service> service;
    BlockId kept{ContentId::make(1, ShardId{0}), ReservationId{1}, 1};

    World() {
        log::setLevel(log::Level::kError);
        char name[] = "/tmp/skua-fuzz-blocks-XXXXXX";
        folder = mkdtemp(name);
        CHECK(Disk::format(folder, kKeys.cluster(), kLeastCapacity));
        service = std::make_unique<Service>(*ring, kKeys);
        auto disk = Disk::open(folder, kKeys.cluster());
        CHECK(disk);
        StoreOptions options;
        options.ahead = 0;
        options.max_open = 16;
        CHECK(service->add(std::move(*disk), options));
        CHECK(service->setIdentity(*service->disks()[0], kDisk, kIncarnation));
        Buffer data = page();
        std::vector<u64> sums(1);
        makePageSums(kept, 0, data.data(), sums);
        CHECK(runBlocking(*ring, service->disks()[0]->store->write(kept, blockSum(kept, sums), data, sums, 0)));
    }
    static Buffer page() {
        Buffer b = Buffer::allocate(kPage);
        std::memset(b.data(), 7, b.size());
        return b;
    }
};

void repair(Request& request, u8 how) {
    std::visit(
        [&](auto& r) {
            if (how & 1) r.service = kDisk;
            if constexpr (requires { r.incarnation; })
                if (how & 2) r.incarnation = kIncarnation;
            if constexpr (requires { r.id; }) {
                if (how & 4) r.id = BlockId{ContentId::make(1, ShardId{0}), ReservationId{2}, r.id.n % 8};
                if constexpr (requires { r.key; })
                    if (how & 2) r.key = readKeyOf(kKeys.readKeyKey(), r.id.content);
                if constexpr (requires { r.most; })
                    if (how & 8) r.most = r.most % 200'000;
                if constexpr (requires { r.sums; }) {
                    if (how & 8) {
                        r.sums.resize(r.sums.size() % 4 + 1);
                        u32 first = 0;
                        if constexpr (requires { r.offset; }) {
                            r.offset = r.offset % 16 * kPage;
                            first = r.offset / kPage;
                        }
                        const BlockMix mix(r.id);
                        for (u32 i = 0; i < r.sums.size(); i++) r.sums[i] = zeroPageSum() ^ mix(first + i);
                        if constexpr (requires { r.sum; }) r.sum = blockSum(r.id, r.sums);
                    }
                }
            }
        },
        request);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* bytes, std::size_t size) {
    // Never destroyed: what its coroutines need of this thread ends before static objects do.
    static World& world = *new World;
    static const int removed = std::atexit([] { std::filesystem::remove_all(folder); });
    (void)removed;
    net::Peer peer;
    peer.name = "fuzz";
    std::string_view in(reinterpret_cast<const char*>(bytes), size);
    while (in.size() > 2) {
        const u8 how = static_cast<u8>(in[0]);
        const std::size_t n = std::min<std::size_t>(static_cast<u8>(in[1]), in.size() - 2);
        net::Message message;
        message.kind = net::Kind::kBlocks;
        message.body = in.substr(2, n);
        in.remove_prefix(2 + n);
        Request request;
        if (wire::decode(message.body, request)) {
            repair(request, how);
            if (how & 8) message.body = wire::encode(request);
            std::size_t pages = how >> 4;
            std::visit(
                [&](auto& r) {
                    if constexpr (requires { r.sums; })
                        if (how & 8) pages = r.sums.size();
                },
                request);
            message.payload = Buffer::allocate(pages * kPage);
            message.payload.shrink(pages * kPage);
            std::memset(message.payload.data(), 0, message.payload.size());
        }
        world.service->request(peer, net::Reply(), std::move(message));
    }
    const auto there = runBlocking(*world.ring, world.service->disks()[0]->store->read(world.kept, 0, kPage));
    CHECK(there && there->data.data()[0] == 7);
    return 0;
}
