// A device's idle items without a thread: from threads that have ended, for threads that ask.
//
// Its items carry kDepotTag in their slots, so that no thread's scope counts them.
// Thread-safe: one mutex, held for list work only; no CAS, no call under it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include "client/src/idle_index.h"

namespace nvcv_cached::client {

class Depot {
 public:
  // Takes an idle item that no list holds and that its thread has left (its lease may be gone
  // already).
  void Take(Item* item) noexcept;

  // Null: none. What they give still has to be reused: its lease may be gone.
  Item* PopExact(const Spec& spec) noexcept;
  Item* PopFit(uint64_t size_bytes, uint64_t alignment) noexcept;

  // Drops up to `looks` items that the daemon has taken.
  void Sweep(int looks) noexcept;

  size_t size() const { return size_.load(std::memory_order_relaxed); }

 private:
  std::mutex mutex_;
  IdleIndex index_;              // under mutex_
  std::atomic<size_t> size_{0};  // of index_: an empty depot is passed by without the lock
};

}  // namespace nvcv_cached::client
