// Keys (security.md): one secret per cluster, everything else derived from it by HKDF-SHA256.
//
//   cluster.key   servers only    "cluster = <16 hex>", "key = <64 hex>"; mode 0600
//   NAME.key      a client's      "name = N", "version = 1", "cluster = <16 hex>", "key = <64 hex>"; mode 0600
//
// A key file that its group or others can read is refused. Keys are never logged.
#pragma once

#include <optional>
#include <string>
#include "core/base/hmac.h"
#include "core/base/result.h"
#include "core/net/transport.h"

namespace skua::net {

inline constexpr std::size_t kMaxPeerName = 31;

// The cluster's key, and what is derived from it.
class Keys {
public:
    Keys(ClusterId cluster, const MacKey& key) : cluster_(cluster), key_(key) {}
    static Keys random(ClusterId cluster);
    static Result<Keys> load(const std::string& path);
    Result<> save(const std::string& path) const; // refuses to overwrite; durable when it returns

    ClusterId cluster() const { return cluster_; }
    MacKey receiptKey(BlockServiceId service) const; // of one disk's receipts
    MacKey readKeyKey() const;                       // of every content's read key
    MacKey serverKey() const;                        // that servers show each other
    MacKey clientKey(std::string_view name, u32 version) const;

private:
    ClusterId cluster_;
    MacKey key_;
};

// What a process shows at the other end, and, a server, checks others by.
struct Credentials {
    Role role = Role::kClient;
    std::string name; // at most kMaxPeerName bytes; a server's is for logs
    u32 version = 0;  // of a client's key
    ClusterId cluster;
    MacKey key{};             // clientKey() or serverKey()
    std::optional<Keys> keys; // servers

    static Credentials server(const Keys& keys, const std::string& name);
    static Credentials client(const Keys& keys, const std::string& name, u32 version = 1);
    static Result<Credentials> loadClient(const std::string& path);
    Result<> saveClient(const std::string& path) const;
    std::string clientText() const; // what NAME.key has in it
};

} // namespace skua::net
