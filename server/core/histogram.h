// Durations counted in fixed buckets: what histograms of Prometheus are made of.
//
// Invariant: the counts sum to the number of Adds. An Add costs a search among two dozen bounds.
// Plain data; thread-safety: none.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace nvcv_cached::server {

struct Histogram {
  using Nanoseconds = std::chrono::nanoseconds;
  // Upper bounds, inclusive: 1, 2.5 and 5 of each decade from 1 us to 10 s, then 30 s and a minute.
  static constexpr std::array<int64_t, 24> kBoundsNs{
      1'000,         2'500,         5'000,         10'000,         25'000,         50'000,
      100'000,       250'000,       500'000,       1'000'000,      2'500'000,      5'000'000,
      10'000'000,    25'000'000,    50'000'000,    100'000'000,    250'000'000,    500'000'000,
      1'000'000'000, 2'500'000'000, 5'000'000'000, 10'000'000'000, 30'000'000'000, 60'000'000'000};

  void Add(Nanoseconds duration) {
    const auto bucket = std::lower_bound(kBoundsNs.begin(), kBoundsNs.end(), duration.count());
    ++counts[static_cast<size_t>(bucket - kBoundsNs.begin())];
    sum += duration;
  }

  std::array<uint64_t, kBoundsNs.size() + 1> counts{};  // the last: above every bound
  Nanoseconds sum{0};
};

}  // namespace nvcv_cached::server
