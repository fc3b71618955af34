#include "core/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace skua {

void checkFailed(const char* file, int line, const char* what) {
    std::fprintf(stderr, "check failed file=%s line=%d what=\"%s\"\n", file, line, what);
    std::fflush(stderr);
    std::abort();
}

} // namespace skua
