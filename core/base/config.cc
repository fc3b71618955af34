#include "core/base/config.h"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

namespace skua {

namespace {

constexpr std::size_t kMaxFile = 1u << 20;

std::string_view trim(std::string_view s) {
    while (!s.empty() && std::isspace(static_cast<unsigned char>(s.front()))) s.remove_prefix(1);
    while (!s.empty() && std::isspace(static_cast<unsigned char>(s.back()))) s.remove_suffix(1);
    return s;
}

std::string lower(std::string_view s) {
    std::string out(s);
    for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return out;
}

std::string variableOf(const std::string& key) {
    std::string variable = "SKUA_" + key;
    for (char& c : variable) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return variable;
}

bool exists(const std::string& path) {
    struct stat st;
    return ::stat(path.c_str(), &st) == 0;
}

} // namespace

Result<Config> Config::parse(std::string_view text, const std::string& name) {
    Config c;
    c.file_ = name;
    if (text.size() > kMaxFile) return Error(Code::TooLarge, name + ": this is not a configuration file");
    for (std::size_t line = 1; !text.empty(); line++) {
        const auto end = text.find('\n');
        auto one = text.substr(0, end);
        text.remove_prefix(end == text.npos ? text.size() : end + 1);
        // '#' starts a comment at the beginning of a line or after a space: paths may have one.
        for (std::size_t at = one.find('#'); at != one.npos; at = one.find('#', at + 1)) {
            if (at != 0 && !std::isspace(static_cast<unsigned char>(one[at - 1]))) continue;
            one = one.substr(0, at);
            break;
        }
        one = trim(one);
        if (one.empty()) continue;
        const auto equals = one.find('=');
        const auto key = trim(one.substr(0, equals));
        if (equals == one.npos || key.empty())
            return Error(Code::Invalid, name + " line " + std::to_string(line) + ": expected `key = value`");
        if (!c.values_.emplace(lower(key), trim(one.substr(equals + 1))).second)
            return Error(Code::Invalid, name + " line " + std::to_string(line) + ": " + std::string(key) + " is there twice");
    }
    return c;
}

Result<Config> Config::load(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    std::stringstream text;
    if (in) text << in.rdbuf();
    if (!in) return Error(fromErrno(errno ? errno : EIO), path + ": cannot be read (" + std::strerror(errno ? errno : EIO) + ")");
    return parse(text.str(), path);
}

namespace {
// The current folder is in a mount of ours: looking for a file there may take as long as the cluster is away, and it is about
// that that most who stand there ask. Asks the kernel only.
bool hereIsSkuaMount() {
    char here[4096];
    if (!::getcwd(here, sizeof here)) return false;
    const std::string cwd = std::string(here) + "/";
    std::ifstream mounts("/proc/self/mounts");
    std::size_t longest = 0;
    bool ours = false;
    for (std::string line; std::getline(mounts, line);) { // source, point (blanks are \040), type
        std::istringstream fields(line);
        std::string source, point, type;
        fields >> source >> point >> type;
        for (std::size_t at; (at = point.find("\\040")) != point.npos;) point.replace(at, 4, " ");
        if (!point.ends_with('/')) point += '/';
        if (!cwd.starts_with(point) || point.size() < longest) continue;
        longest = point.size();
        ours = type.starts_with("fuse.skua");
    }
    return ours;
}
} // namespace

Result<Config> Config::find(const std::string& from_flag) {
    if (!from_flag.empty()) return load(from_flag);
    if (const char* env = std::getenv("SKUA_CONFIG"); env && *env) return load(env);
    const std::string places[] = {"skua.conf", homeFolder() + "/.config/skua/skua.conf", "/etc/skua/skua.conf",
                                  defaultClusterFolder() + "/skua.conf"};
    const bool in_mount = hereIsSkuaMount();
    for (const auto& place : places)
        if (!(in_mount && place == places[0]) && exists(place)) return load(place);
    return Config();
}

std::string Config::source(const std::string& key) const {
    const std::string variable = variableOf(key);
    const char* env = std::getenv(variable.c_str());
    return env && *env ? variable : file_;
}

std::string Config::get(const std::string& key) const {
    if (const char* env = std::getenv(variableOf(key).c_str()); env && *env) return env;
    const auto it = values_.find(key);
    return it == values_.end() ? "" : it->second;
}

Result<ClusterId> Config::cluster() const {
    const auto id = fromHex(get("cluster"));
    if (!id)
        return Error(Code::Invalid, (file_.empty() ? "no skua.conf was found" : file_) + ": `cluster` must be 16 hex digits");
    return ClusterId{*id};
}

Result<std::vector<std::string>> Config::registry() const {
    auto all = splitList(get("registry"));
    if (all.empty())
        return Error(Code::NotFound,
                     file_.empty() ? "no cluster is known here: start one with `skua cluster up`, or give --config or --registry"
                                   : file_ + ": `registry` is missing: the addresses of the registry's members");
    return all;
}

Result<std::string> Config::clusterKey() const {
    const std::string at = path("cluster_key");
    if (at.empty())
        return Error(Code::NotFound, (file_.empty() ? std::string("no skua.conf was found") : file_ + " has no `cluster_key`") +
                                         ": give --config, or SKUA_CLUSTER_KEY");
    return at;
}

std::string Config::path(const std::string& key) const {
    const std::string value = get(key);
    if (value.empty() || value[0] == '/') return value;
    if (value.starts_with("~/")) return homeFolder() + value.substr(1);
    const auto it = values_.find(key);
    const auto slash = file_.rfind('/');
    // What the environment says is relative to where we are, as everywhere.
    if (it == values_.end() || it->second != value || slash == file_.npos) return value;
    return file_.substr(0, slash + 1) + value;
}

std::string Config::text() const {
    std::string out;
    for (const auto& [key, value] : values_) out += key + " = " + value + "\n";
    return out;
}

std::vector<std::string> splitList(std::string_view text) {
    std::vector<std::string> out;
    while (!text.empty()) {
        const auto comma = text.find(',');
        if (const auto one = trim(text.substr(0, comma)); !one.empty()) out.emplace_back(one);
        text.remove_prefix(comma == text.npos ? text.size() : comma + 1);
    }
    return out;
}

std::string toHex(u64 value) {
    char out[17];
    std::snprintf(out, sizeof out, "%016llx", static_cast<unsigned long long>(value));
    return out;
}

Result<u64> fromHex(std::string_view text) {
    u64 value = 0;
    if (text.size() != 16) return Error(Code::Invalid, "expected 16 hex digits");
    for (char c : text) {
        const char l = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
        if (!std::isxdigit(static_cast<unsigned char>(c))) return Error(Code::Invalid, "expected 16 hex digits");
        value = value << 4 | static_cast<u64>(l <= '9' ? l - '0' : l - 'a' + 10);
    }
    return value;
}

std::string homeFolder() {
    if (const char* home = std::getenv("HOME"); home && *home) return home;
    if (const passwd* p = getpwuid(getuid()); p && p->pw_dir) return p->pw_dir;
    return "/";
}

std::string defaultClusterFolder() {
    if (const char* dir = std::getenv("SKUA_DIR"); dir && *dir) return dir;
    return homeFolder() + "/.local/share/skua/default";
}

} // namespace skua
