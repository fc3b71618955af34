// OpenSSL's plain SHA-256 functions instead of EVP: a state is copied instead of duplicated on the
// heap, which makes a message of 200 bytes about twice as cheap. They use SHA-NI all the same.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "core/base/hmac.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <algorithm>
#include <cstring>
#include <string>
#include "core/base/check.h"

namespace skua {

namespace {
constexpr std::size_t kBlock = 64, kDigest = 32;
}

Hmac::Hmac(std::span<const u8> key) {
    static_assert(sizeof(State) == sizeof(SHA256_CTX));
    u8 block[kBlock] = {};
    if (key.size() > kBlock) SHA256(key.data(), key.size(), block);
    else std::copy(key.begin(), key.end(), block);
    auto start = [&](State& state, u8 with) {
        u8 padded[kBlock];
        for (std::size_t i = 0; i < kBlock; i++) padded[i] = block[i] ^ with;
        SHA256_CTX ctx;
        SHA256_Init(&ctx);
        SHA256_Update(&ctx, padded, kBlock);
        std::memcpy(state.bytes, &ctx, sizeof ctx);
        OPENSSL_cleanse(padded, sizeof padded);
    };
    start(inner_, 0x36);
    start(outer_, 0x5c);
    OPENSSL_cleanse(block, sizeof block);
}

std::array<u8, 32> Hmac::full(std::string_view bytes) const {
    std::array<u8, kDigest> digest;
    SHA256_CTX ctx;
    std::memcpy(&ctx, inner_.bytes, sizeof ctx);
    SHA256_Update(&ctx, bytes.data(), bytes.size());
    SHA256_Final(digest.data(), &ctx);
    std::memcpy(&ctx, outer_.bytes, sizeof ctx);
    SHA256_Update(&ctx, digest.data(), digest.size());
    SHA256_Final(digest.data(), &ctx);
    return digest;
}

std::array<u8, 16> Hmac::mac(std::string_view bytes) const {
    const auto whole = full(bytes);
    std::array<u8, 16> half;
    std::copy_n(whole.begin(), half.size(), half.begin());
    return half;
}

std::array<u8, 16> macOf(const MacKey& key, std::string_view bytes) { return Hmac(key).mac(bytes); }

bool equalConstantTime(std::span<const u8> a, std::span<const u8> b) {
    return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

void hkdf(std::span<const u8> salt, std::span<const u8> secret, std::string_view info, std::span<u8> out) {
    CHECK(out.size() <= 255 * kDigest);
    const auto text = [](const auto& bytes) {
        return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    };
    const auto pseudorandom = Hmac(salt).full(text(secret));
    const Hmac expand{std::span<const u8>(pseudorandom)};
    std::string previous;
    for (u8 n = 1; !out.empty(); n++) {
        std::string input = previous;
        input += info;
        input += static_cast<char>(n);
        const auto block = expand.full(input);
        previous = text(block);
        const std::size_t take = std::min(out.size(), block.size());
        std::copy_n(block.begin(), take, out.begin());
        out = out.subspan(take);
    }
}

MacKey deriveKey(const MacKey& from, std::string_view purpose) {
    static constexpr std::string_view kSalt = "skua keys 1";
    MacKey key;
    hkdf({reinterpret_cast<const u8*>(kSalt.data()), kSalt.size()}, from, purpose, key);
    return key;
}

} // namespace skua
