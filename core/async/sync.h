// What coroutines of one thread wait on for each other: Event, Semaphore, TaskGroup.
//
// All waits are woken through the ready queue, first come first served. None of these may be destroyed
// while somebody waits on it (checked). Thread-safety: none.
#pragma once

#include <list>
#include <memory>
#include <optional>
#include "core/async/clock.h"
#include "core/async/task.h"

namespace skua {

// Wakes all that wait when set; stays set until reset(). wait() returns at once while set.
class Event {
public:
    Event() = default;
    Event(const Event&) = delete;
    ~Event() { CHECK(waiters_.empty()); }

    void set() {
        set_ = true;
        wakeAll();
    }
    void reset() { set_ = false; }
    bool isSet() const { return set_; }
    // Wakes all that wait now, without staying set: "look again".
    void pulse() { wakeAll(); }

    // co_await event.wait():  Waiter w = event.wait(); co_await w;
    class [[nodiscard]] Waiter final : Timer {
    public:
        Waiter(Event& event, Clock* clock, u64 limit_ns) : event_(event), clock_(clock), limit_ns_(limit_ns) {}
        Waiter(const Waiter&) = delete;
        ~Waiter() {
            if (clock_) clock_->disarm(*this);
            if (waiting_) event_.waiters_.erase(place_);
        }
        bool await_ready() const noexcept { return event_.set_; }
        void await_suspend(std::coroutine_handle<> h) noexcept {
            handle_ = h;
            place_ = event_.waiters_.insert(event_.waiters_.end(), this);
            waiting_ = true;
            if (clock_) clock_->arm(*this, Monotonic{clock_->now().value + limit_ns_});
        }
        // False: the limit passed first.
        bool await_resume() noexcept { return !timedOut_; }

    private:
        friend Event;
        void fire() override {
            event_.waiters_.erase(place_);
            waiting_ = false;
            timedOut_ = true;
            ReadyQueue::push(handle_);
        }
        void wake() {
            if (clock_) clock_->disarm(*this);
            waiting_ = false;
            ReadyQueue::push(handle_);
        }
        Event& event_;
        Clock* clock_;
        u64 limit_ns_;
        std::coroutine_handle<> handle_;
        std::list<Waiter*>::iterator place_;
        bool waiting_ = false, timedOut_ = false;
    };
    Waiter wait() { return Waiter(*this, nullptr, 0); }
    Waiter wait(Clock& clock, u64 limit_ns) { return Waiter(*this, &clock, limit_ns); }

private:
    void wakeAll() {
        auto all = std::move(waiters_);
        waiters_.clear();
        for (Waiter* w : all) w->wake();
    }
    bool set_ = false;
    std::list<Waiter*> waiters_;
};

// At most `permits` holders at a time; first come, first served.
class Semaphore {
public:
    explicit Semaphore(u64 permits) : free_(permits) {}
    Semaphore(const Semaphore&) = delete;
    ~Semaphore() { CHECK(waiters_.empty()); }

    struct [[nodiscard]] Acquire {
        Semaphore& s;
        bool await_ready() noexcept {
            if (s.free_ == 0 || !s.waiters_.empty()) return false;
            s.free_--;
            return true;
        }
        void await_suspend(std::coroutine_handle<> h) noexcept { s.waiters_.push_back(h); }
        void await_resume() const noexcept {}
    };
    Acquire acquire() { return Acquire{*this}; }
    void release() {
        if (waiters_.empty()) {
            free_++;
            return;
        }
        auto h = waiters_.front();
        waiters_.pop_front();
        ReadyQueue::push(h);
    }
    u64 free() const { return free_; }

private:
    u64 free_;
    std::list<std::coroutine_handle<>> waiters_;
};

// Holds the tasks of a scope. Before it dies: `co_await group.all();` (checked). Finished ones are
// dropped as new ones are added; that costs the same however many run.
class TaskGroup {
public:
    TaskGroup() = default;
    TaskGroup(const TaskGroup&) = delete;
    ~TaskGroup() { CHECK(running_ == 0); }

    // Starts it now, on this stack, up to its first wait.
    void spawn(Task<> task) {
        done_.clear();
        running_++;
        const Place at = tasks_.emplace(tasks_.end());
        at->emplace(run(std::move(task), at));
        (*at)->start();
    }
    std::size_t running() const { return running_; }
    // Waits until nothing runs, including what is spawned meanwhile.
    Task<> all() {
        while (running_ > 0) {
            auto finished = finished_.wait();
            (void)co_await finished;
        }
        done_.clear();
        co_return Ok{};
    }

private:
    using Place = std::list<std::optional<Task<>>>::iterator;
    Task<> run(Task<> task, Place at) {
        (void)co_await std::move(task);
        // Only moved: it still runs. It has ended before anybody can add or wait for another.
        done_.splice(done_.end(), tasks_, at);
        if (--running_ == 0) finished_.pulse();
        co_return Ok{};
    }
    std::list<std::optional<Task<>>> tasks_, done_;
    std::size_t running_ = 0;
    Event finished_;
};

} // namespace skua
