// HMAC-SHA256 (RFC 2104), HKDF-SHA256 (RFC 5869) and comparison in constant time.
//
//   std::array<u8, 16> mac = macOf(key, bytes);       truncated; receipts and read keys
//   const Hmac hmac(key);  hmac.mac(bytes);           many under one key: half the price
//
// Thread-safety: values; a const Hmac may be used by many threads at once. Nothing is allocated.
#pragma once

#include <array>
#include <span>
#include <string_view>
#include "core/base/types.h"

namespace skua {

using MacKey = std::array<u8, 32>;

// A key with its two inner blocks already hashed.
class Hmac {
public:
    explicit Hmac(std::span<const u8> key); // of any length; longer than 64 bytes is hashed first
    explicit Hmac(const MacKey& key) : Hmac(std::span<const u8>(key)) {}
    std::array<u8, 32> full(std::string_view bytes) const;
    std::array<u8, 16> mac(std::string_view bytes) const; // the first half of full()

private:
    struct State {
        alignas(8) u8 bytes[112];
    }; // SHA-256 in the middle of its work
    State inner_, outer_;
};

std::array<u8, 16> macOf(const MacKey& key, std::string_view bytes);

// Takes as long whatever they hold. Unlike sizes are unequal.
bool equalConstantTime(std::span<const u8> a, std::span<const u8> b);

// HKDF: a key of its own for each `purpose`. Who has one learns nothing about `from` or another.
MacKey deriveKey(const MacKey& from, std::string_view purpose);
// HKDF whole, for its test vectors.
void hkdf(std::span<const u8> salt, std::span<const u8> secret, std::string_view info, std::span<u8> out);

} // namespace skua
