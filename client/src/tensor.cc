#include "nvcv_cached/tensor.h"

#include "client/src/fork_guard.h"
#include "client/src/item.h"
#include "client/src/spec.h"
#include "client/src/thread_cache.h"

namespace nvcv_cached {

Tensor::Tensor(const Shape& shape, DataType dtype, const TensorLayout& layout, int row_align)
    : item_(client::TakeItem(client::Spec::OfTensor(shape, dtype, layout, row_align))) {}

Tensor::Tensor(const Tensor& other) noexcept : item_(other.item_) { client::AddRef(item_); }

void Tensor::Drop() noexcept { client::DropItem(item_); }

Shape Tensor::shape() const {
  return Shape(item_->spec.extents, static_cast<std::size_t>(item_->spec.rank));
}

int Tensor::rank() const { return item_->spec.rank; }

DataType Tensor::dtype() const { return item_->spec.data_type(); }

TensorLayout Tensor::layout() const { return TensorLayout(item_->spec.layout); }

std::int64_t Tensor::stride_bytes(int dim) const { return item_->strides[dim]; }

std::size_t Tensor::size_bytes() const { return item_->size_bytes; }

std::size_t Tensor::cache_bytes() const { return item_->counted_bytes; }

void* Tensor::data() const {
  client::RefuseInForkedChild();
  return item_->HandOut();
}

int Tensor::cuda_device() const {
  return item_->fencer == nullptr ? -1 : item_->fencer->device_ordinal();
}

void Tensor::record_stream(const Stream& stream) const {
  client::RefuseInForkedChild();
  item_->HandOutOn(stream.state_);
}

Device Tensor::device() const { return client::DeviceOf(*item_); }

}  // namespace nvcv_cached
