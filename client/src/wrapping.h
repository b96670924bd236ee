// What an item knows that lies on memory of another object: whom the memory belongs to, and how it
// is handed out.
//
// Such an item has no slot, counts 0 bytes, is never idle, and leaves the cache with its last
// handle. Its memory is a parent item's (a reshape), or foreign (as_tensor). Handing it out hands
// out the parent, so that the parent's release is fenced; foreign memory is its owner's to fence.
// Thread-safety: immutable once made.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "client/src/fence.h"
#include "client/src/local_items.h"
#include "client/src/spec.h"
#include "client/src/strides.h"
#include "nvcv_cached/format.h"
#include "nvcv_cached/tensor.h"

namespace nvcv_cached::client {

class Item;

class WrappedFencer final : public Fencer {
 public:
  WrappedFencer(Item* parent, int device_ordinal) : parent_(parent), device_(device_ordinal) {}
  void HandOut(Item& item) override;
  void HandOutOn(Item& item, const std::shared_ptr<StreamState>& stream) override;
  void HandOutAfter(Item& item, const std::shared_ptr<StreamState>& stream) override;
  std::optional<lease_table::Fence> AtRelease(Item&) noexcept override { return std::nullopt; }
  int device_ordinal() const override { return device_; }

 private:
  Item* const parent_;  // null: foreign memory
  const int device_;
};

enum class Counts { kAsItem, kNot };  // a wrapper is an item of 0 bytes, an export is none

struct Wrapping {
  Wrapping(Item* parent_item, Foreign foreign, Counts counts);
  ~Wrapping();
  Wrapping(const Wrapping&) = delete;
  Wrapping& operator=(const Wrapping&) = delete;

  Item* const parent;  // one handle of it, or null
  const std::shared_ptr<const void> owner;
  void* planes[kMaxPlanes] = {};  // of an image
  WrappedFencer fencer;
  Membership membership;
};

// One handle of a new item of this spec on memory of `parent` (the caller's handle stays the
// caller's).
Item* WrapParent(const Spec& spec, const Footprint& strides, Item* parent, void* data,
                 Counts counts = Counts::kAsItem);

Item* WrapForeign(const Spec& spec, const Footprint& strides, Foreign foreign, void* data);

}  // namespace nvcv_cached::client
