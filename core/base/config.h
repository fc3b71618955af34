// Config: the settings of a user of a cluster, `key = value` lines of skua.conf, '#' starts a comment.
//
//   cluster = 0123456789abcdef              the cluster's id, 16 hex digits
//   registry = 127.0.0.1:4711, 127.0.0.1:4712
//   key = local.key                         a client's key file; relative to the file that says so
//   cluster_key = cluster.key               servers only
//
// Searched: flag, SKUA_* environment (SKUA_REGISTRY and so on, key by key), then one file: --config,
// SKUA_CONFIG, ./skua.conf, ~/.config/skua/skua.conf, /etc/skua/skua.conf, and that of the default local
// cluster, ~/.local/share/skua/default/skua.conf. (./skua.conf not where the current folder is in a mount of ours.)
#pragma once

#include <map>
#include <string>
#include <vector>
#include "core/base/result.h"

namespace skua {

class Config {
public:
    // `name` is the file's, for messages and for relative paths.
    static Result<Config> parse(std::string_view text, const std::string& name);
    static Result<Config> load(const std::string& path);
    // By the search order; `from_flag` may be empty. No file at all is an empty Config (file() is "").
    static Result<Config> find(const std::string& from_flag);

    // The environment's value, else the file's, else "". Keys in lower case.
    std::string get(const std::string& key) const;
    // Who says so, for messages: "SKUA_REGISTRY", or the file.
    std::string source(const std::string& key) const;
    void set(const std::string& key, const std::string& value) { values_[key] = value; }
    const std::string& file() const { return file_; }

    // What most programs want, checked; each error names the file and the key.
    Result<ClusterId> cluster() const;
    Result<std::vector<std::string>> registry() const; // NotFound if nothing says where it is
    Result<std::string> clusterKey() const;            // the path of the servers' key; NotFound if nothing names it
    std::string path(const std::string& key) const;    // "" if not set; relative to the file's folder
    std::string text() const;                          // as a file has it

private:
    std::map<std::string, std::string> values_;
    std::string file_;
};

// "a, b,c" -> {"a","b","c"}.
std::vector<std::string> splitList(std::string_view text);
// 16 hex digits.
std::string toHex(u64 value);
Result<u64> fromHex(std::string_view text);
// $HOME, or the password file's; "/" if there is none.
std::string homeFolder();
// ~/.local/share/skua/default, or $SKUA_DIR.
std::string defaultClusterFolder();

} // namespace skua
