// Callers: what /proc says about the processes whose requests come here. Never touches a mounted path, so
// the driver cannot wait for itself. Pids are those of threads, as requests carry them; 0: not visible here.
#pragma once

#include <sys/types.h>
#include "core/base/types.h"

namespace skua::fuse::callers {

bool sameGroup(pid_t a, pid_t b); // threads of one process
bool ended(pid_t pid);
// The process has an open descriptor of inode `ino` of a mount like ours. False where we may not look.
bool hasDescriptor(pid_t pid, u64 ino);
bool fatalSignalPending(pid_t pid); // it waits to die
bool killed(pid_t pid);             // it was ended by a signal

} // namespace skua::fuse::callers
