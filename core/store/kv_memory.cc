#include "core/store/kv_memory.h"

namespace skua::store {

std::optional<std::string> KvMemory::get(std::string_view key) const {
    auto at = rows_.find(key);
    if (at == rows_.end()) return std::nullopt;
    if (spoiltNow(key)) return fail(), std::nullopt;
    return at->second;
}

void KvMemory::scan(std::string_view from, std::string_view to, const Visit& visit) const {
    for (auto at = rows_.lower_bound(from); at != rows_.end() && (to.empty() || at->first < to); ++at) {
        if (spoiltNow(at->first)) return fail();
        if (!visit(at->first, at->second)) return;
    }
}

bool KvMemory::write(const Batch& batch) {
    if (refuse_) return false;
    for (const auto& [key, value] : batch) {
        auto at = rows_.find(key);
        undo_.try_emplace(key, at == rows_.end() ? std::nullopt : std::optional(at->second));
        if (value) rows_.insert_or_assign(key, *value);
        else if (at != rows_.end()) rows_.erase(at);
    }
    return true;
}

bool KvMemory::replace(std::string_view from, std::string_view to, const Batch& batch) {
    if (refuse_) return false;
    Batch gone;
    for (auto at = rows_.lower_bound(from); at != rows_.end() && at->first < to; ++at) gone.emplace(at->first, std::nullopt);
    return write(gone) && write(batch);
}

bool KvMemory::flush() {
    if (refuse_) return false;
    for (const auto& [key, _] : undo_) spoilt_.erase(key);
    undo_.clear();
    return true;
}

void KvMemory::crash() {
    for (const auto& [key, value] : undo_) {
        if (value) rows_.insert_or_assign(key, *value);
        else rows_.erase(key);
    }
    undo_.clear();
}

std::unique_ptr<Reader> KvMemory::snapshot() const {
    auto copy = std::make_unique<KvMemory>();
    copy->rows_ = rows_;
    for (const std::string& key : spoilt_)
        if (spoiltNow(key)) copy->spoilt_.insert(key);
    return copy;
}

} // namespace skua::store
