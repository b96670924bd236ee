// How long to wait before trying again: 50 ms, doubling to 2 s, each a quarter more or less so that
// clients of a daemon that died do not all come at once. Costs nothing until something fails: a
// random_device asks the processor what it can, which in a virtual machine takes the hypervisor 30 us.
// Not thread-safe.
#pragma once

#include <algorithm>
#include <chrono>
#include <optional>
#include <random>

namespace nvcv_cached::client {

class BackOff {
 public:
  std::chrono::milliseconds Next() {
    if (!random_) random_.emplace(std::random_device{}());
    const double wait_ms = wait_ms_ * std::uniform_real_distribution<double>(0.75, 1.25)(*random_);
    wait_ms_ = std::min(2 * wait_ms_, kLongestMs);
    return std::chrono::milliseconds(static_cast<int>(wait_ms));
  }
  void Reset() { wait_ms_ = kFirstMs; }

 private:
  static constexpr double kFirstMs = 50;
  static constexpr double kLongestMs = 2000;
  double wait_ms_ = kFirstMs;
  std::optional<std::minstd_rand> random_;
};

}  // namespace nvcv_cached::client
