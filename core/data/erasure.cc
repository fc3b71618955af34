#include "core/data/erasure.h"

#include <isa-l/erasure_code.h>
#include <bit>
#include <cstring>
#include "core/base/check.h"

namespace skua {
namespace {

constexpr std::size_t kTableBytes = 32;   // of ISA-L, per coefficient
constexpr std::size_t kDecodeTables = 64; // kept per scheme

u64 lowest(u64 mask, u32 count) {
    u64 out = 0;
    for (u32 i = 0; i < count; i++) {
        out |= mask & -mask;
        mask &= mask - 1;
    }
    return out;
}

} // namespace

const Erasure& Erasure::of(u32 data, u32 parity) {
    CHECK(data >= 1 && data <= kMaxData && parity <= kMaxParity);
    static std::array<std::array<std::once_flag, kMaxParity + 1>, kMaxData + 1> once;
    static std::array<std::array<std::unique_ptr<const Erasure>, kMaxParity + 1>, kMaxData + 1> made;
    auto& slot = made[data][parity];
    std::call_once(once[data][parity], [&] { slot = std::make_unique<const Erasure>(data, parity); });
    return *slot;
}

Erasure::Erasure(u32 data, u32 parity) : data_(data), parity_(parity) {
    CHECK(data >= 1 && data <= kMaxData && parity <= kMaxParity);
    if (data == 1 || parity == 0) return; // copies, or nothing to make
    matrix_.resize(static_cast<std::size_t>(cells()) * data);
    gf_gen_cauchy1_matrix(matrix_.data(), static_cast<int>(cells()), static_cast<int>(data));
    encodeTables_.resize(kTableBytes * data * parity);
    ec_init_tables(static_cast<int>(data), static_cast<int>(parity), matrix_.data() + static_cast<std::size_t>(data) * data,
                   encodeTables_.data());
}

void Erasure::encode(const u8* const* cells, u8* const* parity, std::size_t bytes) const {
    if (data_ == 1) {
        for (u32 i = 0; i < parity_; i++) std::memcpy(parity[i], cells[0], bytes);
        return;
    }
    if (parity_ == 0) return;
    // ISA-L takes pointers to non-const but does not write through the sources.
    ec_encode_data(static_cast<int>(bytes), static_cast<int>(data_), static_cast<int>(parity_),
                   const_cast<u8*>(encodeTables_.data()), const_cast<u8**>(cells), const_cast<u8**>(parity));
}

bool Erasure::decode(u64 have, u64 want, u8* const* cells, std::size_t bytes) const {
    const u64 all = (1ull << this->cells()) - 1;
    have &= all;
    want &= all & ~have;
    if (want == 0) return true;
    if (std::popcount(have) < static_cast<int>(data_)) return false;
    const u64 sources = lowest(have, data_); // data cells first: the fewest coefficients to invert
    std::array<u8*, kMaxData> from{};
    std::array<u8*, kMaxData + kMaxParity> to{};
    u32 n = 0, m = 0;
    for (u32 i = 0; i < this->cells(); i++) {
        if (sources >> i & 1) from[n++] = cells[i];
        if (want >> i & 1) to[m++] = cells[i];
    }
    if (data_ == 1) {
        for (u32 i = 0; i < m; i++) std::memcpy(to[i], from[0], bytes);
        return true;
    }
    const auto tables = tablesFor(sources, want);
    ec_encode_data(static_cast<int>(bytes), static_cast<int>(data_), static_cast<int>(m), const_cast<u8*>(tables->bytes.data()),
                   from.data(), to.data());
    return true;
}

std::shared_ptr<const Erasure::Tables> Erasure::tablesFor(u64 sources, u64 want) const {
    {
        const std::lock_guard hold(lock_);
        for (auto it = decodeTables_.begin(); it != decodeTables_.end(); ++it)
            if ((*it)->sources == sources && (*it)->want == want) {
                decodeTables_.splice(decodeTables_.begin(), decodeTables_, it);
                return decodeTables_.front();
            }
    }
    // The rows of the sources, inverted, make the data from the sources; a wanted cell is its own row times that.
    std::vector<u8> rows(static_cast<std::size_t>(data_) * data_), inverse(rows.size());
    u32 r = 0;
    for (u32 i = 0; i < cells(); i++)
        if (sources >> i & 1)
            std::memcpy(rows.data() + static_cast<std::size_t>(r++) * data_, matrix_.data() + static_cast<std::size_t>(i) * data_,
                        data_);
    CHECK(gf_invert_matrix(rows.data(), inverse.data(), static_cast<int>(data_)) == 0); // Cauchy: every choice of rows is regular
    std::vector<u8> coefficients;
    for (u32 i = 0; i < cells(); i++) {
        if (!(want >> i & 1)) continue;
        const u8* row = matrix_.data() + static_cast<std::size_t>(i) * data_;
        for (u32 c = 0; c < data_; c++) {
            u8 sum = 0;
            for (u32 k = 0; k < data_; k++) sum ^= gf_mul(row[k], inverse[static_cast<std::size_t>(k) * data_ + c]);
            coefficients.push_back(sum);
        }
    }
    auto made = std::make_shared<Tables>();
    made->sources = sources;
    made->want = want;
    made->bytes.resize(kTableBytes * coefficients.size());
    ec_init_tables(static_cast<int>(data_), std::popcount(want), coefficients.data(), made->bytes.data());
    const std::lock_guard hold(lock_);
    decodeTables_.push_front(made);
    if (decodeTables_.size() > kDecodeTables) decodeTables_.pop_back();
    return made;
}

} // namespace skua
