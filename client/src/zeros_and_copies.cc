// What the objects do to their own contents; apart, because it needs the device and not only a
// source of leases.
#include "client/src/contents.h"
#include "client/src/errors.h"
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
