// The versions that both sides name to each other.
#pragma once

#include <cstdint>

namespace nvcv_cached {

inline constexpr const char* kVersion = NVCV_CACHED_VERSION;  // of this build, set by CMake
inline constexpr uint32_t kProtocolMin = 1;
inline constexpr uint32_t kProtocolMax = 1;

}  // namespace nvcv_cached
