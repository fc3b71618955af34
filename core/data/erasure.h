// Erasure: Reed-Solomon over GF(2^8) with a Cauchy matrix, by ISA-L (ec_encode_data). Any `data` of the
// data + parity cells give all of them. With one data cell the parity cells are copies of it.
//
// One object per scheme, made once and kept (of()). Thread-safe. Cells are `bytes` long each, best aligned
// to 32 or more.
#pragma once

#include <array>
#include <list>
#include <memory>
#include <mutex>
#include <vector>
#include "core/data/rows.h"

namespace skua {

class Erasure {
public:
    // data 1..kMaxData, parity 0..kMaxParity.
    static const Erasure& of(u32 data, u32 parity);

    u32 data() const { return data_; }
    u32 parity() const { return parity_; }
    u32 cells() const { return data_ + parity_; }

    // cells[0 .. data) are read, parity[0 .. parity()) are written.
    void encode(const u8* const* cells, u8* const* parity, std::size_t bytes) const;

    // Bit i of a mask is cell i (data cells first). Reads `data()` of the cells in `have`, writes those in
    // `want` (that are not in `have`); pointers of other cells may be null. False: `have` are too few.
    bool decode(u64 have, u64 want, u8* const* cells, std::size_t bytes) const;

    Erasure(u32 data, u32 parity);

private:
    struct Tables {
        u64 sources = 0, want = 0;
        std::vector<u8> bytes;
    };
    std::shared_ptr<const Tables> tablesFor(u64 sources, u64 want) const;

    u32 data_, parity_;
    std::vector<u8> matrix_; // (data + parity) x data
    std::vector<u8> encodeTables_;
    mutable std::mutex lock_;
    mutable std::list<std::shared_ptr<const Tables>> decodeTables_; // most recently used first, bounded
};

} // namespace skua
