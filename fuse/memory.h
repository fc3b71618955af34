// Memory: where bytes live that programs wrote and nobody has committed yet.
//
// Up to `limit` bytes of a mount in memory; past that in unlinked temporary files ($TMPDIR, else /var/tmp),
// mapped, so that whoever reads them need not know. A Buffer gives its share back when its last holder lets
// go. Belongs to the mount's thread.
#pragma once

#include <memory>
#include <string>
#include "core/async/buffer.h"
#include "core/base/result.h"

namespace skua::fuse {

class Memory {
public:
    explicit Memory(u64 limit);
    // Not zeroed. NoSpace: no memory left, and none on disk; the detail says where.
    Result<Buffer> allocate(std::size_t size);
    u64 used() const { return account_->used; } // bytes in memory
    u64 spilled() const { return account_->spilled; }

private:
    struct Account {
        u64 used = 0, spilled = 0;
    };
    struct Window; // 64 MiB of a temporary file
    Result<Buffer> spill(std::size_t size);

    const u64 limit_;
    std::shared_ptr<Account> account_ = std::make_shared<Account>();
    BufferPool pool_;
    std::shared_ptr<Window> window_; // where the next bytes go
};

} // namespace skua::fuse
