// Decide: the leader's conclusions from silence and return. Checked again here: rows may have changed since.
#include <algorithm>
#include "registry/ops/apply.h"

namespace skua::registry {

template <> Result<Decide::Reply> apply(Context& c, const Decide& op) {
    std::erase_if(c.meta.dead_lately, [&](const DeadDomain& d) { return d.at.value + kHour < c.now.age.value; });
    bool any = false;
    for (const DiskRow& wanted : op.disks) {
        auto row = Disks::get(c.rows, {wanted.id});
        if (!row || row->disk.incarnation != wanted.incarnation || row->disk.state == wanted.state) continue;
        if (row->disk.state == DiskState::kRemoved) continue;
        if (wanted.state == DiskState::kDead) {
            const std::string domain = domainOf(c.rows, row->disk);
            const auto same = [&](const DeadDomain& d) { return d.domain == domain; };
            if (std::none_of(c.meta.dead_lately.begin(), c.meta.dead_lately.end(), same)) {
                if (c.meta.dead_lately.size() >= deadDomainsPerHour(c.rows, c.meta)) continue;  // waits for a human
                c.meta.dead_lately.push_back({domain, c.now.age});
            }
        }
        row->disk.state = wanted.state;
        Disks::put(c.rows, {wanted.id}, *row);
        any = true;
    }
    if (any) c.changed();
    return Done{};
}

}  // namespace skua::registry
