#include "nvcv_cached/tensor.h"

#include <string>
#include <utility>

#include "client/src/errors.h"
#include "client/src/fork_guard.h"
#include "client/src/item.h"
#include "client/src/reshape.h"
#include "client/src/spec.h"
#include "client/src/thread_cache.h"
#include "client/src/wrapping.h"
#include "nvcv_cached/error.h"

namespace nvcv_cached {
namespace {

client::Spec OfImages(int images, Size size, Format format, int row_align) {
  const std::string what = "a tensor of images of format " + format.name();
  if (format.is_block_linear() || format.is_subsampled()) {
    throw NotImplemented(what + ", which is sub-sampled or block linear",
                         "use one whose planes are all of full size, such as RGB8 or RGB8p");
  }
  if (format.planes() == 0) throw InvalidArgument(what, "name the format of the pixels");
  if (images < 0 || size.width < 0 || size.height < 0) {
    throw InvalidArgument("a tensor of " + std::to_string(images) + " images of " +
                              std::to_string(size.width) + "x" + std::to_string(size.height),
                          "use 0 or more of each");
  }
  const DataType pixel = format.plane_type(0);
  for (int plane = 1; plane < format.planes(); ++plane) {
    if (format.plane_type(plane) != pixel) {
      throw InvalidArgument(what + ", whose planes differ", "use a planar or a packed format");
    }
  }
  const DataType channel(pixel.kind(), pixel.bits());
  if (format.planes() == 1) {
    return client::Spec::OfTensor({images, size.height, size.width, pixel.components()}, channel,
                                  "NHWC", row_align);
  }
  return client::Spec::OfTensor({images, format.planes(), size.height, size.width}, channel, "NCHW",
                                row_align);
}

std::string Numbers(const std::vector<std::int64_t>& values) {
  std::string text = "(";
  for (std::size_t i = 0; i < values.size(); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(values[i]);
  }
  return text + ")";
}

void CheckWrapped(const void* data, const Shape& shape, DataType dtype, const TensorLayout& layout,
                  const std::vector<std::int64_t>& strides) {
  const std::string what = "a wrapper of " + shape.str() + " " + dtype.name();
  if (!dtype.is_supported()) throw InvalidArgument(what, "use one of the 50 types of DataType");
  if (data == nullptr) throw InvalidArgument(what + " on a null pointer", "give memory");
  if (!layout.empty() && layout.rank() != shape.rank()) {
    throw InvalidArgument(what + " with layout " + layout.str(), "give each dimension a label");
  }
  if (strides.size() != static_cast<std::size_t>(shape.rank())) {
    throw InvalidArgument(what + " with " + std::to_string(strides.size()) + " strides",
                          "give one for each dimension");
  }
  std::int64_t dense = dtype.size_bytes();
  const bool dense_pairs = layout.empty() || layout.view().back() == 'C';
  for (int dim = shape.rank() - 1; dim >= 0; --dim) {
    if (shape[dim] < 1) throw InvalidArgument(what, "use extents of 1 or more");
    const std::int64_t stride = strides[static_cast<std::size_t>(dim)];
    const bool must_be_dense = dim == shape.rank() - 1 || (dense_pairs && dim == shape.rank() - 2);
    if (shape[dim] != 1 && (must_be_dense ? stride != dense : stride < dense)) {
      throw InvalidArgument(
          what + " with strides " + Numbers(strides) + " in bytes: dimension " +
              std::to_string(dim) + " has " + std::to_string(stride) + ", and must have " +
              std::to_string(dense) + (must_be_dense ? "" : " or more"),
          layout.empty() && dim == shape.rank() - 2
              ? "name the layout of padded rows, such as \"HW\", or make a contiguous copy"
              : "make a contiguous copy");
    }
    if (shape[dim] != 1) dense = stride;
    if (__builtin_mul_overflow(dense, shape[dim], &dense)) {
      throw InvalidArgument(what + " of more than 63 bits of bytes", "make it smaller");
    }
  }
}

std::vector<std::int64_t> DenseStrides(const Shape& shape, DataType dtype) {
  std::vector<std::int64_t> strides(shape.begin(), shape.end());
  std::int64_t stride = dtype.size_bytes();
  for (auto dim = strides.rbegin(); dim != strides.rend(); ++dim) {
    const std::int64_t extent = *dim;
    *dim = stride;
    if (__builtin_mul_overflow(stride, extent, &stride)) stride = 0;  // CheckWrapped refuses it
  }
  return strides;
}

}  // namespace

Tensor::Tensor(const Shape& shape, DataType dtype, const TensorLayout& layout, int row_align)
    : Container(client::TakeItem(client::Spec::OfTensor(shape, dtype, layout, row_align))) {}

Tensor::Tensor(int images, Size size, Format format, int row_align)
    : Container(client::TakeItem(OfImages(images, size, format, row_align))) {}

Tensor Tensor::Wrap(void* data, const Shape& shape, DataType dtype, const TensorLayout& layout,
                    const std::vector<std::int64_t>& strides_bytes, Foreign foreign) {
  client::RefuseInForkedChild();
  const std::vector<std::int64_t> strides =
      strides_bytes.empty() ? DenseStrides(shape, dtype) : strides_bytes;
  CheckWrapped(data, shape, dtype, layout, strides);
  client::Footprint laid_out;
  std::copy(strides.begin(), strides.end(), laid_out.strides);
  return Tensor(client::WrapForeign(client::Spec::OfTensor(shape, dtype, layout, 0), laid_out,
                                    std::move(foreign), data));
}

Tensor Tensor::reshape(const Shape& to, const TensorLayout& layout) const {
  client::RefuseInForkedChild();
  if (!layout.empty() && layout.rank() != to.rank()) {
    throw InvalidArgument(
        "reshape of " + shape().str() + " to " + to.str() + " with layout " + layout.str(),
        "give each dimension a label, or drop the layout");
  }
  const client::Footprint strides =
      client::ValueOrThrow(client::Reshaped(shape(), item_->strides, dtype().size_bytes(), to));
  return Tensor(client::WrapParent(client::Spec::OfTensor(to, dtype(), layout, 0), strides, item_,
                                   item_->data));
}

Shape Tensor::shape() const {
  return Shape(item_->spec.extents, static_cast<std::size_t>(item_->spec.rank));
}

int Tensor::rank() const { return item_->spec.rank; }

DataType Tensor::dtype() const { return item_->spec.data_type(); }

TensorLayout Tensor::layout() const { return TensorLayout(item_->spec.layout); }

std::int64_t Tensor::stride_bytes(int dim) const { return item_->strides[dim]; }

std::size_t Tensor::size_bytes() const { return item_->size_bytes; }

bool Tensor::is_wrapped() const { return item_->wrapping != nullptr; }

void* Tensor::data() const {
  client::RefuseInForkedChild();
  return item_->HandOut();
}

}  // namespace nvcv_cached
