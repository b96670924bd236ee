// Sizes and rectangles in pixels. Plain values, thread-safe like an int.
#pragma once

namespace nvcv_cached {

struct Size {
  int width = 0;
  int height = 0;
  friend constexpr bool operator==(Size a, Size b) {
    return a.width == b.width && a.height == b.height;
  }
  friend constexpr bool operator!=(Size a, Size b) { return !(a == b); }
};

// A rectangle of whole pixels; x and y are its upper left corner and may lie outside of an image.
struct RectI {
  int x = 0;
  int y = 0;
  int width = 0;
  int height = 0;
  friend constexpr bool operator==(const RectI& a, const RectI& b) {
    return a.x == b.x && a.y == b.y && a.width == b.width && a.height == b.height;
  }
  friend constexpr bool operator!=(const RectI& a, const RectI& b) { return !(a == b); }
};

}  // namespace nvcv_cached
