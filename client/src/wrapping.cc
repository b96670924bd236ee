#include "client/src/wrapping.h"

#include <utility>

#include "client/src/item.h"
#include "client/src/thread_cache.h"

namespace nvcv_cached::client {
namespace {

Item* Wrap(const Spec& spec, const Footprint& strides, std::unique_ptr<Wrapping> wrapping,
           void* data) {
  Item* const parent = wrapping->parent;
  auto item = std::make_unique<Item>(parent == nullptr ? nullptr : parent->device, spec, strides);
  item->size_bytes = 0;
  item->data = data;
  const bool on_gpu = wrapping->fencer.device_ordinal() >= 0;
  item->fencer = on_gpu ? &wrapping->fencer : nullptr;
  item->wrapping = std::move(wrapping);
  item->refs.store(1, std::memory_order_relaxed);
  return item.release();
}

}  // namespace

void WrappedFencer::HandOut(Item&) {
  if (parent_ != nullptr) parent_->HandOut();
}

void WrappedFencer::HandOutOn(Item&, const std::shared_ptr<StreamState>& stream) {
  if (parent_ != nullptr) parent_->HandOutOn(stream);
}

void WrappedFencer::HandOutAfter(Item&, const std::shared_ptr<StreamState>& stream) {
  if (parent_ != nullptr) parent_->HandOutAfter(stream);
}

Wrapping::Wrapping(Item* parent_item, Foreign foreign, Counts counts)
    : parent(parent_item),
      owner(std::move(foreign.owner)),
      fencer(parent_item, foreign.cuda_device),
      membership(counts == Counts::kAsItem ? Membership::Join() : Membership()) {
  AddRef(parent);
}

Wrapping::~Wrapping() {
  if (parent != nullptr) DropItem(parent);
}

Item* WrapParent(const Spec& spec, const Footprint& strides, Item* parent, void* data,
                 Counts counts) {
  const int ordinal = parent->fencer == nullptr ? -1 : parent->fencer->device_ordinal();
  return Wrap(spec, strides, std::make_unique<Wrapping>(parent, Foreign{nullptr, ordinal}, counts),
              data);
}

Item* WrapForeign(const Spec& spec, const Footprint& strides, Foreign foreign, void* data) {
  return Wrap(spec, strides,
              std::make_unique<Wrapping>(nullptr, std::move(foreign), Counts::kAsItem), data);
}

}  // namespace nvcv_cached::client
