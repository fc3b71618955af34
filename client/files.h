// FileSystem: what a program wants to do with paths, in one call each. Commands of the CLI are thin over it.
//
//   FileSystem fs(client);
//   CO_TRY(Attributes a, co_await fs.stat("/d/f"));
//   CO_TRY(Attributes put, co_await fs.putFile("/d/f", {}, source));
//
// Errors carry the path. Paths are absolute; symlinks are followed but where said.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>
#include "client/client.h"
#include "client/path.h"
#include "client/reader.h"
#include "client/writer.h"

namespace skua::client {

// Where the bytes of a new file come from. Called until it gives 0 bytes.
class Source {
public:
    virtual ~Source() = default;
    // Bytes that stay valid until the next call; empty: the end. `hole` > 0 instead: so many zeros.
    struct Some {
        std::span<const u8> bytes;
        u64 hole = 0;
    };
    virtual Task<Result<Some>> next() = 0;
    // Where bytes can be had without a copy: so many from here on, by `read` on any thread. Asked before next().
    struct Direct {
        u64 at = 0, bytes = 0;
        StripeRead read;
    };
    virtual Direct direct() { return {}; }
    virtual void taken(u64) {} // of direct(): next() goes on behind them
};
class MemorySource final : public Source {
public:
    explicit MemorySource(std::string bytes) : bytes_(std::move(bytes)) {}
    Task<Result<Some>> next() override;

private:
    std::string bytes_;
    bool given_ = false;
};

// The bytes of another file, its holes as holes.
class ReaderSource final : public Source {
public:
    explicit ReaderSource(FileReader& reader) : reader_(reader) {}
    Task<Result<Some>> next() override;

private:
    FileReader& reader_;
    u64 at_ = 0;
    std::vector<Buffer> pieces_;
    std::size_t given_ = 0;
};

struct PutOptions {
    u32 mode = 0644;
    Owner owner;
    std::optional<Wall> atime, mtime;
    bool replace = true; // false: Exists if the name is taken
    std::vector<shard::Xattr> xattrs;
};
struct Listed {
    std::string name;
    InodeId inode;
    std::optional<Attributes> attributes; // none: it vanished meanwhile
};
struct FsSpace {
    u64 capacity = 0, free = 0, used = 0; // bytes of all disks, raw
    u64 free_logical = 0; // what can still be written by the default policy: while enough failure domains have room
    u64 capacity_logical = 0;
    u64 inodes = 0, files = 0, directories = 0, bytes = 0, past_bytes = 0;
    u32 disks = 0, disks_up = 0, disks_full = 0; // full: no room for a block of a long file
};

class FileSystem {
public:
    explicit FileSystem(Client& client) : client_(client) {}
    Client& client() { return client_; }

    Task<Result<Attributes>> stat(std::string path, Follow follow = Follow::kLast);
    Task<Result<std::string>> readLink(std::string path);
    // Sorted by name. The whole directory; for huge ones use metadata.readDir.
    Task<Result<std::vector<Listed>>> list(std::string path);

    // mkdir; with `parents` missing ones on the way are made, and one that exists is fine.
    Task<Result<Attributes>> mkdir(std::string path, u32 mode, Owner owner, bool parents = false);
    Task<Result<>> rmdir(std::string path);
    // Not a directory. `now`: skips retention.
    Task<Result<>> unlink(std::string path, bool now = false);
    // Whatever it is, with all that is below. How many names were removed. `progress` may be null.
    Task<Result<u64>> removeTree(std::string path, bool now = false, std::function<void(u64)> progress = {});
    Task<Result<>> rename(std::string from, std::string to, RenameFlags flags = {});
    Task<Result<>> link(std::string existing, std::string path);
    Task<Result<Attributes>> symlink(std::string target, std::string path, Owner owner);

    Task<Result<Attributes>> putFile(std::string path, PutOptions options, Source& source);
    // The same with the directory known, for those who copy trees.
    Task<Result<Attributes>> putFileAt(InodeId dir, std::string name, PutOptions options, Source& source);
    Task<Result<std::unique_ptr<FileReader>>> open(std::string path);
    Task<Result<std::unique_ptr<FileReader>>> open(InodeId inode);
    // All of it; TooLarge past `most`.
    Task<Result<std::string>> readAll(std::string path, u64 most = 64u << 20);
    // A copy of a file's bytes and attributes, within skua.
    Task<Result<Attributes>> copyFile(std::string from, std::string to, Owner owner);

    Task<Result<Attributes>> chmod(std::string path, u32 mode);
    Task<Result<Attributes>> chown(std::string path, std::optional<u32> uid, std::optional<u32> gid);
    Task<Result<Attributes>> utimes(std::string path, std::optional<Wall> atime, std::optional<Wall> mtime); // none: now
    Task<Result<Attributes>> truncate(std::string path, u64 size);

    Task<Result<FsSpace>> space();

    Task<Result<std::vector<Version>>> versions(std::string path);
    // A removed name comes back, as `to` (empty: the same path). The newest one, or that of `until`.
    Task<Result<>> undelete(std::string path, std::string to = {}, Wall until = {});
    // A directory with all that was in it when it was removed.
    Task<Result<u64>> undeleteTree(std::string path, std::string to = {});
    // Ends the retention of everything that the name was.
    Task<Result<u64>> purge(std::string path);

private:
    struct Removing {
        Semaphore permits{32}; // requests at a time
        bool now = false;
        std::function<void(u64)> progress;
        u64 done = 0;
        Error error;
    };
    Task<Result<>> removeBelow(InodeId dir, std::string path, Removing& removing, u32 depth);
    Task<> removeName(InodeId dir, std::string name, InodeId inode, std::string path, Removing& removing);
    Task<> removeSubtree(InodeId dir, std::string name, InodeId inode, std::string path, Removing& removing, u32 depth);
    Task<Result<>> removeDirectory(InodeId dir, std::string name, bool now);
    Task<Result<Attributes>> fill(FileWriter& writer, InodeId dir, std::string name, PutOptions options, Source& source);
    struct Undeleting;
    Task<> undeleteName(InodeId dir, shard::PastEntry past, std::string path, Undeleting& undeleting, u32 depth);
    Task<> undeleteBelow(InodeId dir, std::string path, Undeleting& undeleting, u32 depth);
    Task<Result<>> undeleteOne(Place from, Place to, Version version);
    Client& client_;
};

} // namespace skua::client
