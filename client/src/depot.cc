#include "client/src/depot.h"

#include "client/src/thread_cache.h"

namespace nvcv_cached::client {

void Depot::Take(Item* item) noexcept {
  // The tag may change only while the slot is ours: an idle one may by now be another lease.
  if (!item->TryReuse()) {
    delete item;
    return;
  }
  item->slot->thread_tag.store(kDepotTag, std::memory_order_relaxed);
  item->owner = nullptr;
  const uint32_t released_ms = item->slot->last_used.load(std::memory_order_relaxed);
  const auto idle = lease_table::Release(*item->slot, item->word, std::nullopt, released_ms);
  if (idle) {
    item->word = *idle;
    std::lock_guard lock(mutex_);
    if (index_.Push(item)) {
      size_.store(index_.size(), std::memory_order_relaxed);
      return;
    }
  }
  item->GiveBack();
  delete item;
}

Item* Depot::PopExact(const Spec& spec) noexcept {
  if (size() == 0) return nullptr;
  std::lock_guard lock(mutex_);
  Item* const item = index_.PopExact(spec);
  size_.store(index_.size(), std::memory_order_relaxed);
  return item;
}

Item* Depot::PopFit(uint64_t size_bytes, uint64_t alignment) noexcept {
  if (size() == 0) return nullptr;
  std::lock_guard lock(mutex_);
  Item* const item = index_.PopFit(size_bytes, alignment);
  size_.store(index_.size(), std::memory_order_relaxed);
  return item;
}

void Depot::Sweep(int looks) noexcept {
  if (size() == 0) return;
  std::lock_guard lock(mutex_);
  while (Item* stale = index_.SweepStale(&looks)) delete stale;
  size_.store(index_.size(), std::memory_order_relaxed);
}

}  // namespace nvcv_cached::client
