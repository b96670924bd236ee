// The random image trace that allocators are compared on: a window of live images of random sizes
// between 480 x 640 and 2160 x 3840, three bytes a pixel; each step drops a random one and makes a
// new one.
//
// The same seed gives the same trace, so that every allocator sees the same requests in the same
// order. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace nvcv_cached::bench {

struct ImageSize {
  int64_t height, width;
  size_t bytes() const { return static_cast<size_t>(height * width * 3); }
};

class ImageTrace {
 public:
  explicit ImageTrace(uint64_t seed) : random_(seed) {}

  // The size of the next image. Every 16th is one of a few common sizes, as video frames among
  // photographs.
  ImageSize Next() {
    if (Below(16) == 0) {
      constexpr ImageSize kCommon[] = {{480, 640}, {720, 1280}, {1080, 1920}, {2160, 3840}};
      return kCommon[Below(4)];
    }
    return {480 + static_cast<int64_t>(Below(2160 - 480 + 1)),
            640 + static_cast<int64_t>(Below(3840 - 640 + 1))};
  }

  // Which of the live images goes.
  size_t Victim(size_t live) { return Below(live); }

 private:
  uint64_t Below(uint64_t bound) {
    return std::uniform_int_distribution<uint64_t>(0, bound - 1)(random_);
  }
  std::mt19937_64 random_;
};

inline constexpr size_t kWindow = 32;

}  // namespace nvcv_cached::bench
