/// @class nvcv_cached::Tensor
/// A dense array on the device, with NVCV's strides: rows padded to the device's row alignment.
///
/// A shared handle: copies name the same tensor. The spec (shape, type, layout, row alignment)
/// makes two tensors interchangeable: the next tensor of the same spec in this thread is a hit.
///
/// Strides (nvcv-cached follows NVCV 0.19): innermost dimension contiguous; with e =
/// dtype.size_bytes(), the row alignment a is lcm(device row alignment, next power of two of e), or
/// lcm(rowalign, component size); the dimension just left of the last packed one (layouts ending in
/// "WC": the row of W x C; else the last dimension) is rounded up to a; total bytes are rounded up
/// to the base alignment. An extent of 0 gives an empty tensor: 0 bytes, data() null. Thread-safety:
/// a handle, see resource.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "nvcv_cached/data_type.h"
#include "nvcv_cached/export.h"
#include "nvcv_cached/format.h"
#include "nvcv_cached/geometry.h"
#include "nvcv_cached/resource.h"
#include "nvcv_cached/tensor_layout.h"

namespace nvcv_cached {

class Image;

/// Extents of a tensor, outermost first: 1 to 15 of them.
class NVCV_CACHED_API Shape {
 public:
  /// Throws InvalidArgument: rank 0 or above 15.
  /// @{
  Shape(std::initializer_list<std::int64_t> extents) : Shape(extents.begin(), extents.size()) {}
  Shape(const std::vector<std::int64_t>& extents)  // NOLINT: a list of extents is a shape
      : Shape(extents.data(), extents.size()) {}
  Shape(const std::int64_t* extents, std::size_t rank);
  /// @}

  int rank() const { return rank_; }  ///< number of dimensions
  std::int64_t operator[](int dim) const {
    return extents_[dim];
  }                                                             ///< not checked: 0 to rank() - 1
  const std::int64_t* begin() const { return extents_; }        ///< of the outermost extent
  const std::int64_t* end() const { return extents_ + rank_; }  ///< past the innermost
  std::string str() const;                                      ///< "(480, 640, 3)"
  /// By value.
  friend bool operator==(const Shape& a, const Shape& b);
  /// By value.
  friend bool operator!=(const Shape& a, const Shape& b) { return !(a == b); }

 private:
  std::int64_t extents_[kMaxRank] = {};
  int rank_;
};

/// Memory that somebody else owns, given to a wrapper: `owner` lives as long as any handle of the
/// wrapper.
struct Foreign {
  std::shared_ptr<const void> owner;  ///< of the memory; null for memory that outlives the wrapper
  int cuda_device = -1;               ///< ordinal of the GPU that the memory is on; -1: host memory
};

/// The ordinal of the GPU that has this address. Throws InvalidArgument for one that no GPU of this
/// process knows, DeviceError without a driver.
NVCV_CACHED_API int cuda_device_of(const void* pointer);

class NVCV_CACHED_API Tensor : public Container {
 public:
  /// `row_align` is 0 for the device's own or a power of two in bytes.
  /// Throws InvalidArgument (negative or overflowing shape, layout of another rank, unsupported
  /// type, bad row_align), OutOfMemory and the others of Buffer.
  Tensor(const Shape& shape, DataType dtype, const TensorLayout& layout = {}, int row_align = 0);

  /// A batch of images of one size: NHWC for a packed format, NCHW for a planar one. Throws
  /// InvalidArgument for sub-sampled, semi-planar and block linear formats.
  Tensor(int images, Size size, Format format, int row_align = 0);

  /// All bytes 0, the padding too.
  static Tensor Zeros(const Shape& shape, DataType dtype, const TensorLayout& layout = {},
                      int row_align = 0);

  /// A tensor on other memory; never reused, and counts 0 bytes. No strides: dense. The last
  /// dimension must be dense, and so must the second-last one without a layout or with one that ends
  /// in C; the others must not overlap. Throws InvalidArgument for anything else, a null pointer and
  /// an extent below 1.
  static Tensor Wrap(void* data, const Shape& shape, DataType dtype, const TensorLayout& layout,
                     const std::vector<std::int64_t>& strides_bytes, Foreign foreign);

  /// The same memory in another shape; this tensor's memory stays in use as long as the result. The
  /// layout is kept, or replaced (by {} dropped). Throws InvalidArgument: another volume, a layout
  /// of another rank, or a dimension that would span padding.
  /// @{
  Tensor reshape(const Shape& shape) const { return reshape(shape, layout()); }
  Tensor reshape(const Shape& shape, const TensorLayout& layout) const;
  /// @}

  Shape shape() const;                       ///< in elements
  int rank() const;                          ///< number of dimensions
  DataType dtype() const;                    ///< of one element
  TensorLayout layout() const;               ///< {} for none
  std::int64_t stride_bytes(int dim) const;  ///< bytes from one index of `dim` to the next
  std::size_t size_bytes() const;  ///< of the whole tensor with its padding; 0 for one that wraps
  bool is_wrapped() const;         ///< on memory of another object

  /// Byte pointer of element (0, 0, ...); null for an empty tensor. The memory is handed out from
  /// here on: on a GPU its release is fenced on the current stream.
  void* data() const;

 private:
  friend NVCV_CACHED_API Tensor as_tensor(const Image& image);
  friend class Image;
  using Container::Container;
};

/// The image's memory as a tensor, which keeps the image in use: (1, H, W, C) NHWC for one plane of
/// two channels or more, else (1, P, H, W) NCHW. Throws InvalidArgument for sub-sampled images and
/// planes that do not follow each other evenly.
NVCV_CACHED_API Tensor as_tensor(const Image& image);

}  // namespace nvcv_cached
