// Paths: from "/a/b/c" to inodes, following symlinks (at most 40), `.` and `..`.
//
// `..` goes back along the way that was walked, so that "/link/.." is where the link led from there.
// Errors name the path and the part that failed. A path has at most 4,096 bytes.
#pragma once

#include <optional>
#include <string>
#include <vector>
#include "client/metadata.h"

namespace skua::client {

inline constexpr std::size_t kMaxPath = 4096;
inline constexpr int kMaxLinksFollowed = 40;

enum class Follow : u8 { kLast, kNotLast }; // a symlink at the end: followed, or what is meant

struct Place {
    InodeId dir;                          // where the last name is; the root: none
    std::string name;                     // empty: the root itself
    std::optional<Attributes> attributes; // none: the name is free (its directory exists)
    std::string path;                     // cleaned, absolute
    bool exists() const { return attributes.has_value(); }
    bool isDirectory() const { return attributes && attributes->inode.isDirectory(); }
};

// NotFound if a directory on the way is missing; a missing last name is no error.
Task<Result<Place>> resolve(Metadata& metadata, std::string path, Follow follow);
// As resolve(), but NotFound if it does not exist.
Task<Result<Place>> resolveExisting(Metadata& metadata, std::string path, Follow follow);

// "/a//b/./c/" -> {"a","b","c"}; ".." stays. Invalid, NameTooLong.
Result<std::vector<std::string>> splitPath(std::string_view path);
std::string joinPath(std::string_view dir, std::string_view name);
std::string parentOf(std::string_view path); // "/" of "/"
std::string lastName(std::string_view path);

} // namespace skua::client
