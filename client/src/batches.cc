// The two batches: an item for the table, and handles of the members.
#include <algorithm>
#include <string>

#include "client/src/item.h"
#include "client/src/spec.h"
#include "client/src/thread_cache.h"
#include "nvcv_cached/error.h"
#include "nvcv_cached/image_batch.h"
#include "nvcv_cached/tensor_batch.h"

namespace nvcv_cached {
namespace {

std::string Article(const char* noun) { return *noun == 'i' ? "an " : "a "; }

// The first sentences are NVCV's, which programs match.
void CheckRoom(std::int64_t capacity, std::int64_t present, std::size_t more, const char* what) {
  const std::int64_t excess = present + static_cast<std::int64_t>(more) - capacity;
  if (excess <= 0) return;
  throw Overflow(
      "Adding " + std::to_string(more) + " " + what + "s to " + Article(what) + what +
          " batch would exceed its capacity (" + std::to_string(capacity) + ") by " +
          std::to_string(excess),
      "make a batch of a larger capacity, or pop some of its " + std::to_string(present));
}

void CheckPop(std::int64_t present, std::int64_t count, const char* what) {
  const std::string asked = "Trying to pop " + std::to_string(count) + " " + what + "s from " +
                            Article(what) + what + " batch with " + std::to_string(present) + " " +
                            what + "s.";
  if (count < 0) throw InvalidArgument(asked, "give 0 or more");
  if (count > present) throw Underflow(asked, "pop no more than are there");
}

void CheckIndex(std::int64_t index, std::int64_t size, const char* verb) {
  if (index >= 0 && index < size) return;
  throw InvalidArgument(std::string("Cannot ") + verb + " tensor at index " +
                            std::to_string(index) + ". Batch has only " + std::to_string(size) +
                            " elements.",
                        "count from 0");
}

std::string Described(const Tensor& tensor) {
  return tensor.shape().str() + " " + tensor.dtype().name() + " with " +
         (tensor.layout().empty() ? "no layout" : "layout " + tensor.layout().str());
}

void CheckSame(const Tensor& first, const Tensor& other) {
  const char* differs = other.rank() != first.rank()       ? "rank"
                        : other.dtype() != first.dtype()   ? "type"
                        : other.layout() != first.layout() ? "layout"
                                                           : nullptr;
  if (differs == nullptr) return;
  throw InvalidArgument(
      std::string("Trying to add a tensor to a tensor batch with an inconsistent ") + differs +
          ". It is " + Described(other) + ", those of the batch are " + Described(first),
      std::string("batch tensors of one ") + differs);
}

}  // namespace

ImageBatchVarShape::ImageBatchVarShape(std::int64_t capacity)
    : Container(client::TakeItem(client::Spec::OfBatch(client::Kind::kImageBatch, capacity))),
      images_(std::make_shared<std::vector<Image>>()) {}

std::int64_t ImageBatchVarShape::capacity() const { return item_->spec.extents[0]; }

void ImageBatchVarShape::push_back(const Image& image) {
  CheckRoom(capacity(), size(), 1, "image");
  images_->push_back(image);
}

void ImageBatchVarShape::push_back(const std::vector<Image>& images) {
  CheckRoom(capacity(), size(), images.size(), "image");
  images_->reserve(images_->size() + images.size());
  images_->insert(images_->end(), images.begin(), images.end());
}

void ImageBatchVarShape::pop_back(std::int64_t count) {
  CheckPop(size(), count, "image");
  images_->erase(images_->end() - count, images_->end());
}

void ImageBatchVarShape::clear() noexcept { images_->clear(); }

Size ImageBatchVarShape::max_size() const {
  Size most;
  for (const Image& image : images()) {
    most.width = std::max(most.width, image.width());
    most.height = std::max(most.height, image.height());
  }
  return most;
}

std::optional<Format> ImageBatchVarShape::unique_format() const {
  if (empty()) return std::nullopt;
  const Format format = images().front().format();
  for (const Image& image : images()) {
    if (image.format() != format) return std::nullopt;
  }
  return format;
}

TensorBatch::TensorBatch(std::int64_t capacity)
    : Container(client::TakeItem(client::Spec::OfBatch(client::Kind::kTensorBatch, capacity))),
      tensors_(std::make_shared<std::vector<Tensor>>()) {}

std::int64_t TensorBatch::capacity() const { return item_->spec.extents[0]; }

void TensorBatch::push_back(const Tensor& tensor) {
  CheckRoom(capacity(), size(), 1, "tensor");
  if (!empty()) CheckSame(tensors().front(), tensor);
  tensors_->push_back(tensor);
}

void TensorBatch::push_back(const std::vector<Tensor>& tensors) {
  CheckRoom(capacity(), size(), tensors.size(), "tensor");
  for (const Tensor& tensor : tensors) {
    CheckSame(empty() ? tensors.front() : this->tensors().front(), tensor);
  }
  tensors_->reserve(tensors_->size() + tensors.size());
  tensors_->insert(tensors_->end(), tensors.begin(), tensors.end());
}

void TensorBatch::pop_back(std::int64_t count) {
  CheckPop(size(), count, "tensor");
  tensors_->erase(tensors_->end() - count, tensors_->end());
}

void TensorBatch::clear() noexcept { tensors_->clear(); }

const Tensor& TensorBatch::at(std::int64_t index) const {
  CheckIndex(index, size(), "get");
  return tensors()[static_cast<std::size_t>(index)];
}

void TensorBatch::set(std::int64_t index, const Tensor& tensor) {
  CheckIndex(index, size(), "set");
  CheckSame(tensors().front(), tensor);
  (*tensors_)[static_cast<std::size_t>(index)] = tensor;
}

int TensorBatch::rank() const { return empty() ? -1 : tensors().front().rank(); }

std::optional<DataType> TensorBatch::dtype() const {
  if (empty()) return std::nullopt;
  return tensors().front().dtype();
}

TensorLayout TensorBatch::layout() const {
  return empty() ? TensorLayout() : tensors().front().layout();
}

}  // namespace nvcv_cached
