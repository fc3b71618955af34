#include "client/client.h"

#include "client/mend.h"
#include "core/base/log.h"

namespace skua::client {

namespace {

constexpr std::size_t kPooledBlock = 4u << 20;
constexpr std::size_t kPooledBlocks = 32;

Task<> reportBadBlock(Metadata& metadata, BlockServiceId service, BlockId block) {
    auto told = co_await metadata.reportBad(service, block);
    static log::OncePerSecond often;
    if (often.allow())
        log::warn("bad block reported service={} content={} told={}{}", service.value, block.content.value, told.has_value(),
                  often.skipped());
    co_return Ok{};
}

constexpr std::size_t kRememberedMost = 64u << 10; // blocks of one content; more are left to the sweep
constexpr std::size_t kAbandonedTogether = 1024;
constexpr u64 kGiveUpFor = 2 * kSecond;

// All are of one reservation; of one content, or few.
Task<> abandonAll(Metadata& metadata, std::vector<BlockRef> blocks, std::shared_ptr<Event> done) {
    for (std::size_t from = 0; from < blocks.size();) {
        shard::AbandonBlocks request;
        request.reservation = blocks[from].id.reservation;
        request.content = blocks[from].id.content;
        while (from < blocks.size() && request.blocks.size() < kAbandonedTogether && blocks[from].id.content == request.content)
            request.blocks.push_back(blocks[from++]);
        auto told = co_await metadata.abandonBlocks(std::move(request));
        if (!told) break; // swept when the reservation has ended
    }
    done->set();
    co_return Ok{};
}

} // namespace

Client::Client(Clock& clock_, net::Transport& transport, ClientOptions options_)
    : clock(clock_),
      options(std::move(options_)),
      cluster(clock_, transport, options.registry, Random(options.seed * 4 + 1)),
      services(clock_, transport, cluster, Random(options.seed * 4 + 2), options.patience),
      metadata(clock_, transport, cluster, options.client, Random(options.seed * 4 + 3), options.limits),
      blocks(kPooledBlock, kPooledBlocks),
      spanBudget(options.span_budget),
      readAheadBudget(options.read_ahead_budget) {
    services.setReport([this](BlockServiceId service, BlockId block) { return reportBadBlock(metadata, service, block); });
    metadata.setMend([this](ReservationId reservation, ContentId content, std::vector<shard::SpanWithProofs>& spans) {
        return mendSpans(*this, reservation, content, spans);
    });
}

Task<Result<>> Client::start(u64 limit_ns) {
    cluster.start();
    metadata.reservations().start();
    auto arrived = co_await cluster.waitForMap(limit_ns);
    co_return arrived;
}

void Client::stop() {
    cluster.stop();
    metadata.reservations().stop();
    // What goes on by itself, for nobody, ends: its calls get nowhere from here on.
    metadata.caller().end();
    services.end();
}

Task<> Client::stopped() {
    (void)co_await metadata.reservations().stopped();
    (void)co_await cluster.stopped();
    (void)co_await services.background().all();
    co_return Ok{};
}

void Client::wrote(const NewId& id, const BlockRef& block) {
    if (!id.written) return;
    if (!id.written->given_up) {
        if (id.written->blocks.size() < kRememberedMost) id.written->blocks.push_back(block);
        return;
    }
    // It came late.
    services.background().spawn(abandonAll(metadata, std::vector<BlockRef>{block}, std::make_shared<Event>()));
}

Task<> Client::giveUp(NewId id) {
    if (!id.written) co_return Ok{};
    id.written->given_up = true;
    std::vector<BlockRef> all = std::move(id.written->blocks);
    id.written->blocks.clear();
    if (all.empty()) co_return Ok{};
    auto done = std::make_shared<Event>();
    services.background().spawn(abandonAll(metadata, std::move(all), done));
    auto waiting = done->wait(clock, kGiveUpFor);
    (void)co_await waiting;
    co_return Ok{};
}

Buffer Client::blockBuffer(std::size_t size) {
    // A small block does not take a pooled buffer away from a large one.
    if (size > kPooledBlock || size <= kPooledBlock / 4) return Buffer::allocate(size);
    Buffer whole = blocks.take();
    whole.shrink(size);
    return whole;
}

Error withPath(const Error& error, std::string_view path) {
    Error e = error;
    std::string detail(path);
    if (detail.size() > kMaxDetail / 2) detail = "..." + detail.substr(detail.size() - kMaxDetail / 2 + 3);
    if (!error.detail.empty() && error.detail.find(path) == std::string::npos) detail += ": " + error.detail;
    e.detail = detail.substr(0, kMaxDetail);
    return e;
}

} // namespace skua::client
