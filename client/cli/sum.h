// Sum: tells whether two streams of bytes are the same (XXH3, 128 bits), for `cp --verify`.
#pragma once

#include <array>
#include <memory>
#include <span>
#include "core/base/types.h"

namespace skua::cli {

class Sum {
public:
    Sum();
    ~Sum();
    Sum(const Sum&) = delete;
    void add(std::span<const u8> bytes);
    void addZeros(u64 count);
    std::array<u64, 2> value() const;

private:
    struct Inner;
    std::unique_ptr<Inner> inner_;
};

} // namespace skua::cli
