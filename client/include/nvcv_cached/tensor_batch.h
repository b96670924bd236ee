/// @class nvcv_cached::TensorBatch
/// Tensors of one rank, type and layout, and of different shapes, that are worked on together:
/// NVCV's TensorBatch.
///
/// It holds handles of up to `capacity` tensors, in order; the first one decides rank, type and
/// layout until the batch is empty again. On the device it has a table of 256 bytes for each, which
/// is what it counts (NVCV's number); the next batch of the same capacity in this thread is a hit,
/// and begins empty. A batch that nobody holds keeps no tensor in use. A call that fails changes
/// nothing. Thread-safety: a handle, see resource.h; changing one batch from several threads needs a
/// lock of the caller's.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "nvcv_cached/export.h"
#include "nvcv_cached/resource.h"
#include "nvcv_cached/tensor.h"

namespace nvcv_cached {

class NVCV_CACHED_API TensorBatch : public Container {
 public:
  /// Throws InvalidArgument for a negative capacity, and what Buffer throws.
  explicit TensorBatch(std::int64_t capacity);

  std::int64_t capacity() const;  ///< most members

  /// Members now.
  std::int64_t size() const { return static_cast<std::int64_t>(tensors().size()); }
  /// Whether it has none.
  bool empty() const { return tensors().empty(); }

  /// Throw Error of code kOverflow when they do not fit, kUnderflow when fewer are there,
  /// InvalidArgument for a tensor of another rank, type or layout (compared in this order) and for a
  /// negative count.
  void push_back(const Tensor& tensor);
  /// All of them in order, or none.
  void push_back(const std::vector<Tensor>& tensors);

  /// Takes the last `count` off, or none.
  void pop_back(std::int64_t count = 1);

  void clear() noexcept;                               ///< takes all off
  void set(std::int64_t index, const Tensor& tensor);  ///< index as for at(), kind as for push_back

  int rank() const;                       ///< -1 when empty
  std::optional<DataType> dtype() const;  ///< nullopt when empty
  TensorLayout layout() const;            ///< {} when empty, or without one

  /// Throws InvalidArgument outside of 0 to size() - 1.
  const Tensor& at(std::int64_t index) const;

  /// Not checked: 0 to size() - 1.
  const Tensor& operator[](std::int64_t index) const {
    return tensors()[static_cast<std::size_t>(index)];
  }

  /// The members in order; valid until the batch changes.
  /// @{
  std::vector<Tensor>::const_iterator begin() const { return tensors().begin(); }
  std::vector<Tensor>::const_iterator end() const { return tensors().end(); }
  /// @}

 private:
  const std::vector<Tensor>& tensors() const { return *tensors_; }
  std::shared_ptr<std::vector<Tensor>> tensors_;
};

}  // namespace nvcv_cached
