// How a logged request changes the registry: one file each in ops/. Pure; the same log gives the same rows.
// On an error nothing is kept. Whoever changes the map calls changed().
#pragma once

#include "core/base/result.h"
#include "raft/state_machine.h"
#include "registry/schema.h"

namespace skua::registry {

struct Context {
    store::Transaction& rows;
    raft::Time now;
    Meta meta; // written back after the operation

    void changed() { meta.version.number++; }
};

template <class Op>
Result<typename Op::Reply> apply(Context& c, const Op& op);

// --- what several operations and the leader need ----------------------------------------------------------

inline constexpr u64 kUpWithin = 5 * kSecond;
constexpr u64 deadAfter(bool local) { return local ? 30 * kSecond : 10 * kMinute; }
// How many failure domains may be declared dead by themselves within an hour.
u32 deadDomainsPerHour(const store::Reader& rows, const Meta& meta);
// May a disk of this domain be declared dead? Notes the domain if so; past `most` in an hour it waits for a human.
bool mayDie(Meta& meta, const std::string& domain, u32 most, Age now);
Meta metaOf(const store::Reader& rows);
std::string domainOf(const store::Reader& rows, const DiskRow& disk);
ClusterMap mapOf(const store::Reader& rows, const Meta& meta);

} // namespace skua::registry
