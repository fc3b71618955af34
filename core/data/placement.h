// Placement: which block services take the blocks of a span. Pure.
//
// Failure domains are drawn at random with a weight of their free space, without repeating one; within a
// domain a service the same way. Each draw is made twice and the one whose latency was clearly lower wins
// ("power of two choices"), so that a slow disk gets less without being named broken.
#pragma once

#include <span>
#include <string>
#include <vector>
#include "core/base/random.h"
#include "core/data/rows.h"

namespace skua {

struct Candidate {
    BlockServiceId service;
    std::string domain;    // failure domain
    u64 free = 0;          // bytes
    bool writable = false; // up, not read-only, not draining
    u64 latency_ns = 0;    // as the caller has seen it; 0: never
    std::string disk_class;
};

struct PlacementWish {
    u32 count = 0;
    u64 bytes = 0;                     // per block: services with less free are no candidates
    std::string disk_class;            // empty: any; if too few have it, others are taken too
    std::vector<BlockServiceId> taken; // hold other blocks of the span: their domains are taken
    std::vector<BlockServiceId> avoid; // failed or slow just now
};

// Indices into `candidates`, all in distinct domains that are not taken; fewer than wished where there are
// no more. Deterministic by `random`.
std::vector<std::size_t> place(std::span<const Candidate> candidates, const PlacementWish& wish, Random& random);

// How many bytes each block of spans can have in all, until too few domains have room: `width` blocks of each span in
// distinct domains, or `least` of them where no more can be had. `free`: of each domain. A lower bound.
u64 roomPerBlock(std::vector<u64> free, u32 width, u32 least);

// How many failure domains have a writable service.
u32 writableDomains(std::span<const Candidate> candidates);

} // namespace skua
