#include "core/net/channel.h"

#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include "core/base/version.h"
#include "core/net/address.h"
#include "core/wire/codec.h"

namespace skua::net {

namespace {
constexpr std::size_t kMaxPostedBytes = 4u << 20;
constexpr u64 kBackoffMin = 10 * kMillisecond, kBackoffMax = kSecond;
std::string inSeconds(u64 ns) {
    return ns >= kSecond ? std::to_string(ns / kSecond) + " s" : std::to_string(ns / kMillisecond) + " ms";
}
} // namespace

// --- the connection's life --------------------------------------------------------------------------

Task<Result<>> Pool::Channel::ready(u64 limit_ns) {
    used_ = pool_.ring_.now();
    if (state_ == State::kIdle) {
        if (pool_.ring_.now() < retry_at_) co_return last_;
        state_ = State::kConnecting;
        pool_.tasks_.spawn(live(shared_from_this()));
    }
    const Monotonic deadline{limit_ns ? used_.value + limit_ns : 0};
    while (state_ == State::kConnecting) {
        const u64 t = pool_.ring_.now().value;
        if (deadline.value && t >= deadline.value)
            co_return Error(Code::Unavailable, to_.text + ": no connection within " + inSeconds(limit_ns));
        Event::Waiter changed(changed_, deadline.value ? &pool_.ring_ : nullptr, deadline.value ? deadline.value - t : 0);
        (void)co_await changed;
    }
    if (!open()) co_return last_;
    co_return Ok{};
}

// `self` keeps the channel alive as long as its connection lives.
Task<> Pool::Channel::live([[maybe_unused]] std::shared_ptr<Channel> self) {
    pool_.stats_.connects++;
    const auto connected = co_await connect();
    connecting_ = -1;
    if (!connected) {
        last_ = connected.error();
        backoff_ns_ = std::clamp(backoff_ns_ * 2, kBackoffMin, kBackoffMax);
        retry_at_ = Monotonic{pool_.ring_.now().value + backoff_ns_};
        state_ = State::kIdle;
        changed_.pulse();
        co_return Ok{};
    }
    backoff_ns_ = 0;
    state_ = State::kOpen;
    opened_ = pool_.ring_.now();
    changed_.pulse();
    const Error why = co_await connection_->run();
    last_ = Error(Code::Unavailable, to_.text + ": " + (why.detail.empty() ? why.message() : why.detail));
    const auto ended = std::move(connection_);
    state_ = State::kIdle;
    for (Waiting* w : slots_) {
        if (!w) continue;
        if (ended->started(w->ticket_)) w->finish(Error(Code::OutcomeUnknown, last_.detail));
        else w->finish(last_);
    }
    changed_.pulse();
    co_return Ok{};
}

Task<Result<>> Pool::Channel::connect() {
    Ring& ring = pool_.ring_;
    auto address = parseAddress(to_);
    if (address.code() == Code::NotSupported) {
        if (!pool_.resolver_) pool_.resolver_ = std::make_unique<Offload>(ring, 1, "resolve");
        const Address name = to_;
        Offload::Job job = pool_.resolver_->run([&] { address = resolveAddress(name); });
        co_await job;
    }
    if (!address) co_return Error(Code::Unavailable, address.error().detail);
    if (pool_.stopping_) co_return Error(Code::Unavailable, "stopping");
    const SocketAddress at = *address;
    const int fd = ::socket(at.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) co_return Error(Code::Unavailable, kernelError(-errno, to_.text + ": socket").detail);
    tuneSocket(fd, at.loopback());
    connecting_ = fd;
    Operation op = ring.connect(fd, at.get(), at.size, pool_.options_.connect_ns);
    (void)co_await op;
    if (op.result() < 0 || pool_.stopping_) {
        ::close(fd);
        co_return Error(Code::Unavailable, op.result() < 0 ? kernelError(op.result(), to_.text).detail : "stopping");
    }
    const u32 protocol = pool_.options_.protocol ? pool_.options_.protocol : kProtocol;
    auto peer = co_await openHandshake(ring, fd, pool_.credentials_, to_, protocol);
    if (!peer || pool_.stopping_) {
        ::close(fd);
        if (!peer) co_return peer.error();
        co_return Error(Code::Unavailable, "stopping");
    }
    Connection::Listener& listener = *this;
    connection_ = std::make_shared<Connection>(ring, fd, *peer, listener);
    co_return Ok{};
}

bool Pool::Channel::post(Message&& message) {
    if (!open() || connection_->queuedBytes() > kMaxPostedBytes) return false;
    used_ = pool_.ring_.now();
    connection_->send(message.kind, 0, kNoCall, std::move(message.body), std::move(message.payload));
    return true;
}

void Pool::Channel::close(const Error& why) {
    if (connection_) connection_->close(why);
    if (connecting_ >= 0) {
        pool_.ring_.cancelNow(connecting_);
        ::shutdown(connecting_, SHUT_RDWR);
    }
}

// --- calls ------------------------------------------------------------------------------------------

Result<> Pool::Channel::received(Connection&, const FrameHeader& header, Message&& message) {
    if (!header.reply()) return Error(Code::Corrupt, "a request where only replies belong");
    Waiting* w = slots_[header.call & (kMaxOutstanding - 1)];
    if (!w || w->id_ != header.call) {
        pool_.stats_.late++;
        return Ok{};
    }
    if (message.kind != Kind::kError) {
        w->finish(std::move(message));
        return Ok{};
    }
    Error error;
    if (!wire::decode(message.body, error) || error.code == Code::Ok)
        error = Error(Code::Corrupt, to_.text + ": an error that does not decode");
    if (error.detail.size() > kMaxDetail) error.detail.resize(kMaxDetail);
    w->finish(std::move(error));
    return Ok{};
}

Pool::Channel::Waiting::Waiting(Channel& channel, Message&& request, u64 limit_ns) : channel_(channel), limit_ns_(limit_ns) {
    if (!channel.open()) {
        result_.emplace(channel.last_);
        return;
    }
    if (channel.free_.empty() || channel.connection_->full()) {
        result_.emplace(Error(Code::Busy, channel.to_.text + ": too many requests on their way there"));
        return;
    }
    const u16 slot = channel.free_.back();
    channel.free_.pop_back();
    channel.slots_[slot] = this;
    held_ = true;
    id_ = ++channel.calls_ << kSlotBits | slot;
    const Monotonic now = channel.pool_.ring_.now();
    channel.used_ = now;
    if (limit_ns) channel.pool_.ring_.arm(*this, Monotonic{now.value + limit_ns});
    ticket_ = channel.connection_->send(request.kind, 0, id_, std::move(request.body), std::move(request.payload));
}

void Pool::Channel::Waiting::release() {
    if (!held_) return;
    held_ = false;
    const auto slot = static_cast<u16>(id_ & (kMaxOutstanding - 1));
    channel_.slots_[slot] = nullptr;
    channel_.free_.push_back(slot);
    channel_.pool_.ring_.disarm(*this);
}

void Pool::Channel::Waiting::finish(Result<Message> result) {
    release();
    result_.emplace(std::move(result));
    if (waiter_) ReadyQueue::push(waiter_);
}

void Pool::Channel::Waiting::fire() {
    channel_.pool_.stats_.timeouts++;
    // What is queued only may still leave, as long as the connection is there.
    const bool left =
        channel_.connection_ && ticket_ != 0 && (channel_.connection_->open() || channel_.connection_->started(ticket_));
    finish(
        Error(left ? Code::OutcomeUnknown : Code::Unavailable, channel_.to_.text + ": no answer within " + inSeconds(limit_ns_)));
}

} // namespace skua::net
