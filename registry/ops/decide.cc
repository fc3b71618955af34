// Decide: the leader's conclusions from silence and return. Checked again here: rows may have changed since.
#include <algorithm>
#include "registry/ops/apply.h"

namespace skua::registry {

bool mayDie(Meta& meta, const std::string& domain, u32 most, Age now) {
    std::erase_if(meta.dead_lately, [&](const DeadDomain& d) { return d.at.value + kHour < now.value; });
    const auto same = [&](const DeadDomain& d) { return d.domain == domain; };
    if (std::any_of(meta.dead_lately.begin(), meta.dead_lately.end(), same)) return true;
    if (meta.dead_lately.size() >= most) return false;
    meta.dead_lately.push_back({domain, now});
    return true;
}

template <>
Result<Decide::Reply> apply(Context& c, const Decide& op) {
    bool any = false;
    for (const DiskRow& wanted : op.disks) {
        auto row = Disks::get(c.rows, {wanted.id});
        if (!row || row->disk.incarnation != wanted.incarnation || row->disk.state == wanted.state) continue;
        if (row->disk.state == DiskState::kRemoved) continue;
        if (wanted.state == DiskState::kDead) {
            if (!mayDie(c.meta, domainOf(c.rows, row->disk), deadDomainsPerHour(c.rows, c.meta), c.now.age)) continue;
            row->by_silence = true;
            row->before = row->disk.state;
            row->disk.state = DiskState::kDead;
        } else {
            if (!row->by_silence) continue; // a human's word
            row->by_silence = false;
            row->disk.state = row->before;
        }
        Disks::put(c.rows, {wanted.id}, *row);
        any = true;
    }
    if (any) c.changed();
    return Done{};
}

} // namespace skua::registry
