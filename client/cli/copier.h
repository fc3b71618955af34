// Copier: what `skua cp` does: files and trees, into skua, out of it and within it; `jobs` files at a time.
//
//   Copier copier(process, options);
//   const bool all = process.run(copier.run(sources, target));
//
// Goes on after a failure; failures() has them all. Nothing has its name before it is whole.
//   copier.cc       which source goes where          copy_in.cc    local to skua
//   copy_files.cc   one file, each way               copy_tree.cc  skua to local, skua to skua
#pragma once

#include <sys/stat.h>
#include <string>
#include <vector>
#include "client/cli/command.h"
#include "client/cli/progress.h"
#include "core/async/buffer.h"

namespace skua::cli {

struct CopyOptions {
    bool recursive = false, verify = false, update = false;
    u32 jobs = 16;
};

class Copier {
public:
    Copier(client::Process& process, CopyOptions options);
    // False: something failed.
    Task<bool> run(std::vector<std::string> sources, std::string target);
    const std::vector<std::string>& failures() const { return failures_; }
    const Progress& progress() const { return progress_; }
    u64 skipped() const { return skipped_; }

private:
    struct RemoteDir { // where something goes in skua
        InodeId dir;
        std::string path;
    };
    // A source and where it goes: exactly there, no directory is appended any more.
    Task<> one(std::string source, std::string target);
    Task<> oneIn(std::string local, std::string target);
    Task<> oneFrom(std::string source, std::string target);
    Task<> fromStdin(std::string target);

    // --- local to skua ---------------------------------------------------------------------------------
    Task<> treeIn(std::string local, RemoteDir dir, u32 depth, bool lane);
    Task<> fileIn(std::string local, struct stat st, RemoteDir dir, std::string name, std::optional<Attributes> there,
                  bool permit);
    Task<> otherIn(std::string local, struct stat st, RemoteDir dir, std::string name, bool permit);
    Task<Result<>> fileInNow(std::string local, struct stat st, RemoteDir dir, std::string name, std::optional<Attributes> there);
    Task<Result<>> otherInNow(std::string local, struct stat st, RemoteDir dir, std::string name);
    // A symlink, FIFO or device in skua; one that is in the way is replaced.
    struct Other {
        u32 mode = 0;
        u64 device = 0;
        std::string target;
        client::Owner owner;
        Wall atime, mtime;
    };
    Task<Result<>> makeOther(Other other, RemoteDir dir, std::string name);
    // Makes it, or finds it there.
    Task<Result<InodeId>> makeRemoteDir(RemoteDir parent, std::string name, u32 mode, client::Owner owner);
    Task<Result<std::vector<client::Listed>>> listed(RemoteDir dir);

    // --- out of skua, and within ------------------------------------------------------------------------
    Task<> treeOut(RemoteDir from, std::string local, u32 depth, bool lane);
    Task<> treeWithin(RemoteDir from, RemoteDir to, u32 depth, bool lane);
    Task<> fileOut(Attributes a, std::string source, std::string local, bool permit);
    Task<> fileWithin(Attributes a, std::string source, RemoteDir to, std::string name, bool permit);
    Task<Result<>> fileOutNow(Attributes a, std::string source, std::string local);
    Task<Result<>> regularOut(Attributes a, std::string source, std::string local, struct stat there, bool exists);
    Task<Result<>> streamOut(Attributes a, std::string source, std::string local);
    Task<Result<>> fileWithinNow(Attributes a, std::string source, RemoteDir to, std::string name);
    Task<Result<>> checkRemote(InodeId inode, std::string path, std::array<u64, 2> sum);

    Task<> finishDirs();
    Task<> finishDir(std::size_t n);
    client::Owner ownerOf(u32 uid, u32 gid) const;
    void failed(const Error& error);
    void failed(const std::string& message);
    // Nothing will go better: the cluster is away, or full.
    bool hopeless() const { return hopeless_; }

    struct LateTimes { // of directories, set when all in them is done
        InodeId inode;
        std::string local;
        u32 mode = 0;
        Wall atime, mtime;
    };
    client::Process& process_;
    Client& client_;
    FileSystem fs_;
    const CopyOptions options_;
    Progress progress_;
    BufferPool buffers_;
    Semaphore jobs_, lanes_;
    TaskGroup tasks_;
    std::vector<LateTimes> late_;
    std::vector<std::string> failures_;
    u64 skipped_ = 0;
    bool hopeless_ = false, root_ = false;
};

Wall wallOf(const timespec& t);
timespec timeOf(Wall wall);

} // namespace skua::cli
