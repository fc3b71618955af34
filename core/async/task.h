// Task<T>: a coroutine that runs when awaited and hands its value to the one that awaits it.
//
// Lazy: nothing happens before co_await. One awaiter. Errors are values; an exception that leaves a
// coroutine ends the process. A child that finishes without waiting returns straight into its parent;
// one that waited has its parent put on the ready queue. Neither relies on tail calls, so the stack is
// as deep as calls are nested at -O0, at -O2 and under a sanitizer alike (g++ 12 and clang 19).
//
// style.md rule 7: co_await is a whole statement or a whole right-hand side, nothing is built in it;
// parameters are values or references to what outlives the call; what you start you await: a TaskGroup
// holds the tasks of its scope. Thread-safety: none. A Task, its parent and the ready queue belong to
// one thread.
#pragma once

#include <coroutine>
#include <deque>
#include <exception>
#include <list>
#include <optional>
#include <utility>
#include "core/base/result.h"

namespace skua {

// The coroutines of this thread that can go on now, in the order in which they became able to.
struct ReadyQueue {
    static inline thread_local std::deque<std::coroutine_handle<>> queue;
    static void push(std::coroutine_handle<> h) { queue.push_back(h); }
    static bool empty() { return queue.empty(); }
    static void drain() {
        while (!queue.empty()) {
            auto h = queue.front();
            queue.pop_front();
            h.resume();
        }
    }
};

// Task<> carries nothing (Ok); Task<Result<X>> carries a value or an Error.
template <class T = Ok>
class [[nodiscard]] Task {
public:
    struct promise_type {
        std::coroutine_handle<> parent;
        bool starting = false; // the parent is on the stack, inside await_suspend
        std::optional<T> value;

        Task get_return_object() { return Task(std::coroutine_handle<promise_type>::from_promise(*this)); }
        std::suspend_always initial_suspend() noexcept { return {}; }
        auto final_suspend() noexcept {
            struct WakeParent {
                bool await_ready() noexcept { return false; }
                void await_suspend(std::coroutine_handle<promise_type> h) noexcept {
                    if (auto& p = h.promise(); p.parent && !p.starting) ReadyQueue::push(p.parent);
                }
                void await_resume() noexcept {}
            };
            return WakeParent{};
        }
        template <class U>
        void return_value(U&& v) {
            value.emplace(std::forward<U>(v));
        }
        void unhandled_exception() { std::terminate(); }
    };

    Task(Task&& o) noexcept : h_(std::exchange(o.h_, {})) {}
    Task& operator=(Task&& o) noexcept {
        if (this != &o) {
            if (h_) h_.destroy();
            h_ = std::exchange(o.h_, {});
        }
        return *this;
    }
    ~Task() {
        if (h_) h_.destroy();
    }

    auto operator co_await() && noexcept {
        struct Awaiter {
            std::coroutine_handle<promise_type> h;
            bool await_ready() noexcept { return false; }
            bool await_suspend(std::coroutine_handle<> parent) noexcept {
                auto& p = h.promise();
                p.parent = parent;
                p.starting = true;
                h.resume();
                p.starting = false;
                return !h.done(); // false: it is already finished, the parent goes on
            }
            T await_resume() { return std::move(*h.promise().value); }
        };
        return Awaiter{h_};
    }

    void start() { h_.resume(); } // for a root: one that nobody awaits
    bool done() const { return h_.done(); }
    T take() { return std::move(*h_.promise().value); }

private:
    explicit Task(std::coroutine_handle<promise_type> h) : h_(h) {}
    std::coroutine_handle<promise_type> h_;
};

} // namespace skua
