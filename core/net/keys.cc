#include "core/net/keys.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <cstring>
#include <map>
#include "core/base/config.h"
#include "core/base/random.h"

namespace skua::net {

namespace {

std::string hex(const MacKey& key) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string out;
    for (u8 b : key) {
        out += kDigits[b >> 4];
        out += kDigits[b & 15];
    }
    return out;
}

Result<MacKey> keyFrom(std::string_view text, const std::string& path) {
    MacKey key;
    if (text.size() != 64) return Error(Code::Invalid, path + ": `key` must be 64 hex digits");
    for (std::size_t i = 0; i < 4; i++) {
        const auto part = fromHex(text.substr(i * 16, 16));
        if (!part) return Error(Code::Invalid, path + ": `key` must be 64 hex digits");
        for (std::size_t b = 0; b < 8; b++) key[i * 8 + b] = static_cast<u8>(*part >> (56 - 8 * b));
    }
    return key;
}

Error failed(const std::string& path, const char* what) {
    return Error(fromErrno(errno), path + ": " + what + " (" + std::strerror(errno) + ")");
}

// Values of a key file come from that file alone, never from the environment.
Result<std::map<std::string, std::string>> readSecret(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return failed(path, "the key cannot be read");
    struct stat st;
    char text[4096];
    const bool known = ::fstat(fd, &st) == 0;
    const ssize_t n = known && S_ISREG(st.st_mode) ? ::read(fd, text, sizeof text) : -1;
    ::close(fd);
    if (known && (st.st_mode & 077) != 0)
        return Error(Code::Denied,
                     path + ": others can read this key; it is refused until you `chmod 600` it (and think of making a new one)");
    if (n < 0) return Error(Code::Invalid, path + ": the key cannot be read");
    std::map<std::string, std::string> values;
    std::string_view rest(text, static_cast<std::size_t>(n));
    while (!rest.empty()) {
        const auto end = rest.find('\n');
        const auto line = rest.substr(0, end);
        if (const auto equals = line.find(" = "); equals != line.npos && line[0] != '#')
            values[std::string(line.substr(0, equals))] = line.substr(equals + 3);
        rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
    }
    return values;
}

Result<> writeSecret(const std::string& path, const std::string& text) {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return failed(path, "the key cannot be written");
    const bool ok =
        ::fchmod(fd, 0600) == 0 && ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(fd) == 0;
    const Error why = ok ? Error() : failed(path, "the key cannot be written");
    ::close(fd);
    if (!ok) {
        ::unlink(path.c_str());
        return why;
    }
    const auto slash = path.rfind('/');
    const std::string folder = slash == path.npos ? "." : path.substr(0, slash + 1);
    if (const int d = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); d >= 0) {
        ::fsync(d);
        ::close(d);
    }
    return Ok{};
}

Result<ClusterId> clusterFrom(const std::string& text, const std::string& path) {
    const auto id = fromHex(text);
    if (!id) return Error(Code::Invalid, path + ": `cluster` must be 16 hex digits");
    return ClusterId{*id};
}

bool goodName(std::string_view name) {
    if (name.empty() || name.size() > kMaxPeerName) return false;
    for (char c : name)
        if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7f || c == '/') return false;
    return true;
}

} // namespace

Keys Keys::random(ClusterId cluster) {
    MacKey key;
    randomFromKernel(key.data(), key.size());
    return Keys(cluster, key);
}

Result<Keys> Keys::load(const std::string& path) {
    TRY(auto values, readSecret(path));
    TRY(const ClusterId cluster, clusterFrom(values["cluster"], path));
    TRY(const MacKey key, keyFrom(values["key"], path));
    return Keys(cluster, key);
}

Result<> Keys::save(const std::string& path) const {
    return writeSecret(path, "# The key of a SkuaFS cluster: who has it may do anything there.\ncluster = " +
                                 toHex(cluster_.value) + "\nkey = " + hex(key_) + "\n");
}

// The cluster's id is part of every purpose: no key of one cluster is good in another.
MacKey Keys::receiptKey(BlockServiceId service) const {
    return deriveKey(key_, "receipt " + toHex(cluster_.value) + " " + std::to_string(service.value));
}
MacKey Keys::readKeyKey() const { return deriveKey(key_, "read " + toHex(cluster_.value)); }
MacKey Keys::serverKey() const { return deriveKey(key_, "server " + toHex(cluster_.value)); }
MacKey Keys::clientKey(std::string_view name, u32 version) const {
    return deriveKey(key_, "client " + toHex(cluster_.value) + " " + std::to_string(version) + " " + std::string(name));
}

Credentials Credentials::server(const Keys& keys, const std::string& name) {
    Credentials c;
    c.role = Role::kServer;
    c.name = name.substr(0, kMaxPeerName);
    c.cluster = keys.cluster();
    c.key = keys.serverKey();
    c.keys = keys;
    return c;
}

Credentials Credentials::client(const Keys& keys, const std::string& name, u32 version) {
    Credentials c;
    c.role = Role::kClient;
    c.name = name.substr(0, kMaxPeerName);
    c.version = version;
    c.cluster = keys.cluster();
    c.key = keys.clientKey(c.name, version);
    return c;
}

Result<Credentials> Credentials::loadClient(const std::string& path) {
    TRY(auto values, readSecret(path));
    Credentials c;
    c.name = values["name"];
    if (!goodName(c.name)) return Error(Code::Invalid, path + ": `name` must be 1 to 31 characters without spaces or slashes");
    const std::string& version = values["version"];
    if (version.empty() || version.size() > 9 || version.find_first_not_of("0123456789") != version.npos)
        return Error(Code::Invalid, path + ": `version` must be a number");
    c.version = static_cast<u32>(std::stoul(version));
    TRY(c.cluster, clusterFrom(values["cluster"], path));
    TRY(c.key, keyFrom(values["key"], path));
    return c;
}

std::string Credentials::clientText() const {
    return "# A client's key of a SkuaFS cluster: keep it secret.\nname = " + name + "\nversion = " + std::to_string(version) +
           "\ncluster = " + toHex(cluster.value) + "\nkey = " + hex(key) + "\n";
}

Result<> Credentials::saveClient(const std::string& path) const { return writeSecret(path, clientText()); }

} // namespace skua::net
