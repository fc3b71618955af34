#include "core/base/random.h"

#include <sys/random.h>
#include <cerrno>
#include "core/base/check.h"

namespace skua {

void randomFromKernel(void* to, std::size_t bytes) {
    auto* p = static_cast<u8*>(to);
    while (bytes > 0) {
        const ssize_t n = getrandom(p, bytes, 0);
        if (n < 0 && errno == EINTR) continue;
        CHECK(n > 0);
        p += n;
        bytes -= static_cast<std::size_t>(n);
    }
}

u64 randomFromKernel() {
    u64 v;
    randomFromKernel(&v, sizeof v);
    return v;
}

} // namespace skua
