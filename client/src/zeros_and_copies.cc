// What the objects do to their own contents; apart, because it needs the device and not only a
// source of leases.
#include <array>
#include <cstdint>

#include "client/src/contents.h"
#include "client/src/errors.h"
#include "nvcv_cached/copy.h"
#include "nvcv_cached/image.h"
#include "nvcv_cached/tensor.h"

namespace nvcv_cached {
namespace {

void Copy(const Image& image, int index, void* host, std::int64_t row_stride, client::To to) {
  const ImagePlane plane = image.plane(index);
  client::ThrowUnlessOk(client::CopyRows({.device = plane.data,
                                          .device_stride = plane.row_stride,
                                          .host = host,
                                          .host_stride = row_stride,
                                          .row_bytes = plane.size.width * plane.type.size_bytes(),
                                          .count = plane.size.height},
                                         to, image.cuda_device()));
}

}  // namespace

int cuda_device_of(const void* pointer) { return client::ValueOrThrow(client::DeviceOf(pointer)); }

Tensor copy_of(const Tensor& tensor) {
  Tensor copy(tensor.shape(), tensor.dtype(), tensor.layout());
  std::array<std::int64_t, kMaxRank> shape{}, from{}, to{};
  const auto rank = static_cast<std::size_t>(tensor.rank());
  for (std::size_t dim = 0; dim < rank; ++dim) {
    shape[dim] = tensor.shape()[static_cast<int>(dim)];
    from[dim] = tensor.stride_bytes(static_cast<int>(dim));
    to[dim] = copy.stride_bytes(static_cast<int>(dim));
  }
  client::ThrowUnlessOk(client::CopyArray({.shape = {shape.data(), rank},
                                           .element_bytes = tensor.dtype().size_bytes(),
                                           .from = tensor.data(),
                                           .from_strides = {from.data(), rank},
                                           .to = copy.data(),
                                           .to_strides = {to.data(), rank}},
                                          tensor.cuda_device()));
  return copy;
}

Tensor Tensor::Zeros(const Shape& shape, DataType dtype, const TensorLayout& layout,
                     int row_align) {
  Tensor tensor(shape, dtype, layout, row_align);
  client::ThrowUnlessOk(client::FillZero(tensor.data(), tensor.size_bytes(), tensor.cuda_device()));
  return tensor;
}

Image Image::Zeros(Size size, Format format, int row_align) {
  Image image(size, format, row_align);
  client::ThrowUnlessOk(
      client::FillZero(image.plane(0).data, image.size_bytes(), image.cuda_device()));
  return image;
}

void Image::CopyFromHost(int plane, const void* source, std::int64_t row_stride) const {
  Copy(*this, plane, const_cast<void*>(source), row_stride, client::To::kDevice);
}

void Image::CopyToHost(int plane, void* target, std::int64_t row_stride) const {
  Copy(*this, plane, target, row_stride, client::To::kHost);
}

}  // namespace nvcv_cached
