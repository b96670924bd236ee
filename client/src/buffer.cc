#include "nvcv_cached/buffer.h"

#include <algorithm>
#include <cstdint>

#include "client/src/fork_guard.h"
#include "client/src/item.h"
#include "client/src/spec.h"
#include "client/src/thread_cache.h"

namespace nvcv_cached {

Buffer::Buffer(std::size_t size_bytes, std::size_t alignment)
    : Resource(client::TakeItem(client::Spec::OfBuffer(
          size_bytes, static_cast<uint32_t>(std::min<std::size_t>(alignment, UINT32_MAX))))) {}

void* Buffer::data() const {
  if (item_ == nullptr) return nullptr;
  client::RefuseInForkedChild();
  return item_->HandOut();
}

std::size_t Buffer::size_bytes() const {
  return item_ == nullptr ? 0 : static_cast<std::size_t>(item_->spec.extents[0]);
}

}  // namespace nvcv_cached
