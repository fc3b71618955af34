#include "core/async/offload.h"

#include <pthread.h>
#include <csignal>

namespace skua {

Offload::Offload(Ring& ring, unsigned threads, std::string name) : ring_(ring) {
    name.resize(std::min<std::size_t>(name.size(), 15));
    for (unsigned i = 0; i < threads; i++) {
        threads_.emplace_back([this] { work(); });
        pthread_setname_np(threads_.back().native_handle(), name.c_str());
    }
}

Offload::~Offload() {
    {
        std::lock_guard hold(lock_);
        CHECK(waiting_.empty());
        stopping_ = true;
    }
    more_.notify_all();
    for (auto& t : threads_) t.join();
    CHECK(finished_.empty());
}

void Offload::Job::await_suspend(std::coroutine_handle<> h) {
    waiter_ = h;
    under_way_ = true;
    {
        std::lock_guard hold(pool_.lock_);
        pool_.waiting_.push_back(this);
    }
    pool_.more_.notify_one();
}

void Offload::work() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr); // signals are the ring's thread's business
    std::unique_lock hold(lock_);
    for (;;) {
        more_.wait(hold, [this] { return stopping_ || !waiting_.empty(); });
        if (waiting_.empty()) return;
        Job* job = waiting_.front();
        waiting_.pop_front();
        hold.unlock();
        job->f_();
        hold.lock();
        finished_.push_back(job);
        // Under the lock: the ring's thread cannot find the pool finished before the post is made.
        if (finished_.size() == 1) ring_.post([this] { deliver(); });
    }
}

void Offload::deliver() {
    std::vector<Job*> all;
    {
        std::lock_guard hold(lock_);
        all.swap(finished_);
    }
    for (Job* job : all) {
        job->under_way_ = false;
        ReadyQueue::push(job->waiter_);
    }
}

} // namespace skua
