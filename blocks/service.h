// Service: the requests of messages.h, for all disks of this process.
//
// Each request is one file in ops/: a member template handle<Request>(), a coroutine that asks the disk's
// Store. What arrives is bounded: kMaxHeldBytes of payloads over all connections, an equal share for each disk (a hung
// one fills its own), then Busy. Everything on
// the ring's thread.
#pragma once

#include <memory>
#include <vector>
#include "blocks/disk.h"
#include "blocks/messages.h"
#include "blocks/store.h"
#include "core/net/keys.h"
#include "core/net/server.h"
#include "registry/messages.h"

namespace skua::blocks {

inline constexpr u64 kMaxHeldBytes = 256u << 20; // payloads of requests that are being worked on
inline constexpr u32 kMaxHeldRequests = 16'384;
inline constexpr u32 kMaxRebuilds = 4; // at a time; each holds a piece of every source

// One disk of this process.
struct Served {
    Served(Disk d, MacKey key) : disk(std::move(d)), receipt_key(key) {}
    Disk disk;
    std::unique_ptr<Store> store;
    MacKey receipt_key;          // of disk.info().service
    registry::DiskState state{}; // as the registry has it
    bool fenced = false;         // the disk appeared elsewhere since: no writes
    u64 held_bytes = 0;          // payloads of its requests
    bool takesBlocks() const { return !fenced && state == registry::DiskState::kUp && !store->readOnly() && store->present(); }
};

class Service final : public net::Handler {
public:
    Service(Ring& ring, const net::Keys& keys);
    ~Service();

    // Blocks while the index is read. `options`' capacity and segment are the disk's.
    Result<> add(Disk disk, StoreOptions options);
    // The registry's answer: durable on the disk before anything is done under it.
    Result<> setIdentity(Served& disk, BlockServiceId service, Incarnation incarnation);
    // For RebuildBlock, which reads from other services. Outlives this.
    void setTransport(net::Transport& transport) { transport_ = &transport; }
    Task<> stop(); // after the server's

    void request(const net::Peer& peer, net::Reply reply, net::Message&& message) override;

    const std::vector<std::unique_ptr<Served>>& disks() const { return disks_; }
    Result<Served*> diskOf(BlockServiceId service) const;
    DiskInfo infoOf(const Served& disk) const;

    // --- for ops/ -----------------------------------------------------------------------------------
    struct Call {
        net::Peer peer;
        Buffer in, out; // payloads
    };
    template <class R>
    Task<Result<typename R::Reply>> handle(R request, Call& call);
    Result<Served*> forWriting(BlockServiceId service, Incarnation incarnation) const;
    Receipt receiptOf(const Served& disk, const BlockId& id, Store::Stored stored) const;
    const MacKey& readKeyKey() const { return readKeyKey_; }
    net::Transport* transport() const { return transport_; }
    Semaphore& rebuilds() { return rebuilds_; }

private:
    template <class R>
    Task<> serve(R request, net::Peer peer, Buffer payload, net::Reply reply);

    Ring& ring_;
    const net::Keys keys_;
    const MacKey readKeyKey_;
    net::Transport* transport_ = nullptr;
    Semaphore rebuilds_{kMaxRebuilds};
    BufferPool pieces_;
    std::vector<std::unique_ptr<Served>> disks_;
    u32 held_ = 0;
    bool stopping_ = false;
    TaskGroup tasks_;
};

// ops/, one file each
template <>
Task<Result<OpenBlock::Reply>> Service::handle(OpenBlock request, Call& call);
template <>
Task<Result<Piece::Reply>> Service::handle(Piece request, Call& call);
template <>
Task<Result<FinishBlock::Reply>> Service::handle(FinishBlock request, Call& call);
template <>
Task<Result<WriteBlock::Reply>> Service::handle(WriteBlock request, Call& call);
template <>
Task<Result<DropBlock::Reply>> Service::handle(DropBlock request, Call& call);
template <>
Task<Result<ReadBlock::Reply>> Service::handle(ReadBlock request, Call& call);
template <>
Task<Result<HaveBlocks::Reply>> Service::handle(HaveBlocks request, Call& call);
template <>
Task<Result<Info::Reply>> Service::handle(Info request, Call& call);
template <>
Task<Result<ListBlocks::Reply>> Service::handle(ListBlocks request, Call& call);
template <>
Task<Result<RebuildBlock::Reply>> Service::handle(RebuildBlock request, Call& call);

// Payload and sums agree, and the sums are of whole pages.
bool wholePages(const Buffer& payload, const std::vector<u64>& sums);

} // namespace skua::blocks
