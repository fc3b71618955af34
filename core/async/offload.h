// Offload: a few threads for calls that block (RocksDB, metadata of files), awaited on the ring.
//
//   auto job = offload.run([&] { status = db.Write(...); });  co_await job;
//
// What the function touches must stay alive and untouched until then. Results go through captures.
// Belongs to the ring's thread; the destructor waits for what runs and must find nothing awaited.
#pragma once

#include <condition_variable>
#include <coroutine>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>
#include "core/async/ring.h"

namespace skua {

class Offload {
public:
    Offload(Ring& ring, unsigned threads, std::string name = "offload");
    ~Offload();
    Offload(const Offload&) = delete;

    class [[nodiscard]] Job {
    public:
        Job(Offload& pool, std::function<void()> f) : pool_(pool), f_(std::move(f)) {}
        Job(const Job&) = delete;
        ~Job() { CHECK(!under_way_); }
        bool await_ready() const noexcept { return false; }
        void await_suspend(std::coroutine_handle<> h);
        void await_resume() const noexcept {}

    private:
        friend Offload;
        Offload& pool_;
        std::function<void()> f_;
        std::coroutine_handle<> waiter_;
        bool under_way_ = false;
    };
    // First come, first served.
    Job run(std::function<void()> f) { return Job(*this, std::move(f)); }

private:
    void work();
    void deliver(); // on the ring's thread

    Ring& ring_;
    std::mutex lock_;
    std::condition_variable more_;
    std::deque<Job*> waiting_;   // guarded by lock_
    std::vector<Job*> finished_; // guarded by lock_
    bool stopping_ = false;      // guarded by lock_
    std::vector<std::thread> threads_;
};

} // namespace skua
