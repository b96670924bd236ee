// The time that core classes see. Injected, so that tests move it instead of sleeping.
// Thread-safety: as the implementation; SystemClock is thread-safe.
#pragma once

#include <chrono>

namespace nvcv_cached::server {

using Duration = std::chrono::milliseconds;
using TimePoint = std::chrono::time_point<std::chrono::steady_clock>;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint Now() const = 0;
};

class SystemClock final : public Clock {
 public:
  TimePoint Now() const override { return std::chrono::steady_clock::now(); }
};

}  // namespace nvcv_cached::server
