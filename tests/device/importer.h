// What importer.cc and its callers say to each other. Plain functions. Thread-safe.
#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdint>

namespace nvcv_cached::server::testing {

struct ImporterFrame {
  char op = 'r';
  uint64_t offset = 0;
  uint64_t count = 0;
};

inline bool ReadAll(int fd, void* to, size_t count) {
  for (auto* next = static_cast<char*>(to); count > 0;) {
    const ssize_t got = ::read(fd, next, count);
    if (got <= 0) return false;
    next += got;
    count -= static_cast<size_t>(got);
  }
  return true;
}

inline bool WriteAll(int fd, const void* from, size_t count) {
  for (auto* next = static_cast<const char*>(from); count > 0;) {
    const ssize_t put = ::write(fd, next, count);
    if (put <= 0) return false;
    next += put;
    count -= static_cast<size_t>(put);
  }
  return true;
}

}  // namespace nvcv_cached::server::testing
