// PROBE("name"): marks a branch that only luck reaches. The simulator counts them and complains of one that
// no run of a batch reached; elsewhere it costs a look at a null pointer.
//
// The name is the promise's, in words, and unique. Only the simulator sets `probe::counts`, before it starts,
// in a process of one thread.
#pragma once

#include <map>
#include <string_view>
#include "core/base/types.h"

namespace skua::probe {

using Counts = std::map<std::string_view, u64>;
inline Counts* counts = nullptr;

}  // namespace skua::probe

#define PROBE(name)                                                            \
    do {                                                                       \
        if (::skua::probe::counts) [[unlikely]] (*::skua::probe::counts)[name]++; \
    } while (0)
