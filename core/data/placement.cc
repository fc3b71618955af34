#include "core/data/placement.h"

#include <algorithm>
#include <functional>
#include <set>

namespace skua {
namespace {

struct Domain {
    std::vector<std::size_t> services; // indices of candidates
    u64 free = 0;
};

// Weights are MiB, at least one, so that sums of a million disks stay far from overflow.
u64 weightOf(const Candidate& c) { return (c.free >> 20) + 1; }

template <class Weight>
std::size_t draw(std::size_t count, u64 total, Random& random, Weight weight) {
    u64 at = random.below(total);
    for (std::size_t i = 0; i + 1 < count; i++) {
        if (at < weight(i)) return i;
        at -= weight(i);
    }
    return count - 1;
}

// Clearly lower: by a fifth. Else free space alone decides. Never seen is no reason to prefer.
bool clearlyFaster(const Candidate& a, const Candidate& b) {
    return a.latency_ns != 0 && b.latency_ns != 0 && a.latency_ns < b.latency_ns - b.latency_ns / 5;
}

// By domain name, so that the outcome does not hang on the candidates' order of arrival.
std::vector<Domain> domainsOf(std::span<const Candidate> all, const PlacementWish& wish, const std::set<std::string_view>& taken,
                              bool any_class) {
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < all.size(); i++) {
        const Candidate& c = all[i];
        if (!c.writable || c.free < wish.bytes || taken.contains(c.domain)) continue;
        if (!any_class && !wish.disk_class.empty() && c.disk_class != wish.disk_class) continue;
        if (std::ranges::find(wish.avoid, c.service) != wish.avoid.end()) continue;
        order.push_back(i);
    }
    std::ranges::sort(order, [&](std::size_t a, std::size_t b) {
        return std::tie(all[a].domain, all[a].service) < std::tie(all[b].domain, all[b].service);
    });
    std::vector<Domain> out;
    for (const std::size_t i : order) {
        if (out.empty() || all[out.back().services.front()].domain != all[i].domain) out.emplace_back();
        out.back().services.push_back(i);
        out.back().free += weightOf(all[i]);
    }
    return out;
}

} // namespace

std::vector<std::size_t> place(std::span<const Candidate> candidates, const PlacementWish& wish, Random& random) {
    std::set<std::string_view> taken;
    for (const Candidate& c : candidates)
        if (std::ranges::find(wish.taken, c.service) != wish.taken.end()) taken.insert(c.domain);

    std::vector<std::size_t> out;
    for (const bool any_class : {false, true}) {
        std::vector<Domain> domains = domainsOf(candidates, wish, taken, any_class);
        u64 total = 0;
        for (const Domain& d : domains) total += d.free;
        while (out.size() < wish.count && !domains.empty()) {
            auto drawOne = [&](std::size_t& domain) {
                domain = draw(domains.size(), total, random, [&](std::size_t i) { return domains[i].free; });
                const Domain& d = domains[domain];
                return d.services[draw(d.services.size(), d.free, random,
                                       [&](std::size_t i) { return weightOf(candidates[d.services[i]]); })];
            };
            std::size_t domain = 0, other_domain = 0;
            std::size_t chosen = drawOne(domain);
            const std::size_t other = drawOne(other_domain);
            if (clearlyFaster(candidates[other], candidates[chosen])) {
                chosen = other;
                domain = other_domain;
            }
            out.push_back(chosen);
            taken.insert(candidates[chosen].domain);
            total -= domains[domain].free;
            domains.erase(domains.begin() + static_cast<std::ptrdiff_t>(domain));
        }
        if (out.size() == wish.count || wish.disk_class.empty()) break;
    }
    return out;
}

u64 roomPerBlock(std::vector<u64> free, u32 width, u32 least) {
    if (width == 0 || least == 0) return 0;
    std::ranges::sort(free, std::greater<>());
    const u64 narrow = free.size() < least ? 0 : free[least - 1];
    // The largest x with sum of min(free, x) >= width * x: the k largest give x each, and the rest all they have.
    u64 rest = 0, wide = 0;
    for (const u64 f : free) rest += f;
    for (u32 k = 0; k < width && k < free.size(); k++) {
        const u64 x = rest / (width - k);
        if (free[k] <= x) {
            wide = x;
            break;
        }
        rest -= free[k];
    }
    return std::max(wide, narrow);
}

u32 writableDomains(std::span<const Candidate> candidates) {
    std::set<std::string_view> domains;
    for (const Candidate& c : candidates)
        if (c.writable) domains.insert(c.domain);
    return static_cast<u32>(domains.size());
}

} // namespace skua
