// What the kernel says of a process in /proc/PID/stat. Thread-safe.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>

namespace nvcv_cached::server {

struct ProcessStat {
  char state = '?';      // R, S, D, T, Z ...
  uint64_t started = 0;  // in clock ticks since the boot
};

// nullopt: there is no such process, or it is not in our PID namespace.
std::optional<ProcessStat> ReadProcessStat(pid_t pid);

}  // namespace nvcv_cached::server
