// Items without memory of the daemon's: streams, wrappers of other memory, payloads of operators.
// They count 0 bytes, belong to the cache of the thread that made them, and never leave the
// process.
//
// A Membership is one such item's place in a thread's cache. It counts while the item is in use; an
// item that can be reused counts while it is idle too. A clear, and the thread's end, take all of
// them off the count: idle ones end then, those in use live on and are never reused.
//
// Invariant: a thread's count = members in use + idle ones, of the current generation.
// Thread-safety: thread-safe. One lock per thread, which others take only to clear, to count, and
// to give back what they release for it. No key is compared and no payload destroyed under a lock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "nvcv_cached/cache.h"
#include "nvcv_cached/external_cache_item.h"

namespace nvcv_cached::client {

class LocalItems;

class Membership {
 public:
  Membership() = default;    // of nothing
  static Membership Join();  // in the calling thread's cache
  Membership(Membership&& other) noexcept = default;
  Membership& operator=(Membership&&) = delete;
  ~Membership();

  LocalItems* home() const { return home_.get(); }

 private:
  friend class LocalItems;
  Membership(std::shared_ptr<LocalItems> home, uint64_t generation)
      : home_(std::move(home)), generation_(generation) {}
  std::shared_ptr<LocalItems> home_;
  uint64_t generation_ = 0;
};

struct LocalItem {
  std::shared_ptr<const ExternalKey> key;
  std::shared_ptr<void> payload;
  Membership membership;
};

// The idle item of an equal key that this thread's cache took in last.
std::optional<LocalItem> TakeIdle(const ExternalKey& key);

// The item's payload, for use; the end of the last pointer gives the item back to its thread's
// cache.
std::shared_ptr<void> Lend(LocalItem item);

// Of the calling thread (Scope::kThread) or of all; nothing for Scope::kDaemon.
int64_t CountLocalItems(Scope scope);
void ClearLocalItems(Scope scope);

}  // namespace nvcv_cached::client
