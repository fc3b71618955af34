// Content: the bytes of one regular file as programs on this mount see them: what is committed (the base),
// and over it what was written here and is not committed yet (the overlay).
//
//   fresh      a name that only this mount sees: no base                              -> CommitFile
//   whole      truncated to nothing: the base does not matter any more                -> SetContent
//   otherwise  dirty bytes over the base                                              -> EditContent
//
// Reading never waits for writers. Who changes it (write, truncate, zero) or commits it holds the node's
// lock; changes happen at once, without waiting. A reader keeps the base it has until the next open.
#pragma once

#include <memory>
#include <optional>
#include "client/edit.h"
#include "client/reader.h"
#include "fuse/memory.h"
#include "fuse/stream.h"

namespace skua::fuse {

class Content {
public:
    Content(client::Client& client, Memory& memory, InodeId inode, bool fresh);
    ~Content();

    u64 size() const { return size_; }
    bool dirty() const { return dirty_; }
    bool fresh() const { return fresh_; }
    bool noBase() const { return fresh_ || whole_ || (known_ && committed_.size == 0); }
    bool whole() const { return whole_; }
    u64 stored() const; // bytes, about
    std::optional<Wall> mtime() const { return mtime_; }
    void setMtime(Wall mtime) { mtime_ = mtime; }
    // The attributes of the base, once known.
    const Attributes* committed() const { return known_ ? &committed_ : nullptr; }

    // --- reading -----------------------------------------------------------------------------------------
    // What was just heard of the file. Ignored while there are changes.
    void opened(shard::Open::Reply reply);
    // The base is known afterwards.
    Task<Result<>> ensureBase();
    // Together `length`, or up to the end. `gone`: nobody wants them any more (client/reader.h); outlives the call.
    Task<Result<std::vector<Buffer>>> read(u64 offset, u64 length, const client::FileReader::Gone* gone = nullptr);
    Task<Result<u64>> seek(u64 offset, bool data);
    void idle(); // lets go of what was read ahead

    // --- changing: with the node's lock, the base known (or not needed) ------------------------------------
    Result<> write(u64 offset, std::span<const u8> bytes, bool append, Wall now);
    void truncate(u64 size, Wall now);
    void zero(u64 offset, u64 length, Wall now);
    // Nobody wants the changes.
    void discard();

    // --- committing: with the node's lock --------------------------------------------------------------------
    void follow(InodeId inode, bool whole); // a fresh one turned out to be laid over this inode
    // Bytes that were let go of are here again: before edit(), or where they go into one message.
    Task<Result<>> restore();
    client::Edit edit(Policy policy) const;
    void committed(const Attributes& attributes); // all of it
    // Where its spans go; made when there is a policy and an id.
    std::shared_ptr<Stream>& stream() { return stream_; }
    const Overlay& overlay() const { return overlay_; }
    // Lets go of bytes that are sent, about so many.
    Task<> letGo(u64 bytes);
    void resetStream() {
        if (!stream_) return;
        stream_->stop();
        spent_.push_back(stream_->id());
        stream_.reset();
    }
    // Ids of the streams that were begun and not committed: what they wrote is in nobody's file.
    std::vector<client::NewId> spent() { return std::move(spent_); }

private:
    Task<Result<std::vector<Buffer>>> readBase(u64 offset, u64 length, const client::FileReader::Gone* gone);
    void changed(Wall now) {
        dirty_ = true;
        mtime_ = now;
    }

    client::Client& client_;
    Memory& memory_;
    InodeId inode_;
    Overlay overlay_;
    std::shared_ptr<Stream> stream_;
    std::vector<client::NewId> spent_;
    std::shared_ptr<client::FileReader> base_;
    Attributes committed_;
    bool known_ = false; // committed_ is
    bool fresh_, whole_ = false, dirty_ = false, sized_ = false;
    u64 size_ = 0, kept_ = 0; // bytes of the base that still count
    std::optional<u64> cut_, appendFrom_;
    std::optional<Wall> mtime_;
};

} // namespace skua::fuse
