// KvMemory: a Kv in memory, for the simulator and for tests. crash() forgets what was not flushed;
// refuse(true) makes writes and flushes fail, as a broken disk does; fill(true) as a full one. What was flushed may be
// spoilt: then a read that meets it fails, until something newer hides it.
//
// Thread-safety: none. A scan sees the rows as they are when it reaches them; do not write below it.
#pragma once

#include <map>
#include <set>
#include "core/store/kv.h"

namespace skua::store {

class KvMemory final : public Kv {
public:
    std::optional<std::string> get(std::string_view key) const override;
    void scan(std::string_view from, std::string_view to, const Visit& visit) const override;
    bool write(const Batch& batch) override;
    bool replace(std::string_view from, std::string_view to, const Batch& batch) override;
    bool flush() override;
    std::unique_ptr<Reader> snapshot() const override;

    void crash(); // back to the last flush
    void refuse(bool yes) { refuse_ = yes; }
    void fill(bool yes) { refuse_ = full_ = yes; } // the disk has no room
    bool full() const override { return full_; }
    // Of these keys what was flushed cannot be read any more.
    void spoil(std::set<std::string, std::less<>> keys) { spoilt_.merge(keys); }
    void unspoil() { spoilt_.clear(); }
    const std::set<std::string, std::less<>>& spoilt() const { return spoilt_; }
    std::size_t size() const { return rows_.size(); }
    const std::map<std::string, std::string, std::less<>>& rows() const { return rows_; }

private:
    std::map<std::string, std::string, std::less<>> rows_;
    Batch undo_;                                // what was there at the last flush, of keys written since
    std::set<std::string, std::less<>> spoilt_; // as flushed; what was written since is in memory, and fine
    bool spoiltNow(std::string_view key) const { return spoilt_.contains(key) && !undo_.contains(key); }
    bool refuse_ = false, full_ = false;
};

} // namespace skua::store
