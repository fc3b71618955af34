// Handles: what is open. The kernel keeps their addresses and gives them back with each request on them,
// RELEASE last; what goes on after an answer holds the node, not the handle.
#pragma once

#include <fcntl.h>
#include <sys/types.h>
#include <deque>
#include <optional>
#include <set>
#include <string>
#include <vector>
#include "fuse/nodes.h"

namespace skua::fuse {

struct FileHandle {
    NodePtr node;
    int flags = 0;     // of open(2)
    pid_t opener = 0;  // the thread
    bool left = false; // its process has closed it
    bool direct = false;
    // Or may have changed it just by opening it.
    bool writes() const { return (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC)); }
    bool appends() const { return flags & O_APPEND; }
};

// A directory being listed. Offsets count what was listed; the kernel may go back (far back: the listing is
// read again), and starts anew with 0. Names that only this mount sees come first, then pages of the shard's.
struct DirHandle {
    struct Item {
        std::string name;
        InodeId inode;
        std::optional<Attributes> attributes;
        u64 tick = 0; // when it was heard
    };
    NodePtr node;
    std::deque<Item> items; // from `first` on; what was listed long ago is forgotten
    u64 first = 0;
    std::set<std::string> ours; // already listed as pending
    u64 cookie = 2;
    bool begun = false, end = false;
    Semaphore lock{1};
};

} // namespace skua::fuse
