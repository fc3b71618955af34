// RowBuffer: a Kv in front of another one that gathers what a turn writes and hands it down as one batch, and remembers
// rows that were read or written lately. Rows that every entry changes (applied index, a client's row, a directory)
// go down once for a turn, and are read from here.
//
//   write() ──▶ gathered ── settle() ──▶ below        get(): gathered, then lately seen, then below
//
// Whole batches only go down, in order: what is below is always a prefix of what was written, as of a Kv itself. Who owns it
// settles at the end of a turn, when answers have left (what is gathered is in the replicated log and may be lost in a
// crash), and before below is flushed. Everything that writes goes through here. Thread-safety: none.
#pragma once

#include <xxhash.h>
#include <memory>
#include <string>
#include <unordered_map>
#include "core/store/kv.h"

namespace skua::store {

class RowBuffer final : public Kv {
public:
    explicit RowBuffer(Kv& below) : below_(below) {}

    std::optional<std::string> get(std::string_view key) const override;
    void scan(std::string_view from, std::string_view to, const Visit& visit) const override;
    // False: below is full, or refused what was gathered before.
    bool write(const Batch& batch) override;
    bool replace(std::string_view from, std::string_view to, const Batch& batch) override;
    bool full() const override { return below_.full(); }
    bool refusedForRoom() const override { return refusedForRoom_; }
    // False: below refused. It stays gathered, is seen as before, and may be settled later.
    bool settle();
    bool settled() const { return gathered_.empty(); }
    bool flush() override { return settle() && below_.flush(); }
    std::unique_ptr<Reader> snapshot() const override;

private:
    static constexpr std::size_t kMostGathered = 4096;      // rows
    static constexpr std::size_t kMostRemembered = 8192;    // rows of one generation
    static constexpr std::size_t kLargestRemembered = 1024; // bytes of a row

    struct Hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view s) const { return XXH3_64bits(s.data(), s.size()); }
    };
    using Lately = std::unordered_map<std::string, std::optional<std::string>, Hash, std::equal_to<>>;
    void remember(std::string_view key, const std::optional<std::string>& value) const;

    Kv& below_;
    Batch gathered_;
    bool refusedForRoom_ = false;
    // Two generations: when the younger is full it becomes the older, which is forgotten.
    mutable Lately lately_, before_;
};

} // namespace skua::store
