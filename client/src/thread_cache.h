// A thread's idle items: found by spec without a lock, without a call to the daemon and without a
// system call.
//
//   Take(spec)  own, exact -> own, by size -> depot, exact -> depot, by size -> the daemon
//   Drop(item)  on the owner's thread: CAS, then its index; on another: CAS, then the owner's
//   inbox; when the
//               owner's thread has ended: CAS, then the depot
//
// A cache is made at a thread's first object on a device and ends with the thread (after its
// thread_local objects): idle items go to the depot, those in use are orphans and go there when
// they are dropped. The struct is never freed; it serves another thread once no item names it any
// more, so a late push always finds a closed inbox.
//
// Invariant: outstanding_ = items owned and not in the index: in use or in the inbox.
// Thread-safety: a cache belongs to its thread, but for the inbox and the orphans' count. Take and
// Drop may be called by any thread, also while it ends.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "client/src/device_cache.h"
#include "client/src/idle_index.h"
#include "client/src/inbox.h"
#include "client/src/item.h"
#include "client/src/spec.h"

namespace nvcv_cached::client {

// Thread tags are numbers of counter lines. The first two belong to no one thread.
inline constexpr uint32_t kDepotTag = 0;
inline constexpr uint32_t kSharedTag = 1;  // threads beyond kCounterLines - 2 at once
inline constexpr uint32_t kFirstThreadTag = 2;

// A thread that misses the same spec of up to this many bytes again and again is granted several at
// once.
inline constexpr uint64_t kAheadMaxBytes = 256 << 10;

// An item of this spec with one handle. Throws what buffer.h names.
Item* TakeItem(const Spec& spec);

// The same on a device that is not the thread's, or may not be.
Item* TakeItemOn(DeviceCache& device, const Spec& spec);

// The last handle is gone, or this one was not the last.
void DropItem(Item* item) noexcept;

// The device of an item's memory. Never connects.
Device DeviceOf(const Item& item);

// The calling thread's counter line at its device; nullopt: it has made no object there.
std::optional<uint32_t> MyThreadTag();

class ThreadCache {
 public:
  ThreadCache(const ThreadCache&) = delete;
  ThreadCache& operator=(const ThreadCache&) = delete;

  // The calling thread's, of its device; made at the first call. Throws bad_alloc, and what
  // ChooseDevice says.
  static ThreadCache& Mine() {
    if (__builtin_expect(mine_ != nullptr && mine_->Serves(), 1)) return *mine_;
    return Choose();
  }
  static ThreadCache* MineIfAny();  // null: it has made no object on its device
  static void SwitchTo(const ChosenDevice& chosen);
  static ThreadCache& On(DeviceCache& device);  // the calling thread's of that device

  uint32_t tag() const { return tag_; }
  const DeviceCache* device() const { return device_; }

  // An idle item of the very spec, or null.
  Item* TakeExact(const Spec& spec) noexcept {
    if (__builtin_expect(!inbox_.empty(), 0)) DrainInbox();
    while (Item* item = index_.PopExact(spec)) {
      if (__builtin_expect(item->TryReuse(), 1)) {
        Count(&lease_table::CounterLine::hits_exact, item);
        return InUse(item);
      }
      Forget(item);
      missed_hash_ = 0;  // the daemon takes what this thread had of it: no time to ask ahead
    }
    return nullptr;
  }

  // The rest of Take, in order.
  absl::StatusOr<Item*> TakeOther(const Spec& spec);

  static void Drop(Item* item) noexcept {
    ThreadCache* const owner = item->owner;
    if (__builtin_expect(owner == nullptr || owner != mine_, 0)) return DropElsewhere(item);
    --owner->outstanding_;
    if (__builtin_expect(item->TryRelease() && owner->index_.Push(item), 1)) return;
    item->GiveBack();
    delete item;
  }

 private:
  explicit ThreadCache(uint32_t tag) : tag_(tag) {}

  bool Serves() const { return follows_ == nullptr || follows_() == ordinal_; }
  static ThreadCache& Choose();
  static ThreadCache* OfThread() noexcept;  // the calling thread's, of all its devices
  static ThreadCache* Find(const DeviceCache* device) noexcept;

  static void OnThreadExit(void* cache);
  static void DropElsewhere(Item* item) noexcept;

  Item* InUse(Item* item) noexcept {
    ++outstanding_;
    item->handed_out.store(false, std::memory_order_relaxed);
    item->refs.store(1, std::memory_order_relaxed);
    return item;
  }
  Item* TakeFit(const Spec& spec, const Footprint& footprint);
  Item* TakeFromDepot(const Spec& spec, const Footprint& footprint);
  absl::StatusOr<Item*> Ask(const Spec& spec, const Footprint& footprint);
  Item* Adopt(Item* item) noexcept;
  Item* Make(const Spec& spec, const Footprint& footprint, const Lease& lease) noexcept;
  uint32_t Ahead(const Spec& spec, uint64_t size_bytes);

  void Forget(Item* item) noexcept;  // an idle item that the daemon has taken
  void SweepStale(int looks) noexcept;
  void DrainInbox() noexcept;
  void File(Item* item) noexcept;  // an idle item into the index
  void Leave() noexcept;
  void OrphanCameBack(int64_t count) noexcept;

  // Counts are statistics: the line has one writer, but for the shared one.
  void Count(std::atomic<uint64_t> lease_table::CounterLine::*what, Item* item) noexcept {
    std::atomic<uint64_t>& counter = item->counters->*what;
    if (__builtin_expect(tag_ == kSharedTag, 0)) {
      counter.fetch_add(1, std::memory_order_relaxed);
    } else {
      counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }
  }

  static thread_local constinit ThreadCache* mine_ __attribute__((tls_model("initial-exec")));

  const uint32_t tag_;
  int64_t outstanding_ = 0;
  int ordinal_ = 0;                   // what was current when this became the thread's
  CurrentOrdinal follows_ = nullptr;  // null: the thread's device stays
  DeviceCache* device_ = nullptr;
  IdleIndex index_;

  uint64_t missed_hash_ = 0;    // the spec of the last miss,
  uint64_t missed_ms_ = 0;      // when it was,
  uint32_t misses_in_row_ = 0;  // and how many of it came in a row

  alignas(lease_table::kLine) Inbox inbox_;  // written by others: on a line of its own
  std::atomic<int64_t> orphans_{0};
  ThreadCache* next_free_ = nullptr;
  ThreadCache* of_other_device_ = nullptr;  // the same thread's next

  friend class FreeCaches;
};

}  // namespace nvcv_cached::client
