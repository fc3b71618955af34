#include "blocks/service.h"

#include "core/base/log.h"
#include "core/data/receipt.h"

namespace skua::blocks {

static_assert(wire::Tags<Request>::unique && wire::Tags<Request>::complete);

Service::Service(Ring& ring, const net::Keys& keys)
    : ring_(ring), keys_(keys), readKeyKey_(keys.readKeyKey()), pieces_(kMaxPiece, 128) {}

Service::~Service() { CHECK(tasks_.running() == 0); }

Result<> Service::add(Disk disk, StoreOptions options) {
    options.capacity = disk.info().capacity;
    options.segment = disk.info().segment;
    const MacKey key = keys_.receiptKey(disk.info().service);
    auto served = std::make_unique<Served>(std::move(disk), key);
    served->store = std::make_unique<Store>(ring_, served->disk.dir(), options, pieces_);
    TRY_OK(served->store->start());
    DiskInfo info;
    served->store->fillInfo(info);
    log::info("opened dir={} service={} blocks={} used={} free={} unsettled={} bad={}", info.path,
              served->disk.info().service.value, info.blocks, info.used, info.free, info.unsettled, info.bad);
    disks_.push_back(std::move(served));
    return Ok{};
}

Result<> Service::setIdentity(Served& disk, BlockServiceId service, Incarnation incarnation) {
    TRY_OK(disk.disk.setIdentity(service, incarnation));
    disk.receipt_key = keys_.receiptKey(service);
    disk.fenced = false;
    return Ok{};
}

Task<> Service::stop() {
    stopping_ = true;
    co_await tasks_.all();
    for (auto& d : disks_) co_await d->store->stop();
    co_return Ok{};
}

Result<Served*> Service::diskOf(BlockServiceId service) const {
    for (const auto& d : disks_)
        if (service.value != 0 && d->disk.info().service == service) return d.get();
    // Not "there is no such block": its disk may only not be mounted, or this was another process's address once.
    return Error(Code::Unavailable, "block service " + std::to_string(service.value) + " is not here: look at a newer map");
}

Result<Served*> Service::forWriting(BlockServiceId service, Incarnation incarnation) const {
    TRY(Served* const disk, diskOf(service));
    if (disk->disk.info().incarnation != incarnation)
        return Error(Code::Stale, "block service " + std::to_string(service.value) + " has incarnation " +
                                      std::to_string(disk->disk.info().incarnation.value) + ", not " +
                                      std::to_string(incarnation.value));
    if (!disk->takesBlocks())
        return Error(Code::ReadOnly, "block service " + std::to_string(service.value) + " takes no blocks now");
    return disk;
}

Receipt Service::receiptOf(const Served& disk, const BlockId& id, Store::Stored stored) const {
    Receipt r;
    r.service = disk.disk.info().service;
    r.incarnation = disk.disk.info().incarnation;
    r.id = id;
    r.length = stored.length;
    r.sum = stored.sum;
    sealReceipt(disk.receipt_key, r);
    return r;
}

DiskInfo Service::infoOf(const Served& disk) const {
    DiskInfo info;
    disk.store->fillInfo(info);
    info.service = disk.disk.info().service;
    info.incarnation = disk.disk.info().incarnation;
    info.read_only = !disk.takesBlocks();
    return info;
}

bool wholePages(const Buffer& payload, const std::vector<u64>& sums) {
    return !sums.empty() && sums.size() <= kMaxPagesPerPiece && payload.size() == sums.size() * kPage;
}

void Service::request(const net::Peer& peer, net::Reply reply, net::Message&& message) {
    if (message.kind != net::Kind::kBlocks) return reply.fail(Error(Code::Invalid, "this is a block service"));
    if (stopping_) return reply.fail(Error(Code::Unavailable, "stopping"));
    if (held_ >= kMaxHeldRequests) return reply.fail(Error(Code::Busy, "too many requests are being worked on"));
    Request request;
    if (!wire::decode(message.body, request)) return reply.fail(Error(Code::Invalid, "the request does not decode"));
    std::visit([&](auto& r) { tasks_.spawn(serve(std::move(r), peer, std::move(message.payload), std::move(reply))); }, request);
}

template <class R>
Task<> Service::serve(R request, net::Peer peer, Buffer payload, net::Reply reply) {
    const u64 bytes = payload.size();
    const auto named = diskOf(request.service);
    Served* const disk = named ? *named : nullptr; // disks stay until the end
    if (bytes > 0 && disk && disk->held_bytes + bytes > kMaxHeldBytes / disks_.size()) {
        reply.fail(Error(Code::Busy, "too many pieces wait for this disk"));
        co_return Ok{};
    }
    if (disk) disk->held_bytes += bytes;
    held_++;
    Call call;
    call.peer = std::move(peer);
    call.in = std::move(payload);
    auto answer = co_await handle(std::move(request), call);
    if (disk) disk->held_bytes -= bytes;
    held_--;
    if (answer) {
        net::Message message;
        message.kind = net::Kind::kBlocks;
        wire::encode(*answer, message.body);
        message.payload = std::move(call.out);
        reply.send(std::move(message));
    } else {
        if (log::enabled(log::Level::kDebug))
            log::debug("refused request={} peer={} error=\"{}\"", R::kName, call.peer.name, answer.error().message());
        reply.fail(answer.error());
    }
    co_return Ok{};
}

} // namespace skua::blocks
