// Clock: what a coroutine may ask of the world about time. The ring implements it with the kernel's
// clocks, the simulator with virtual ones; neither can be told from the other.
//
// Thread-safety: none; a Clock belongs to one thread.
#pragma once

#include <coroutine>
#include "core/async/task.h"
#include "core/base/types.h"

namespace skua {

// Something to be told once, at a time. Lives in its owner's frame; disarm before it dies.
class Timer {
public:
    virtual void fire() = 0; // armed() is already false; may arm again

    bool armed() const { return armed_; }

protected:
    ~Timer() { CHECK(!armed_); }

private:
    friend class Clock;
    bool armed_ = false;
    u64 order_ = 0; // among equals, first armed fires first
    Monotonic at_;
};

class Clock {
public:
    virtual Monotonic now() = 0;
    virtual Wall wall() = 0;
    void arm(Timer& t, Monotonic at) {
        if (t.armed_) disarm(t);
        t.armed_ = true;
        t.at_ = at;
        t.order_ = ++orders_;
        insert(t);
    }
    void disarm(Timer& t) {
        if (!t.armed_) return;
        remove(t);
        t.armed_ = false;
    }

protected:
    ~Clock() = default;
    virtual void insert(Timer&) = 0;
    virtual void remove(Timer&) = 0;
    static Monotonic at(const Timer& t) { return t.at_; }
    static u64 order(const Timer& t) { return t.order_; }
    static void setFired(Timer& t) { t.armed_ = false; } // then call t.fire()

private:
    u64 orders_ = 0;
};

// co_await Sleep(clock, ns);  as:  Sleep nap(clock, ns); co_await nap;
class [[nodiscard]] Sleep final : Timer {
public:
    Sleep(Clock& clock, u64 ns) : clock_(clock), ns_(ns) {}
    Sleep(const Sleep&) = delete;
    ~Sleep() { clock_.disarm(*this); }
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> h) noexcept {
        waiter_ = h;
        clock_.arm(*this, Monotonic{clock_.now().value + ns_});
    }
    void await_resume() const noexcept {}

private:
    void fire() override { ReadyQueue::push(waiter_); }
    Clock& clock_;
    u64 ns_;
    std::coroutine_handle<> waiter_;
};

inline Task<> sleepFor(Clock& clock, u64 ns) {
    Sleep nap(clock, ns);
    co_await nap;
    co_return Ok{};
}

} // namespace skua
