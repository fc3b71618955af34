// PROBE("what has happened"): marks a branch that only luck reaches. The simulator counts them and complains
// of one that no run of a batch reached; elsewhere it costs a look at a flag.
//
// The name says in words what has happened, and is unique. Every probe that is linked in is in all(), reached
// or not. Only the simulator sets `counting`, in a process of one thread.
#pragma once

#include <algorithm>
#include <vector>
#include "core/base/types.h"

namespace skua::probe {

inline bool counting = false;

struct Row {
    const char* name;
    u64* count;
};
inline std::vector<Row>& all() {
    static std::vector<Row> rows;
    return rows;
}

template <std::size_t N>
struct Text {
    char value[N]{};
    constexpr Text(const char (&text)[N]) { std::copy_n(text, N, value); }
};
template <Text T>
struct Point {
    static constexpr Text kText = T;
    static inline u64 count = 0;
    // Says that it is there, before main() begins.
    static inline bool known = (all().push_back({kText.value, &count}), true);
    static void hit() { count += known; }
};

} // namespace skua::probe

#define PROBE(name)                               \
    do {                                          \
        if (::skua::probe::counting) [[unlikely]] \
            ::skua::probe::Point<name>::hit();    \
    } while (0)
