#include "core/store/room_files.h"

#include <rocksdb/file_system.h>
#include <sys/statvfs.h>
#include <chrono>
#include <thread>

namespace skua::store {

void RoomFiles::State::waitForRoom() {
    auto room = [&] {
        struct statvfs st;
        return !armed || statvfs(dir.c_str(), &st) != 0 || st.f_bavail * st.f_frsize >= kLeastRoom;
    };
    if (room()) return;
    waiting++;
    while (!room()) std::this_thread::sleep_for(std::chrono::milliseconds(kLookAgainMs));
    waiting--;
}

class RoomFiles::File final : public rocksdb::FSWritableFileOwnerWrapper {
public:
    File(std::unique_ptr<rocksdb::FSWritableFile>&& file, std::shared_ptr<State> state)
        : FSWritableFileOwnerWrapper(std::move(file)), state_(std::move(state)) {}
    rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                             rocksdb::IODebugContext* debug) override {
        state_->waitForRoom();
        return target()->Append(data, options, debug);
    }
    rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                             const rocksdb::DataVerificationInfo& info, rocksdb::IODebugContext* debug) override {
        state_->waitForRoom();
        return target()->Append(data, options, info, debug);
    }

private:
    const std::shared_ptr<State> state_;
};

class RoomFiles::Files final : public rocksdb::FileSystemWrapper {
public:
    explicit Files(std::shared_ptr<State> state) : FileSystemWrapper(rocksdb::FileSystem::Default()), state_(std::move(state)) {}
    const char* Name() const override { return "RoomFiles"; }
    rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                      std::unique_ptr<rocksdb::FSWritableFile>* file, rocksdb::IODebugContext* debug) override {
        state_->waitForRoom();
        std::unique_ptr<rocksdb::FSWritableFile> plain;
        rocksdb::IOStatus made = target()->NewWritableFile(name, options, &plain, debug);
        if (made.ok()) *file = std::make_unique<File>(std::move(plain), state_);
        return made;
    }

private:
    const std::shared_ptr<State> state_;
};

RoomFiles::RoomFiles(std::string dir) : state_(std::make_shared<State>()) {
    state_->dir = std::move(dir);
    env_ = rocksdb::NewCompositeEnv(std::make_shared<Files>(state_));
}

} // namespace skua::store
