#include "core/store/kv.h"

#include "core/wire/key.h"

namespace skua::store {

Prefixed::Prefixed(const Reader& base, std::string prefix)
    : base_(base), prefix_(std::move(prefix)), end_(wire::afterPrefix(prefix_)) {}

std::optional<std::string> Prefixed::get(std::string_view key) const {
    std::string full = prefix_;
    full += key;
    return base_.get(full);
}

void Prefixed::scan(std::string_view from, std::string_view to, const Visit& visit) const {
    std::string start = prefix_, end = end_;
    start += from;
    if (!to.empty()) {
        end = prefix_;
        end += to;
    }
    base_.scan(start, end,
               [&](std::string_view key, std::string_view value) { return visit(key.substr(prefix_.size()), value); });
}

std::optional<std::string> Transaction::get(std::string_view key) const {
    if (auto at = writes_.find(key); at != writes_.end()) return at->second;
    return base_.get(key);
}

void Transaction::scan(std::string_view from, std::string_view to, const Visit& visit) const {
    scanOver(base_, writes_, from, to, visit);
}

void scanOver(const Reader& base, const Batch& writes, std::string_view from, std::string_view to, const Visit& visit) {
    auto mine = writes.lower_bound(from);
    const auto end = to.empty() ? writes.end() : writes.lower_bound(to);
    bool go_on = true;
    auto visitMine = [&] {
        if (mine->second) go_on = visit(mine->first, *mine->second);
        ++mine;
    };
    base.scan(from, to, [&](std::string_view key, std::string_view value) {
        while (go_on && mine != end && mine->first < key) visitMine();
        if (!go_on) return false;
        if (mine != end && mine->first == key) visitMine();
        else go_on = visit(key, value);
        return go_on;
    });
    while (go_on && mine != end) visitMine();
}

} // namespace skua::store
