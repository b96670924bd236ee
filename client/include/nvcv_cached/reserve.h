/// @file
/// Warming up: objects made ahead, so that the first ones a program needs are hits.
///
///   nvcv_cached::reserve<Tensor>(8, Shape{1080, 1920, 3}, DataType::kU8, "HWC");
///
/// Thread-safety: thread-safe; what it leaves is the calling thread's.
#pragma once

#include <cstddef>
#include <vector>

namespace nvcv_cached {

/// Leaves at least `count` idle objects in this thread's cache, each as T(spec...) makes it, so that
/// so many may be in use at once without asking the daemon (small objects come several at a time, so
/// there may be more). They are counted and limited like any other: what the limit has no room for
/// leaves the cache again, and idle memory goes to whoever needs it. Throws what T's constructor
/// throws; what was made until then stays idle.
template <class T, class... Spec>
void reserve(std::size_t count, const Spec&... spec) {
  std::vector<T> held;  // all at once, or each would be made of the one before
  held.reserve(count);
  for (std::size_t i = 0; i < count; ++i) held.emplace_back(spec...);
}

}  // namespace nvcv_cached
