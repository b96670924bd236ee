#include "nvcv_cached/resource.h"

#include "client/src/fork_guard.h"
#include "client/src/item.h"
#include "client/src/thread_cache.h"

namespace nvcv_cached {

Resource::Resource(const Resource& other) noexcept : item_(other.item_) { client::AddRef(item_); }

Resource& Resource::operator=(const Resource& other) noexcept {  // NOLINT: itself: AddRef is first
  client::AddRef(other.item_);
  if (item_ != nullptr) Drop();
  item_ = other.item_;
  return *this;
}

void Resource::Drop() noexcept { client::DropItem(item_); }

std::uint64_t Resource::id() const { return item_->id; }

std::size_t Resource::cache_bytes() const { return item_->counted_bytes; }

Device Resource::device() const {
  if (item_ == nullptr || item_->device == nullptr) return nvcv_cached::device();
  return client::DeviceOf(*item_);
}

int Resource::cuda_device() const {
  return item_ == nullptr || item_->fencer == nullptr ? -1 : item_->fencer->device_ordinal();
}

void Resource::record_stream(const Stream& stream) const {
  if (item_ == nullptr) return;
  client::RefuseInForkedChild();
  item_->HandOutOn(stream.state_);
}

void Resource::submit_stream_sync(const Stream& stream) const {
  if (item_ == nullptr) return;
  client::RefuseInForkedChild();
  item_->HandOutAfter(stream.state_);
}

}  // namespace nvcv_cached
