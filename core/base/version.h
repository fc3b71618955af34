// The three numbers of a build. `skua --version` prints them.
#pragma once

#include <string>
#include "core/base/types.h"

namespace skua {

#ifdef SKUA_VERSION
inline constexpr const char* kRelease = SKUA_VERSION;
#else
inline constexpr const char* kRelease = "0.0.0";
#endif
inline constexpr u32 kProtocol = 1; // of frames and messages; unlike ones refuse each other
inline constexpr u32 kFormat = 1;   // of files on disk; unlike ones are refused

inline std::string versionText() {
    return std::string("release ") + kRelease + ", protocol " + std::to_string(kProtocol) + ", format " + std::to_string(kFormat);
}

} // namespace skua
