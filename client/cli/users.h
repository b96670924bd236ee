// Users as people name them. Thread-safe.
#pragma once

#include <pwd.h>

#include <cstdint>
#include <string>

namespace nvcv_cached::cli {

// The number, where the name service does not know it.
inline std::string UserName(uint32_t uid) {
  passwd entry{};
  passwd* found = nullptr;
  char buffer[4096];
  if (::getpwuid_r(uid, &entry, buffer, sizeof(buffer), &found) == 0 && found != nullptr) {
    return found->pw_name;
  }
  return std::to_string(uid);
}

}  // namespace nvcv_cached::cli
