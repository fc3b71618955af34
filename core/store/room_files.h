// RoomFiles: RocksDB's files, which wait while the disk is full instead of failing: a RocksDB that met ENOSPC once
// does not write again without help, and one built with assertions ends the process. Before every append to a file the file
// system is asked; with less than kLeastRoom free the (background) thread waits until there is more.
//
// Another process may still take the last of it between the look and the write: then RocksDB fails as it always did.
// Thread-safety: waiting() from any thread; arm() and end() by the owner.
#pragma once

#include <rocksdb/env.h>
#include <atomic>
#include <memory>
#include <string>
#include "core/base/types.h"

namespace skua::store {

class RoomFiles {
public:
    static constexpr u64 kLeastRoom = 12u << 20;
    static constexpr u64 kLookAgainMs = 50;

    explicit RoomFiles(std::string dir);
    rocksdb::Env* env() const { return env_.get(); }
    // From now on; opening does not wait.
    void arm() { state_->armed = true; }
    void end() { state_->armed = false; }
    bool waiting() const { return state_->waiting > 0; }

private:
    struct State {
        std::string dir;
        std::atomic<bool> armed = false;
        std::atomic<int> waiting = 0;
        void waitForRoom();
    };
    class Files;
    class File;
    std::shared_ptr<State> state_;
    std::unique_ptr<rocksdb::Env> env_;
};

} // namespace skua::store
