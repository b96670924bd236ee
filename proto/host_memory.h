// How much memory a process may have, and how much of it is left: the smaller of the machine's and
// of each control group's above it (v2, or v1's memory controller). It is what the host device has.
//
// Read from /proc and /sys below `root`, which tests replace. What cannot be read does not bound.
// Pure functions of those files. Thread-safe.
#pragma once

#include <cstdint>
#include <string>

namespace nvcv_cached {

struct HostMemory {
  uint64_t total_bytes = 0;
  uint64_t free_bytes = 0;  // without pushing anybody out: unused, or caches of files
  std::string bound_by;     // "memory of the machine", or the control group's folder
};

// `process` is a pid, or the caller.
HostMemory ReadHostMemory(const std::string& root = "", const std::string& process = "self");

}  // namespace nvcv_cached
