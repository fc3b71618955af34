// What an SQE's user_data points at, and who else may live on a ring.
//
// Every CQE of a Ring whose user_data is not null is handed to the Completion there, on the ring's
// thread. A Guest fills SQEs of its own (Ring::raw()) with its own Completions; FUSE's queues do.
#pragma once

#include "core/base/types.h"

namespace skua {

struct Completion {
    // `result`: the CQE's res. May resume coroutines only through ReadyQueue::push.
    virtual void complete(int result) = 0;

protected:
    ~Completion() = default;
};

struct Guest {
    // Called before each submission, on the ring's thread: put what there is to say into free SQEs.
    // What finds none is said the next time. Never submits.
    virtual void prepare() = 0;

protected:
    ~Guest() = default;
};

} // namespace skua
