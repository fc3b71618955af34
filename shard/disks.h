// Disks: what the registry's map says of them, for admit() alone: apply() never sees the map, since replicas have
// different ones. One for all shards of a process, whose thread it belongs to; empty until the first map is there.
#pragma once

#include <unordered_map>
#include "registry/messages.h"

namespace skua::shard {

class Disks {
public:
    void install(const registry::ClusterMap& map) {
        incarnations_.clear();
        for (const registry::DiskRow& disk : map.disks) incarnations_[disk.id.value] = disk.incarnation;
    }
    // Of the disk now; as `told` where it is not known, or known from an older map than `told` is from.
    Incarnation current(BlockServiceId disk, Incarnation told) const {
        const auto known = incarnations_.find(disk.value);
        return known == incarnations_.end() || known->second < told ? told : known->second;
    }

private:
    std::unordered_map<u32, Incarnation> incarnations_; // never iterated
};

} // namespace skua::shard
