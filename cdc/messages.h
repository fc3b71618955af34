// What the coordinator is asked: all that touches two directories (design: metadata.md, "The
// coordinator"). A request is answered when its transaction has ended; a repeat waits for it.
#pragma once

#include <variant>
#include "core/base/errors.h"
#include "core/base/message.h"
#include "core/data/rows.h"
#include "core/wire/codec.h"

namespace skua::cdc {

struct MakeDir {
    MESSAGE(1, MakeDir)
    InodeId dir; // where
    std::string name;
    u32 mode = 0755; // permission bits
    u32 uid = 0, gid = 0;
    FIELDS(dir, name, mode, uid, gid)
    struct Reply {
        Attributes made;
        FIELDS(made)
    };
};
struct RemoveDir {
    MESSAGE(2, RemoveDir)
    InodeId dir;
    std::string name;
    FIELDS(dir, name)
    struct Reply {
        InodeId removed;
        FIELDS(removed)
    };
};
// Of files and directories, between any directories.
struct Rename {
    MESSAGE(3, Rename)
    InodeId from_dir;
    std::string from_name;
    InodeId to_dir;
    std::string to_name;
    InodeId moved;           // what the caller thinks it moves; another there: NotFound
    bool no_replace = false; // Exists if the target name is taken
    FIELDS(from_dir, from_name, to_dir, to_name, moved, no_replace)
    struct Reply {
        InodeId replaced; // 0: nothing
        FIELDS(replaced)
    };
};
struct Link {
    MESSAGE(4, Link)
    InodeId inode;
    InodeId dir;
    std::string name;
    FIELDS(inode, dir, name)
    using Reply = Done;
};
struct Exchange {
    MESSAGE(5, Exchange)
    InodeId dir_a;
    std::string name_a;
    InodeId dir_b;
    std::string name_b;
    InodeId inode_a, inode_b;
    FIELDS(dir_a, name_a, dir_b, name_b, inode_a, inode_b)
    using Reply = Done;
};
struct UndeleteDir {
    MESSAGE(6, UndeleteDir)
    InodeId dir;
    std::string name;
    Wall wall;     // which past entry
    InodeId inode; // the directory it named
    InodeId to_dir;
    std::string to_name;
    FIELDS(dir, name, wall, inode, to_dir, to_name)
    using Reply = Done;
};
// How many transactions are in flight, and what they wait for.
struct Pending {
    MESSAGE(7, Pending)
    FIELDS()
    struct Reply {
        u32 running = 0, waiting = 0;
        TxnId watermark;
        std::vector<std::string> stuck; // steps that a shard keeps answering unexpectedly
        FIELDS(running, waiting, watermark, stuck)
    };
};

// The leader's own: what a shard answered to a step, or what the walk up from a directory found.
struct StepDone {
    MESSAGE(32, StepDone)
    TxnId txn;
    u32 step = 0;
    Error error;
    Bytes reply; // of the step's action (shard/messages.h)
    FIELDS(txn, step, error, reply)
    using Reply = Done;
};
struct WalkDone {
    MESSAGE(33, WalkDone)
    TxnId txn;
    u32 step = 0;
    bool loop = false; // it met the directory that is being moved
    Error error;       // a directory on the way is gone
    FIELDS(txn, step, loop, error)
    using Reply = Done;
};

using Request = std::variant<MakeDir, RemoveDir, Rename, Link, Exchange, UndeleteDir, Pending, StepDone, WalkDone>;

struct CoordinatorConfig {
    ClusterId cluster;
    u16 shards = 0;
    FIELDS(cluster, shards)
};

} // namespace skua::cdc
