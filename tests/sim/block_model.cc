#include "tests/sim/block_model.h"

#include "core/data/receipt.h"
#include "shard/messages.h"
#include "tests/sim/cluster.h"

namespace skua::sim {

namespace {

net::CallerLimits limitsOf(u64 total_ns) {
    net::CallerLimits limits;
    limits.total_ns = total_ns;
    limits.attempt_ns = 5 * kSecond;
    return limits;
}

template <class Reply>
net::Message answerOf(const Reply& reply) {
    net::Message m;
    m.kind = net::Kind::kBlocks;
    m.body = wire::encode(reply);
    return m;
}

} // namespace

void BlockModel::start() {
    if (life) return;
    lives++;
    if (address.empty() || cluster.world.random.oneIn(2)) address = name + ":" + std::to_string(lives);
    cluster.world.tell("{} starts life={} blocks={}", name, lives, blocks.size());
    life = std::make_shared<BlockLife>(*this);
    life->begin();
}

void BlockModel::crash() {
    if (!life) return;
    auto dying = std::move(life);
    life.reset();
    dying->die();
    u64 lost = 0;
    for (auto at = blocks.begin(); at != blocks.end();) {
        if (at->second.settled && cluster.world.random.oneIn(2)) at->second.settled = false;
        if (at->second.durable || cluster.world.random.oneIn(3)) { // some of it may be there all the same
            at->second.durable = true;
            ++at;
            continue;
        }
        lost++;
        at = blocks.erase(at);
    }
    if (lost != 0) cluster.world.count("fault unsynced blocks lost");
}

BlockLife::BlockLife(BlockModel& model)
    : model_(model),
      world_(model.cluster.world),
      clock_(world_, 0, kHour, 0),
      transport_(model.cluster.network, clock_, model.node, true),
      directory_([&c = model.cluster] { return c.registryAddresses(); }),
      caller_(clock_, transport_, directory_, ClientId{}, Random(world_.random.next()), limitsOf(10 * kSecond)),
      follower_(clock_, transport_, directory_, ClientId{}, Random(world_.random.next()), limitsOf(30 * kSecond)) {}

BlockLife::~BlockLife() { CHECK(tasks_.running() == 0); }

void BlockLife::begin() {
    model_.cluster.network.join(model_.address, model_.node, *this);
    tasks_.spawn(raft::followMap(clock_, follower_, directory_, dead_));
    tasks_.spawn(presence());
    tasks_.spawn(garbage());
    tasks_.spawn(sweep());
}

void BlockLife::die() {
    dead_ = true;
    world_.tell("{} dies", model_.name);
    model_.cluster.network.leave(model_.address);
    transport_.close();
    stop_.set();
    burial_.emplace(bury());
    burial_->start();
}

Task<> BlockLife::bury() {
    auto self = shared_from_this();
    (void)co_await tasks_.all();
    auto last = std::make_shared<std::shared_ptr<BlockLife>>(std::move(self));
    world_.after(1, [last] {
        (*last)->burial_.reset();
        last->reset();
    });
    co_return Ok{};
}

void BlockLife::receive(u32, bool, net::Message message, Answer answer) {
    if (dead_) return;
    blocks::Request request;
    if (message.kind != net::Kind::kBlocks || !wire::decode(message.body, request))
        return answer(Error(Code::Invalid, "not here"));
    if (auto* w = std::get_if<blocks::WriteBlock>(&request)) return write(*w, std::move(answer));
    if (auto* h = std::get_if<blocks::HaveBlocks>(&request)) {
        blocks::HaveBlocks::Reply reply;
        for (const BlockId& id : h->blocks) {
            auto at = model_.blocks.find(id);
            reply.have.push_back(at != model_.blocks.end() && at->second.durable);
        }
        return answer(answerOf(reply));
    }
    answer(answerOf(blocks::Info::Reply{}));
}

void BlockLife::receipt(const BlockId& id, const Answer& answer) {
    auto at = model_.blocks.find(id);
    if (at == model_.blocks.end()) return answer(Error(Code::NotFound, "erased meanwhile"));
    blocks::WriteBlock::Reply reply;
    reply.receipt = Receipt{model_.service, model_.incarnation, id, kPage, at->second.sum, {}};
    sealReceipt(model_.cluster.keys.receiptKey(model_.service), reply.receipt);
    answer(answerOf(reply));
}

void BlockLife::write(const blocks::WriteBlock& request, Answer answer) {
    if (model_.service.value == 0 || request.service != model_.service) return answer(Error(Code::NotFound, "another disk"));
    if (request.incarnation != model_.incarnation) return answer(Error(Code::Stale, "another incarnation"));
    auto [at, fresh] = model_.blocks.try_emplace(request.id);
    if (!fresh && at->second.sum != request.sum) return answer(Error(Code::Exists, "here with other bytes"));
    if (fresh) {
        at->second.sum = request.sum;
        at->second.written = world_.now();
        at->second.ask_after = world_.now() + kMinute;
    }
    if (at->second.durable || model_.cluster.bugs.receipt_early) return receipt(request.id, answer);
    model_.cluster.busy(model_);
    const u64 takes = world_.chance(world_.faults.slow_disk) ? world_.random.between(50 * kMillisecond, 2 * kSecond)
                                                             : world_.random.between(200 * kMicrosecond, 2 * kMillisecond);
    world_.after(takes, [self = weak_from_this(), id = request.id, answer = std::move(answer)] {
        auto life = self.lock();
        if (!life || life->dead_) return;
        auto block = life->model_.blocks.find(id);
        if (block != life->model_.blocks.end()) block->second.durable = true;
        life->receipt(id, answer);
    });
}

// --- as blocks/membership.cc has it ------------------------------------------------------------------------

Task<bool> BlockLife::registerAll() {
    registry::Register request;
    request.name = model_.name;
    request.role = registry::ServerRole::kBlocks;
    request.address.text = model_.address;
    request.domain = model_.name;
    const auto reply = co_await caller_.mutate(kRegistryGroup, request);
    if (!reply || dead_) co_return false;
    server_ = reply->id;
    process_ = reply->incarnation;
    registry::RegisterDisk ask;
    ask.id = model_.service;
    ask.uuid = model_.uuid;
    ask.server = server_;
    ask.capacity = 1ull << 40;
    const auto told = co_await caller_.mutate(kRegistryGroup, ask);
    if (!told || dead_) co_return false;
    if (model_.service.value != 0 && told->id != model_.service) world_.fail(model_.name + " was given another id");
    model_.service = told->id;
    model_.incarnation = told->incarnation;
    co_return true;
}

Task<> BlockLife::presence() {
    bool registered = false;
    while (!dead_) {
        if (!registered) registered = co_await registerAll();
        if (dead_) break;
        if (registered) {
            registry::Heartbeat beat;
            beat.server = server_;
            beat.incarnation = process_;
            beat.wall = clock_.wall();
            registry::DiskHint hint;
            hint.id = model_.service;
            hint.up = true;
            hint.free = 1ull << 39;
            hint.blocks = model_.blocks.size();
            beat.disks.push_back(hint);
            const auto reply = co_await caller_.query(kRegistryGroup, beat);
            if (reply.code() == Code::NotFound || reply.code() == Code::Stale) registered = false;
        }
        auto pause = stop_.wait(clock_, world_.quiet ? kMinute : kSecond);
        (void)co_await pause;
    }
    co_return Ok{};
}

Task<> BlockLife::garbage() {
    while (!dead_) {
        const u16 shards = directory_.map().shards;
        for (u16 s = 0; s < shards && !dead_ && model_.service.value != 0; s++) {
            const ShardId shard{s};
            (void)co_await garbageOf(shard);
        }
        auto pause = stop_.wait(clock_, world_.quiet ? 5 * kMinute : 5 * kSecond);
        (void)co_await pause;
    }
    co_return Ok{};
}

Task<> BlockLife::garbageOf(ShardId shard) {
    shard::TakeGarbage take;
    take.service = model_.service;
    take.limit = 1000;
    const auto taken = co_await caller_.query(groupOf(shard), take);
    if (!taken || dead_ || taken->blocks.empty()) co_return Ok{};
    model_.cluster.busy(model_);
    // Erased and synced before it is said. A crash in between erases them again.
    Sleep sync(clock_, world_.random.between(kMillisecond, 20 * kMillisecond));
    co_await sync;
    if (dead_) co_return Ok{};
    for (const BlockId& id : taken->blocks) model_.blocks.erase(id);
    world_.count("garbage erased");
    world_.tell("{} erases shard={} blocks={}", model_.name, shard.value, taken->blocks.size());
    shard::DoneGarbage done;
    done.service = model_.service;
    done.blocks = taken->blocks;
    (void)co_await caller_.mutate(groupOf(shard), done);
    co_return Ok{};
}

Task<> BlockLife::sweep() {
    while (!dead_) {
        auto pause = stop_.wait(clock_, world_.quiet ? 5 * kMinute : 10 * kSecond);
        (void)co_await pause;
        if (dead_ || model_.service.value == 0) continue;
        std::map<u16, std::vector<BlockId>> by_shard;
        for (const auto& [id, block] : model_.blocks)
            if (block.durable && !block.settled && block.ask_after <= world_.now())
                by_shard[id.content.shard().value].push_back(id);
        for (auto& [shard, some] : by_shard) {
            if (dead_) break;
            const ShardId id{shard};
            (void)co_await ask(id, std::move(some));
        }
    }
    co_return Ok{};
}

Task<> BlockLife::ask(ShardId shard, std::vector<BlockId> some) {
    shard::Fate request;
    request.service = model_.service;
    request.blocks = some;
    const auto reply = co_await caller_.query(groupOf(shard), request);
    if (!reply || dead_ || reply->fates.size() != some.size()) co_return Ok{};
    for (std::size_t i = 0; i < some.size(); i++) {
        auto at = model_.blocks.find(some[i]);
        if (at == model_.blocks.end()) continue;
        at->second.ask_after = world_.now() + 10 * kMinute;
        const bool dead = reply->fates[i] == shard::FateOf::kDead;
        if (reply->fates[i] == shard::FateOf::kReferenced) at->second.settled = true;
        if (reply->fates[i] == shard::FateOf::kKeep) world_.count("sweep: keep");
        if (reply->fates[i] == shard::FateOf::kReferenced) world_.count("sweep: referenced");
        if (dead || (model_.cluster.bugs.erase_kept && reply->fates[i] == shard::FateOf::kKeep)) {
            world_.count("sweep: dead");
            world_.tell("{} sweeps content={} n={}", model_.name, some[i].content.value, some[i].n);
            model_.blocks.erase(at);
        }
    }
    co_return Ok{};
}

} // namespace skua::sim
