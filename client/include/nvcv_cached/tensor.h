// A dense array on the device, with NVCV's strides: rows padded to the device's row alignment.
//
// A shared handle like Buffer: copies name the same tensor. The spec (shape, type, layout, row alignment)
// makes two tensors interchangeable: the next tensor of the same spec in this thread is a hit.
//
// Strides (nvcv-cached follows NVCV 0.19): innermost dimension contiguous; with e = dtype.size_bytes(), the
// row alignment a is lcm(device row alignment, next power of two of e), or lcm(rowalign, component size); the
// dimension just left of the last packed one (layouts ending in "WC": the row of W x C; else the last dimension)
// is rounded up to a; total bytes are rounded up to the base alignment. An extent of 0 gives an empty tensor:
// 0 bytes, data() null.
// Thread-safety: like shared_ptr.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "nvcv_cached/data_type.h"
#include "nvcv_cached/device.h"
#include "nvcv_cached/export.h"
#include "nvcv_cached/stream.h"
#include "nvcv_cached/tensor_layout.h"

namespace nvcv_cached {

namespace client {
class Item;
}

// Extents of a tensor, outermost first: 1 to 15 of them.
class NVCV_CACHED_API Shape {
 public:
  Shape(std::initializer_list<std::int64_t> extents) : Shape(extents.begin(), extents.size()) {}
  Shape(const std::vector<std::int64_t>& extents) : Shape(extents.data(), extents.size()) {}  // NOLINT
  Shape(const std::int64_t* extents, std::size_t rank);  // throws InvalidArgument: rank 0 or above 15

  int rank() const { return rank_; }
  std::int64_t operator[](int dim) const { return extents_[dim]; }
  const std::int64_t* begin() const { return extents_; }
  const std::int64_t* end() const { return extents_ + rank_; }
  std::string str() const;  // "(480, 640, 3)"
  friend bool operator==(const Shape& a, const Shape& b);
  friend bool operator!=(const Shape& a, const Shape& b) { return !(a == b); }

 private:
  std::int64_t extents_[kMaxRank] = {};
  int rank_;
};

class NVCV_CACHED_API Tensor {
 public:
  // `row_align` is 0 for the device's own or a power of two in bytes.
  // Throws InvalidArgument (negative or overflowing shape, layout of another rank, unsupported type, bad
  // row_align), OutOfMemory and the others of Buffer.
  Tensor(const Shape& shape, DataType dtype, const TensorLayout& layout = {}, int row_align = 0);

  Tensor(const Tensor& other) noexcept;
  Tensor(Tensor&& other) noexcept : item_(other.item_) { other.item_ = nullptr; }
  Tensor& operator=(Tensor other) noexcept {
    client::Item* item = item_;
    item_ = other.item_;
    other.item_ = item;
    return *this;
  }
  ~Tensor() {
    if (item_ != nullptr) Drop();
  }

  Shape shape() const;
  int rank() const;
  DataType dtype() const;
  TensorLayout layout() const;
  std::int64_t stride_bytes(int dim) const;
  std::size_t size_bytes() const;   // of the whole tensor with its padding
  std::size_t cache_bytes() const;  // toward the limit: those its memory was granted for, perhaps for a larger one

  // Byte pointer of element (0, 0, ...); null for an empty tensor. The memory is handed out from here on: on a
  // GPU its release is fenced on the current stream.
  void* data() const;
  Device device() const;
  int cuda_device() const;  // the GPU's ordinal in this process; -1: host memory, or an empty tensor

  // The memory is used on that stream too (stream.h has the rule).
  void record_stream(const Stream& stream) const;

 private:
  void Drop() noexcept;
  client::Item* item_ = nullptr;
};

}  // namespace nvcv_cached
