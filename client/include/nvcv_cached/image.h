/// @class nvcv_cached::Image
/// An image on the device: one to four planes of pixels in a Format, with NVCV's row alignment.
///
/// Rows are rounded up to the row alignment, the next power of two of lcm(device's, bytes per pixel
/// of every plane), or of lcm(row_align, component size); planes follow each other. The format, the
/// size and row_align make two images interchangeable: the next image of the same in this thread is
/// a hit. A side of 0 gives an empty image. Thread-safety: a handle, see resource.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "nvcv_cached/export.h"
#include "nvcv_cached/format.h"
#include "nvcv_cached/geometry.h"
#include "nvcv_cached/resource.h"
#include "nvcv_cached/tensor.h"

namespace nvcv_cached {

/// Where one plane of an image lies.
struct ImagePlane {
  void* data = nullptr;         ///< of the upper left pixel
  Size size;                    ///< in pixels of this plane
  std::int64_t row_stride = 0;  ///< bytes from a row to the next
  DataType type;                ///< of one pixel
};

class NVCV_CACHED_API Image : public Container {
 public:
  /// `row_align` is 0 for the device's own or a power of two in bytes. Contents are whatever the
  /// memory's last user left. Throws InvalidArgument (negative size, format NONE,
  /// bad row_align), NotImplemented (block linear) and what Buffer throws.
  Image(Size size, Format format, int row_align = 0);

  static Image Zeros(Size size, Format format,
                     int row_align = 0);  ///< all bytes 0, the padding too

  /// An image on other memory, one entry of `planes` for each of the format's; counts 0 bytes and is
  /// never reused. Throws InvalidArgument when number, sizes, types or strides of the planes are not
  /// the format's.
  static Image Wrap(Format format, const std::vector<ImagePlane>& planes, Foreign foreign);

  Size size() const;                                    ///< in pixels of the first plane
  int width() const { return size().width; }            ///< in pixels
  int height() const { return size().height; }          ///< in pixels
  Format format() const;                                ///< as asked for
  int num_planes() const { return format().planes(); }  ///< 1 to 4
  std::size_t size_bytes() const;                       ///< with its padding; 0 for one that wraps
  bool is_wrapped() const;                              ///< on memory of another object

  /// The memory is handed out from here on, as by Tensor::data. Throws InvalidArgument for a plane
  /// that is not there.
  ImagePlane plane(int plane) const;

  /// The memory as other libraries take it, as views that keep the image in use and count nothing:
  /// one of (H, W), (H, W, C), or (P, H, W) for planes that follow each other evenly; else one of
  /// (H, W, C) for each plane. `layout` orders and labels the dimensions instead: those of 2 or more
  /// must appear, in the same order; others are
  /// 1. Throws InvalidArgument for a layout without H and W, or in another order.
  std::vector<Tensor> views(const TensorLayout& layout = {}) const;

  /// Whole planes to and from host memory with rows `row_stride` bytes apart, in the order of the
  /// thread's current stream; done when it returns.
  void CopyFromHost(int plane, const void* source, std::int64_t row_stride) const;

  /// The other way round. Both throw InvalidArgument for a plane that is not there.
  void CopyToHost(int plane, void* target, std::int64_t row_stride) const;

 private:
  friend NVCV_CACHED_API Tensor as_tensor(const Image& image);
  using Container::Container;
};

}  // namespace nvcv_cached
