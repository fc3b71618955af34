#include "core/store/row_buffer.h"

namespace skua::store {

std::optional<std::string> RowBuffer::get(std::string_view key) const {
    if (auto at = gathered_.find(key); at != gathered_.end()) return at->second;
    if (auto at = lately_.find(key); at != lately_.end()) return at->second;
    if (auto at = before_.find(key); at != before_.end()) {
        auto value = std::move(at->second);
        before_.erase(at);
        remember(key, value);
        return value;
    }
    auto value = below_.get(key);
    if (below_.failed()) {
        below_.forgive();
        fail();
        return std::nullopt;
    }
    remember(key, value);
    return value;
}

void RowBuffer::remember(std::string_view key, const std::optional<std::string>& value) const {
    if (value && value->size() > kLargestRemembered) return;
    if (lately_.size() >= kMostRemembered) {
        before_ = std::move(lately_);
        lately_.clear();
    }
    lately_.insert_or_assign(std::string(key), value);
}

void RowBuffer::scan(std::string_view from, std::string_view to, const Visit& visit) const {
    scanOver(below_, gathered_, from, to, visit);
    if (!below_.failed()) return;
    below_.forgive();
    fail();
}

bool RowBuffer::write(const Batch& batch) {
    refusedForRoom_ = below_.full();
    if (refusedForRoom_ || (gathered_.size() >= kMostGathered && !settle())) return false;
    for (const auto& [key, value] : batch) gathered_.insert_or_assign(key, value);
    return true;
}

bool RowBuffer::replace(std::string_view from, std::string_view to, const Batch& batch) {
    if (!settle()) return false;
    if (!below_.replace(from, to, batch)) return refusedForRoom_ = below_.refusedForRoom(), false;
    lately_.clear();
    before_.clear();
    return true;
}

bool RowBuffer::settle() {
    if (gathered_.empty()) return true;
    if (!below_.write(gathered_)) return refusedForRoom_ = below_.refusedForRoom(), false;
    for (const auto& [key, value] : gathered_) {
        if (value && value->size() > kLargestRemembered) { // what is remembered of it is old
            lately_.erase(key);
            before_.erase(key);
        } else {
            remember(key, value);
        }
    }
    gathered_.clear();
    return true;
}

// What is below, and over it what has not gone down.
class GatheredSnapshot final : public Reader {
public:
    GatheredSnapshot(std::unique_ptr<Reader> below, Batch gathered) : below_(std::move(below)), gathered_(std::move(gathered)) {}
    std::optional<std::string> get(std::string_view key) const override {
        if (auto at = gathered_.find(key); at != gathered_.end()) return at->second;
        return below_->get(key);
    }
    void scan(std::string_view from, std::string_view to, const Visit& visit) const override {
        scanOver(*below_, gathered_, from, to, visit);
    }
    bool failed() const override { return below_->failed(); }
    void fail() const override { below_->fail(); }

private:
    std::unique_ptr<Reader> below_;
    Batch gathered_;
};

std::unique_ptr<Reader> RowBuffer::snapshot() const { return std::make_unique<GatheredSnapshot>(below_.snapshot(), gathered_); }

} // namespace skua::store
