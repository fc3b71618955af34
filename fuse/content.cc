#include "fuse/content.h"

#include <algorithm>
#include <cstring>

namespace skua::fuse {

namespace {
constexpr int kReopen = 8; // edits by others that one read survives

const Buffer& zeros() {
    static const Buffer all = [] {
        Buffer b = Buffer::allocate(256u << 10);
        std::memset(b.data(), 0, b.size());
        return b;
    }();
    return all;
}

void addZeros(u64 length, std::vector<Buffer>& out) {
    while (length > 0) {
        const u64 n = std::min<u64>(length, zeros().size());
        out.push_back(zeros().slice(0, n));
        length -= n;
    }
}
} // namespace

Content::Content(client::Client& client, Memory& memory, InodeId inode, bool fresh)
    : client_(client),
      memory_(memory),
      inode_(inode),
      overlay_([&memory](std::size_t size) { return memory.allocate(size); }),
      fresh_(fresh) {}
Content::~Content() = default;

u64 Content::stored() const {
    if (!dirty_) return committed_.stored;
    return noBase() ? overlay_.bytes() : std::max(committed_.stored, overlay_.bytes());
}

// --- reading ------------------------------------------------------------------------------------------------

void Content::opened(shard::Open::Reply reply) {
    if (dirty_ || fresh_) return;
    committed_ = reply.attributes;
    known_ = true;
    size_ = kept_ = committed_.size;
    const bool same = base_ && base_->content() == committed_.content && base_->generation() == committed_.generation;
    if (!same) base_ = std::make_shared<client::FileReader>(client_, std::move(reply));
}

Task<Result<>> Content::ensureBase() {
    if (base_ || noBase()) co_return Ok{};
    CO_TRY(auto reply, co_await client_.metadata.open(inode_));
    if (base_ || noBase()) co_return Ok{};
    if (!dirty_) {
        opened(std::move(reply));
        co_return Ok{};
    }
    // There are changes already: what they were made over is what is kept.
    if (!known_) {
        kept_ = std::min(reply.attributes.size, cut_.value_or(reply.attributes.size));
        if (!sized_) size_ = std::max(size_, reply.attributes.size);
    } else {
        kept_ = std::min(kept_, reply.attributes.size);
    }
    committed_ = reply.attributes;
    known_ = true;
    base_ = std::make_shared<client::FileReader>(client_, std::move(reply));
    co_return Ok{};
}

Task<Result<std::vector<Buffer>>> Content::readBase(u64 offset, u64 length, const client::FileReader::Gone* gone) {
    for (int attempt = 0;; attempt++) {
        CO_TRY_OK(co_await ensureBase());
        const std::shared_ptr<client::FileReader> base = base_;
        std::vector<Buffer> out;
        if (!base) { // it was truncated meanwhile
            addZeros(length, out);
            co_return out;
        }
        const u64 have = std::min(kept_, base->size());
        const u64 n = offset < have ? std::min(length, have - offset) : 0;
        if (n > 0) {
            auto got = co_await base->pieces(offset, n, gone);
            if (got.code() == Code::Stale && attempt < kReopen) {
                if (base_ == base) base_.reset();
                continue;
            }
            if (!got) co_return got.error();
            out = std::move(*got);
        }
        u64 sum = 0;
        for (const Buffer& b : out) sum += b.size();
        addZeros(length - sum, out);
        co_return out;
    }
}

Task<Result<std::vector<Buffer>>> Content::read(u64 offset, u64 length, const client::FileReader::Gone* gone) {
    if (!dirty_ || !noBase()) { CO_TRY_OK(co_await ensureBase()); }
    std::vector<Buffer> out;
    if (offset >= size_) co_return out;
    length = std::min(length, size_ - offset);
    if (overlay_.empty() && !noBase()) {
        auto got = co_await readBase(offset, length, gone);
        co_return got;
    }
    // What is ours is taken now; what is not is read meanwhile.
    struct Piece {
        u64 from, to;
        Buffer bytes;
        std::shared_ptr<Source> source;
        bool base;
    };
    std::vector<Piece> pieces;
    const bool no_base = noBase();
    const u64 kept = kept_;
    overlay_.each(offset, offset + length, [&](u64 from, u64 to, const Overlay::Extent* e, u64 in_extent) {
        if (e) pieces.push_back(Piece{from, to, e->held() ? e->bytes.slice(in_extent, to - from) : Buffer(), e->source, false});
        else pieces.push_back(Piece{from, to, Buffer(), nullptr, !no_base && from < kept});
    });
    for (Piece& p : pieces) {
        if (!p.bytes.empty()) {
            out.push_back(std::move(p.bytes));
        } else if (p.source) {
            CO_TRY(auto got, co_await p.source->read(p.from, p.to - p.from));
            for (Buffer& b : got) out.push_back(std::move(b));
        } else if (p.base) {
            CO_TRY(auto got, co_await readBase(p.from, p.to - p.from, gone));
            for (Buffer& b : got) out.push_back(std::move(b));
        } else {
            addZeros(p.to - p.from, out);
        }
    }
    co_return out;
}

Task<Result<u64>> Content::seek(u64 offset, bool data) {
    if (!dirty_) { CO_TRY_OK(co_await ensureBase()); }
    if (offset >= size_) co_return Error(Code::NoAttribute, "behind the end");
    if (!dirty_ && base_) {
        const std::shared_ptr<client::FileReader> base = base_;
        if (data) {
            auto at = co_await base->seekData(offset);
            co_return at;
        }
        auto at = co_await base->seekHole(offset);
        co_return at;
    }
    if (!noBase()) co_return data ? offset : size_;
    std::optional<u64> found;
    overlay_.each(offset, size_, [&](u64 from, u64, const Overlay::Extent* e, u64) {
        const bool is_data = e && !e->zero();
        if (!found && is_data == data) found = from;
    });
    if (!found && data) co_return Error(Code::NoAttribute, "no data behind it");
    co_return found.value_or(size_);
}

void Content::idle() {
    if (base_) base_->release();
}

// --- changing -----------------------------------------------------------------------------------------------

Result<> Content::write(u64 offset, std::span<const u8> bytes, bool append, Wall now) {
    if (bytes.empty()) return Ok{};
    if (offset > kMaxFileSize || bytes.size() > kMaxFileSize - offset)
        return Error(Code::TooLarge, "a file has at most 2^60 bytes");
    const u64 end = offset + bytes.size();
    if (append && offset == size_ && !sized_) {
        if (!appendFrom_ && !whole_) appendFrom_ = offset; // a fresh one may turn out to be laid over another
    } else if (appendFrom_ && end > *appendFrom_) {
        appendFrom_.reset(); // the tail has a place of its own now
    }
    if (stream_) stream_->touched(offset, end);
    changed(now);
    auto written = overlay_.write(offset, bytes);
    // What was written before memory ran out counts only if the program hears of it; it does not.
    if (!written) return written;
    size_ = std::max(size_, end);
    return Ok{};
}

void Content::truncate(u64 size, Wall now) {
    changed(now);
    appendFrom_.reset();
    if (size == 0 && !fresh_) {
        whole_ = true;
        base_.reset();
        kept_ = 0;
        cut_.reset();
    }
    if (size < size_) {
        if (stream_) stream_->touched(size, size_);
        overlay_.truncate(size);
        kept_ = std::min(kept_, size);
        cut_ = std::min(cut_.value_or(size), size);
    }
    size_ = size;
    sized_ = !whole_ && !fresh_;
}

void Content::zero(u64 offset, u64 length, Wall now) {
    if (offset >= size_) return;
    length = std::min(length, size_ - offset);
    changed(now);
    if (stream_) stream_->touched(offset, offset + length);
    if (appendFrom_ && offset + length > *appendFrom_) appendFrom_.reset();
    if (offset + length == size_ && !fresh_ && !whole_) sized_ = true; // zeros alone do not say how far it reaches
    overlay_.zero(offset, length);
}

void Content::discard() {
    resetStream();
    overlay_.clear();
    dirty_ = sized_ = whole_ = false;
    cut_.reset();
    appendFrom_.reset();
    mtime_.reset();
    base_.reset();
    known_ = false;
}

// --- committing ---------------------------------------------------------------------------------------------

void Content::follow(InodeId inode, bool whole) {
    inode_ = inode;
    fresh_ = false;
    if (whole) appendFrom_.reset();
    whole_ = whole;
    known_ = false;
    kept_ = 0;
    sized_ = false;
    resetStream();
}

Task<Result<>> Content::restore() {
    while (overlay_.anySent()) {
        u64 offset = 0, length = 0;
        std::shared_ptr<Source> source;
        for (const auto& [at, e] : overlay_.extents())
            if (e.sent() && !source) {
                offset = at;
                length = e.length;
                source = e.source;
            }
        CO_TRY(Buffer bytes, memory_.allocate(length));
        CO_TRY(auto read, co_await source->read(offset, length));
        u64 done = 0;
        for (const Buffer& b : read) {
            std::memcpy(bytes.data() + done, b.data(), b.size());
            done += b.size();
        }
        CHECK(done == length);
        overlay_.restore(offset, std::move(bytes));
    }
    co_return Ok{};
}

Task<> Content::letGo(u64 bytes) {
    const std::shared_ptr<Stream> stream = stream_;
    if (stream) (void)co_await stream->letGo(overlay_, bytes);
    co_return Ok{};
}

client::Edit Content::edit(Policy policy) const {
    client::Edit edit;
    edit.inode = inode_;
    edit.policy = std::move(policy);
    edit.mtime = mtime_;
    if (cut_ && !whole_) edit.cut = cut_;
    if (whole_) edit.cut = 0;
    if (sized_ || whole_) edit.size = size_;
    for (const auto& [offset, e] : overlay_.extents()) {
        if (e.zero()) {
            edit.holes.push_back({offset, Buffer()});
            edit.hole_lengths.push_back(e.length);
            continue;
        }
        const u64 end = offset + e.length;
        const u64 place = appendFrom_ ? std::clamp(*appendFrom_, offset, end) : end;
        if (place > offset) edit.pieces.push_back({offset, e.bytes.slice(0, place - offset)});
        if (end > place) edit.append.push_back(e.bytes.slice(place - offset, end - place));
    }
    return edit;
}

void Content::committed(const Attributes& attributes) {
    discard();
    spent_.clear();
    fresh_ = false;
    committed_ = attributes;
    known_ = true;
    size_ = kept_ = attributes.size;
}

} // namespace skua::fuse
