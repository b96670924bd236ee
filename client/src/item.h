// One lease in this process with the object made on it: what Resources are handles of.
//
// In use: `refs` handles name it, and `word` is the HELD word of its slot (what is empty or wraps
// other memory has no slot). Idle: no handle does, `word` is the IDLE word last seen, and exactly
// one list holds it: its owner's index, its owner's inbox, or the depot. Whether the word is still
// the slot's only the next CAS tells. The owner is the cache of the thread that acquired or adopted
// it; it changes only while the item is in use or in the depot.
//
// Layout: what a hit touches lies in the first three cache lines.
// Thread-safety: refs, handed_out and the uses are atomic; the rest is written by the thread that
// makes the item, takes it out of a list or drops its last handle, and read by holders of a handle.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "client/src/coarse_clock.h"
#include "client/src/fence.h"
#include "client/src/lease_source.h"
#include "client/src/spec.h"
#include "client/src/strides.h"
#include "proto/lease_table.h"

namespace nvcv_cached::client {

class ThreadCache;
struct DeviceCache;
struct FurtherUse;
struct StreamTimeline;
struct Wrapping;

class alignas(lease_table::kLine) Item {
 public:
  std::atomic<uint32_t> refs{0};
  std::atomic<bool> handed_out{false};
  bool unfenced = false;  // its work cannot be fenced: it goes back, and is never used again
  uint16_t size_class = 0;
  lease_table::Word word;
  lease_table::Slot* slot = nullptr;
  lease_table::CounterLine* counters = nullptr;  // the owner's line in the table of this lease
  Item* next = nullptr;      // same spec, released before; in an inbox: pushed before
  Item* prev = nullptr;      // same spec, released after; null: first of its list
  Item* fit_next = nullptr;  // same size class, a ring
  Item* fit_prev = nullptr;

  ThreadCache* owner = nullptr;
  uint64_t clock_zero_ms = 0;
  Fencer* fencer = nullptr;  // null: a device without streams
  Spec spec;

  void* data = nullptr;
  uint64_t block_bytes = 0;
  uint64_t size_bytes = 0;  // what this spec needs, rounded
  Session* session = nullptr;
  DeviceCache* device = nullptr;
  uint32_t slot_index = 0;
  uint64_t counted_bytes = 0;  // what the lease was granted for
  uint64_t id = 0;             // of the object; kept when it is reused as it is
  int64_t strides[kMaxRank] = {};
  std::unique_ptr<Wrapping> wrapping;  // null but for an item on memory of another object

  // What the device's Fencer knows of the streams that use the memory; null from release to
  // hand-out.
  std::atomic<StreamTimeline*> first_use{nullptr};
  std::atomic<FurtherUse*> further_uses{nullptr};

  Item(DeviceCache* of, const Spec& as, const Footprint& footprint);
  ~Item();
  Item(const Item&) = delete;
  Item& operator=(const Item&) = delete;

  void Become(const Spec& as, const Footprint& footprint);
  void Hold(const Lease& lease);
  Lease lease() const;

  bool IsAligned(uint64_t alignment) const {
    return (reinterpret_cast<uintptr_t>(data) & (alignment - 1)) == 0;
  }
  bool IsStale() const {  // the daemon took it: the slot no longer says what was last seen
    return slot->word.load(std::memory_order_relaxed) != word.bits();
  }

  // The transitions of an item's lease; `word` follows. TryReuse and TryRelease fail when the
  // daemon has revoked the lease: the item is dropped, after a failed release by GiveBack.
  bool TryReuse() {
    const auto held = lease_table::Reuse(*slot, word);
    if (!held) return false;
    word = *held;
    return true;
  }
  bool TryRelease() {
    // Revoked from the start: its one fence is made by GiveBack.
    if (word.revoked()) return false;
    if (__builtin_expect(FenceIsDue(), 0)) return TryReleaseFenced();
    return ReleaseAfter(std::nullopt);
  }
  // Item is in use by nobody and its lease is revoked or not wanted: returns it to the daemon for
  // good.
  void GiveBack() noexcept;

  // The lease belongs to this thread's counter line from here on; the item is HELD.
  void TagAs(uint32_t thread_tag) {
    slot->thread_tag.store(thread_tag, std::memory_order_relaxed);
    SetCounters(thread_tag);
  }
  void SetCounters(uint32_t thread_tag);
  void WriteSpecText(std::string_view text);

  // The pointer leaves the library: on a device with streams the release is fenced from here on.
  // Each time counts, for the current stream may be another one.
  void* HandOut() {
    if (fencer != nullptr) {
      handed_out.store(true, std::memory_order_relaxed);
      fencer->HandOut(*this);
    }
    return data;
  }
  void HandOutOn(const std::shared_ptr<StreamState>& stream) {
    if (fencer == nullptr) return;
    handed_out.store(true, std::memory_order_relaxed);
    fencer->HandOutOn(*this, stream);
  }
  void HandOutAfter(const std::shared_ptr<StreamState>& stream) {
    if (fencer == nullptr) return;
    handed_out.store(true, std::memory_order_relaxed);
    fencer->HandOutAfter(*this, stream);
  }

 private:
  bool FenceIsDue() const noexcept {
    return fencer != nullptr && handed_out.load(std::memory_order_relaxed);
  }
  // Inlined with a constant nullopt, the optional is gone: made in memory it costs a hit 12 ns.
  bool ReleaseAfter(std::optional<lease_table::Fence> fence) {
    const auto now_ms = static_cast<uint32_t>(CoarseNowMs() - clock_zero_ms);
    const auto idle = lease_table::Release(*slot, word, fence, now_ms);
    if (!idle) return false;
    word = *idle;
    return true;
  }
  bool TryReleaseFenced() noexcept;
};

// What handles do. AddRef and DropRef touch no table but through the last DropRef.
inline void AddRef(Item* item) noexcept {
  if (item != nullptr) item->refs.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace nvcv_cached::client
