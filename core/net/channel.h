// Channel: one of a Pool's connections to one address, through all its lives.
//
//   Idle ── ready() ──▶ Connecting ── handshake ──▶ Open ── broken, idle or stopped ──▶ Idle
//                           └── failed: back to Idle, left alone until retry_at_
//
// Calls that wait stand in a table of 1,024 slots; a call's id is its slot and a counter, so that a late
// reply finds nobody. Thread-safety: none.
#pragma once

#include <optional>
#include "core/async/offload.h"
#include "core/net/pool.h"

namespace skua::net {

class Pool::Channel final : public std::enable_shared_from_this<Pool::Channel>, Connection::Listener {
public:
    Channel(Pool& pool, Address to) : pool_(pool), to_(std::move(to)), slots_(kMaxOutstanding) {
        for (std::size_t i = kMaxOutstanding; i-- > 0;) free_.push_back(static_cast<u16>(i));
    }
    ~Channel() { CHECK(state_ == State::kIdle && free_.size() == kMaxOutstanding); }

    bool open() const { return state_ == State::kOpen && connection_->open(); }
    // Connects if need be and waits for it.
    Task<Result<>> ready(u64 limit_ns);
    bool post(Message&& message);
    void close(const Error& why);
    bool idle() const { return free_.size() == kMaxOutstanding && state_ != State::kConnecting; }
    bool connected() const { return state_ != State::kIdle; }
    Monotonic used() const { return used_; }
    Monotonic opened() const { return opened_; }

    // One call: sends in its constructor, co_await waits for the answer.
    class [[nodiscard]] Waiting final : Timer {
    public:
        Waiting(Channel& channel, Message&& request, u64 limit_ns);
        Waiting(const Waiting&) = delete;
        ~Waiting() { release(); }
        bool await_ready() const noexcept { return result_.has_value(); }
        void await_suspend(std::coroutine_handle<> h) noexcept { waiter_ = h; }
        Result<Message> await_resume() { return std::move(*result_); }

    private:
        friend Channel;
        void fire() override;
        void finish(Result<Message> result);
        void release();
        Channel& channel_;
        u64 id_ = 0, ticket_ = 0, limit_ns_;
        bool held_ = false; // has a slot
        std::coroutine_handle<> waiter_;
        std::optional<Result<Message>> result_;
    };

private:
    enum class State : u8 { kIdle, kConnecting, kOpen };
    static constexpr u64 kSlotBits = 10;
    static_assert(1u << kSlotBits == kMaxOutstanding);

    Task<> live(std::shared_ptr<Channel> self);
    Task<Result<>> connect();
    Result<> received(Connection& connection, const FrameHeader& header, Message&& message) override;

    Pool& pool_;
    const Address to_;
    State state_ = State::kIdle;
    std::shared_ptr<Connection> connection_;
    int connecting_ = -1; // the fd before it is a connection's
    Event changed_;
    Error last_{Code::Unavailable, "not connected"};
    Monotonic retry_at_, used_, opened_;
    u64 backoff_ns_ = 0, calls_ = 0;
    std::vector<Waiting*> slots_;
    std::vector<u16> free_;
};

} // namespace skua::net
