/// @file
/// Sizes and rectangles in pixels. Plain values, thread-safe like an int.
#pragma once

namespace nvcv_cached {

/// A size of whole pixels.
struct Size {
  int width = 0;   ///< in pixels
  int height = 0;  ///< in pixels
  /// By value.
  friend constexpr bool operator==(Size a, Size b) {
    return a.width == b.width && a.height == b.height;
  }
  /// By value.
  friend constexpr bool operator!=(Size a, Size b) { return !(a == b); }
};

/// A rectangle of whole pixels; x and y are its upper left corner and may lie outside of an image.
struct RectI {
  int x = 0;       ///< of the left edge
  int y = 0;       ///< of the upper edge
  int width = 0;   ///< in pixels
  int height = 0;  ///< in pixels
  /// By value.
  friend constexpr bool operator==(const RectI& a, const RectI& b) {
    return a.x == b.x && a.y == b.y && a.width == b.width && a.height == b.height;
  }
  /// By value.
  friend constexpr bool operator!=(const RectI& a, const RectI& b) { return !(a == b); }
};

}  // namespace nvcv_cached
