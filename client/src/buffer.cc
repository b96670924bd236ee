#include "nvcv_cached/buffer.h"

#include <algorithm>
#include <cstdint>

#include "client/src/fork_guard.h"
#include "client/src/item.h"
#include "client/src/spec.h"
#include "client/src/thread_cache.h"

namespace nvcv_cached {

Buffer::Buffer(std::size_t size_bytes, std::size_t alignment)
    : item_(client::TakeItem(client::Spec::OfBuffer(
          size_bytes, static_cast<uint32_t>(std::min<std::size_t>(alignment, UINT32_MAX))))) {}

Buffer::Buffer(const Buffer& other) noexcept : item_(other.item_) { client::AddRef(item_); }

void Buffer::Drop() noexcept { client::DropItem(item_); }

void* Buffer::data() const {
  if (item_ == nullptr) return nullptr;
  client::RefuseInForkedChild();
  return item_->HandOut();
}

std::size_t Buffer::size_bytes() const {
  return item_ == nullptr ? 0 : static_cast<std::size_t>(item_->spec.extents[0]);
}

void Buffer::record_stream(const Stream& stream) const {
  if (item_ == nullptr) return;
  client::RefuseInForkedChild();
  item_->HandOutOn(stream.state_);
}

Device Buffer::device() const {
  return item_ == nullptr ? nvcv_cached::device() : client::DeviceOf(*item_);
}

}  // namespace nvcv_cached
