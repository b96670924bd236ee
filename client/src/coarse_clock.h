// Milliseconds of CLOCK_MONOTONIC_COARSE: what `last_used` goes by. One read costs a few
// nanoseconds and no system call; it steps with the kernel's tick (1 to 10 ms), which is as fine as
// LRU needs. A table's zero is in Lease::clock_zero_ms. Thread-safe.
#pragma once

#include <time.h>

#include <cstdint>

namespace nvcv_cached::client {

inline uint64_t CoarseNowMs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1000000;
}

}  // namespace nvcv_cached::client
