// CHECK: a promise of ours that does not hold stops the process, in every build. Never about input.
#pragma once

namespace skua {
[[noreturn]] void checkFailed(const char* file, int line, const char* what);
}

#define CHECK(condition)                                         \
    do {                                                         \
        if (!(condition)) [[unlikely]]                           \
            ::skua::checkFailed(__FILE__, __LINE__, #condition); \
    } while (0)
