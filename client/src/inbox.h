// Items that other threads released, on their way to the cache of the thread that made them.
//
// A list that many threads push and one takes as a whole: no A-B-A, no memory to reclaim. Closing
// it is for ever until Reopen; a push that finds it closed says so, and its caller goes to the
// depot. Thread-safety: Push by any thread; the rest by the owner.
#pragma once

#include <atomic>

#include "client/src/item.h"

namespace nvcv_cached::client {

class Inbox {
 public:
  bool Push(Item* item) noexcept {
    Item* head = head_.load(std::memory_order_relaxed);
    do {
      if (head == Closed()) return false;
      item->next = head;
    } while (!head_.compare_exchange_weak(head, item, std::memory_order_release,
                                          std::memory_order_relaxed));
    return true;
  }

  bool empty() const noexcept { return head_.load(std::memory_order_relaxed) == nullptr; }

  // Oldest first, linked by `next`.
  Item* TakeAll() noexcept { return Reversed(head_.exchange(nullptr, std::memory_order_acquire)); }
  Item* Close() noexcept { return Reversed(head_.exchange(Closed(), std::memory_order_acquire)); }
  void Reopen() noexcept { head_.store(nullptr, std::memory_order_relaxed); }

 private:
  static Item* Closed() noexcept { return reinterpret_cast<Item*>(uintptr_t{1}); }
  static Item* Reversed(Item* newest) noexcept {
    Item* oldest = nullptr;
    while (newest != nullptr) {
      Item* const before = newest->next;
      newest->next = oldest;
      oldest = newest;
      newest = before;
    }
    return oldest;
  }

  std::atomic<Item*> head_{nullptr};
};

}  // namespace nvcv_cached::client
