// FileReader: the bytes of one content, as it was opened (design: blocks.md, "Reading").
//
//   CO_TRY(auto reply, co_await client.metadata.open(inode));
//   FileReader reader(client, std::move(reply));
//   CO_TRY(u64 n, co_await reader.read(offset, into));         short only at the end of the file
//
// Every page is checked against its sum: wrong bytes never come back, but are decoded around, reported to
// the shard, and, if too few blocks are left, answered Corrupt. A service that is known to be down is not
// asked; one that is silent is decoded around after at most 0.7 s and then left alone for a while.
// Sequential readers get read-ahead, doubling up to ClientOptions::read_ahead_most. Stale: the content was
// edited and spans not yet known are gone; open again. Several reads may be under way at once; none when
// it is destroyed. Where too many disks are away it fails with Io after ClientOptions::patience; with `hard` only when
// they are lost (the map says so), or when `gone` says that nobody wants the bytes any more (Unavailable).
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <span>
#include "client/client.h"
#include "client/row.h"

namespace skua::client {

class FileReader {
public:
    FileReader(Client& client, shard::Open::Reply opened);
    ~FileReader();
    FileReader(const FileReader&) = delete;

    const Attributes& attributes() const { return attributes_; }
    u64 size() const { return attributes_.size; }
    ContentId content() const { return attributes_.content; }
    Generation generation() const { return attributes_.generation; }

    Task<Result<u64>> read(u64 offset, std::span<u8> into);
    // The same without copying: slices of checked buffers, in order; together `length`, or up to the end.
    using Gone = std::function<bool()>;
    Task<Result<std::vector<Buffer>>> pieces(u64 offset, u64 length, const Gone* gone = nullptr);

    // The next byte at or behind `offset` that is data / in a hole; NoAttribute (ENXIO): none.
    Task<Result<u64>> seekData(u64 offset);
    Task<Result<u64>> seekHole(u64 offset);
    // The span that has this byte; Stale as above. Valid until the next await.
    Task<Result<const SpanRecord*>> spanAt(u64 offset);
    const std::optional<Bytes>& inlineBytes() const { return inline_; }
    // Lets go of what was read ahead and not yet asked for: for files that are open and idle.
    void release() { chunks_.clear(); }
    void setReadAhead(u64 bytes) { readAheadMost_ = bytes; } // 0: none

private:
    struct Chunk; // some stripes of one span, being read or read
    Task<Result<std::vector<Buffer>>> some(u64 offset, u64 length, u64 ahead_to, const Gone* gone);
    Task<Result<>> loadSpans(u64 from, bool again);
    std::shared_ptr<Chunk> chunkAt(const SpanRecord& span, u64 offset);
    void startChunk(std::shared_ptr<Chunk> chunk, Monotonic until);
    static Task<> runChunk(Client& client, std::shared_ptr<Chunk> chunk);
    void readAhead(u64 from, u64 to);
    void forget(u64 before);

    Client& client_;
    Attributes attributes_;
    std::optional<Bytes> inline_;
    Buffer inlineBuffer_;
    std::map<u64, SpanRecord> spans_; // by offset
    ReadKey key_{};
    std::list<std::shared_ptr<Chunk>> chunks_;
    u64 next_ = 0; // where a sequential reader goes on
    u64 window_ = 0, readAheadMost_ = 0;
    u32 streak_ = 0; // sequential reads in a row
};

} // namespace skua::client
