#include "client/src/thread_cache.h"

#include <pthread.h>

#include <mutex>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/src/coarse_clock.h"
#include "client/src/errors.h"
#include "client/src/fork_guard.h"
#include "client/src/process.h"
#include "client/src/strides.h"

namespace nvcv_cached::client {

thread_local constinit ThreadCache* ThreadCache::mine_ __attribute__((tls_model("initial-exec"))) =
    nullptr;

namespace {

// Looks for stale items at each miss: few when a hit is still possible, more beside a round trip.
constexpr int kLooksOnHit = 2;
constexpr int kLooksOnAsk = 64;
// Past this the thread no longer needs them "again and again".
constexpr uint64_t kAheadMemoryMs = 1000;
// A thread that ends leaves its table to the next one, unless it grew large.
constexpr size_t kKeepTable = 4096;

absl::StatusOr<const DeviceTraits*> AskTraits(DeviceCache& device) {
  absl::StatusOr<DeviceTraits> asked = device.source.Traits();
  if (!asked.ok()) return asked.status();
  ArmForkGuard();  // from here on there is a table that a fork must not touch
  auto* const traits = new DeviceTraits(*asked);
  const DeviceTraits* known = nullptr;
  if (device.traits.compare_exchange_strong(known, traits, std::memory_order_acq_rel)) {
    return traits;
  }
  delete traits;
  return known;
}

}  // namespace

// Caches whose threads have ended and that no item names; those with a tag of their own are taken
// first.
class FreeCaches {
 public:
  static FreeCaches& Process() {
    static FreeCaches* const free_caches = new FreeCaches;
    return *free_caches;
  }

  ThreadCache* Take() {
    std::lock_guard lock(mutex_);
    for (ThreadCache** list : {&own_, &shared_}) {
      if (ThreadCache* const cache = *list) {
        *list = std::exchange(cache->next_free_, nullptr);
        return cache;
      }
      if (next_tag_ < lease_table::kCounterLines) break;
    }
    auto* const cache =
        new ThreadCache(next_tag_ < lease_table::kCounterLines ? next_tag_ : kSharedTag);
    if (next_tag_ < lease_table::kCounterLines) ++next_tag_;
    return cache;
  }

  void Put(ThreadCache* cache) noexcept {
    std::lock_guard lock(mutex_);
    ThreadCache*& list = cache->tag_ == kSharedTag ? shared_ : own_;
    cache->next_free_ = std::exchange(list, cache);
  }

  pthread_key_t exit_key() const { return exit_key_; }

 private:
  // A key's destructor runs after the thread's thread_local objects are gone, and not for main()
  // returning.
  FreeCaches() { pthread_key_create(&exit_key_, ThreadCache::OnThreadExit); }

  std::mutex mutex_;
  ThreadCache* own_ = nullptr;     // under mutex_
  ThreadCache* shared_ = nullptr;  // under mutex_
  uint32_t next_tag_ = kFirstThreadTag;
  pthread_key_t exit_key_;
};

ThreadCache& ThreadCache::Choose() {
  // A thread that goes from one GPU to the other and back has both already.
  for (ThreadCache* cache = OfThread(); cache != nullptr; cache = cache->of_other_device_) {
    if (cache->follows_ != nullptr && cache->Serves()) return *(mine_ = cache);
  }
  SwitchTo(ValueOrThrow(ChooseDevice()));
  return *mine_;
}

ThreadCache* ThreadCache::OfThread() noexcept {
  return static_cast<ThreadCache*>(pthread_getspecific(FreeCaches::Process().exit_key()));
}

ThreadCache* ThreadCache::Find(const DeviceCache* device) noexcept {
  ThreadCache* cache = OfThread();
  while (cache != nullptr && cache->device_ != device) cache = cache->of_other_device_;
  return cache;
}

ThreadCache* ThreadCache::MineIfAny() {
  if (mine_ != nullptr && mine_->Serves()) return mine_;
  return Find(ValueOrThrow(ChooseDevice()).device);
}

ThreadCache& ThreadCache::On(DeviceCache& device) {
  ThreadCache* cache = Find(&device);
  if (cache == nullptr) {
    FreeCaches& caches = FreeCaches::Process();
    cache = caches.Take();
    cache->device_ = &device;
    cache->follows_ = nullptr;
    cache->of_other_device_ = OfThread();
    cache->inbox_.Reopen();
    pthread_setspecific(caches.exit_key(), cache);
  }
  return *cache;
}

void ThreadCache::SwitchTo(const ChosenDevice& chosen) {
  ThreadCache& cache = On(*chosen.device);
  cache.follows_ = chosen.follows;
  cache.ordinal_ = chosen.ordinal;
  mine_ = &cache;
}

void ThreadCache::OnThreadExit(void* caches) {
  mine_ = nullptr;
  if (IsForkedChild()) return;
  for (auto* cache = static_cast<ThreadCache*>(caches); cache != nullptr;) {
    ThreadCache* const next = std::exchange(cache->of_other_device_, nullptr);
    cache->Leave();
    cache = next;
  }
}

void ThreadCache::Leave() noexcept {
  for (Item* item = inbox_.Close(); item != nullptr;) {
    Item* const next = item->next;
    File(item);
    item = next;
  }
  while (Item* item = index_.PopAny()) device_->depot.Take(item);
  const int64_t orphans = std::exchange(outstanding_, 0);
  if (orphans != 0 || index_.table_capacity() > kKeepTable) index_.FreeTable();
  missed_hash_ = 0;
  OrphanCameBack(-orphans);
}

// Orphans are added once, by the ending thread, and taken off one by one, perhaps before: the sum
// is zero for whoever makes it complete.
void ThreadCache::OrphanCameBack(int64_t count) noexcept {
  const int64_t left = orphans_.fetch_sub(count, std::memory_order_acq_rel) - count;
  if (left == 0) FreeCaches::Process().Put(this);
}

void ThreadCache::DropElsewhere(Item* item) noexcept {
  if (item->slot == nullptr) {  // an empty tensor
    delete item;
    return;
  }
  ThreadCache* const owner = item->owner;
  if (!item->TryRelease()) {
    item->GiveBack();
    item->slot = nullptr;  // only the owner's count is left of it
  }
  if (owner->inbox_.Push(item)) return;  // NOLINT: a leased item has an owner
  if (item->slot != nullptr) {
    item->device->depot.Take(item);
  } else {
    delete item;
  }
  owner->OrphanCameBack(1);
}

void ThreadCache::DrainInbox() noexcept {
  for (Item* item = inbox_.TakeAll(); item != nullptr;) {
    Item* const next = item->next;
    File(item);
    item = next;
  }
}

void ThreadCache::File(Item* item) noexcept {
  --outstanding_;
  if (item->slot == nullptr) {
    delete item;
  } else if (!index_.Push(item)) {
    item->GiveBack();
    delete item;
  }
}

void ThreadCache::Forget(Item* item) noexcept {
  Count(&lease_table::CounterLine::lost, item);
  delete item;
}

void ThreadCache::SweepStale(int looks) noexcept {
  while (Item* item = index_.SweepStale(&looks)) Forget(item);
}

Item* ThreadCache::TakeFit(const Spec& spec, const Footprint& footprint) {
  while (Item* item = index_.PopFit(footprint.size_bytes, footprint.alignment)) {
    if (item->TryReuse()) {
      item->Become(spec, footprint);
      item->WriteSpecText(SpecText(spec));
      Count(&lease_table::CounterLine::hits_size_class, item);
      return InUse(item);
    }
    Forget(item);
  }
  return nullptr;
}

Item* ThreadCache::TakeFromDepot(const Spec& spec, const Footprint& footprint) {
  Depot& depot = device_->depot;
  while (Item* item = depot.PopExact(spec)) {
    if (item->TryReuse()) return Adopt(item);
    delete item;
  }
  while (Item* item = depot.PopFit(footprint.size_bytes, footprint.alignment)) {
    if (item->TryReuse()) {
      item->Become(spec, footprint);
      item->WriteSpecText(SpecText(spec));
      return Adopt(item);
    }
    delete item;
  }
  return nullptr;
}

Item* ThreadCache::Adopt(Item* item) noexcept {
  item->owner = this;
  item->TagAs(tag_);
  Count(&lease_table::CounterLine::hits_depot, item);
  return InUse(item);
}

// 8, 32, 32 ... from the second miss in a row on.
uint32_t ThreadCache::Ahead(const Spec& spec, uint64_t size_bytes) {
  const uint64_t now_ms = CoarseNowMs();
  const bool again = missed_hash_ == spec.hash && now_ms - missed_ms_ < kAheadMemoryMs;
  missed_hash_ = spec.hash;
  missed_ms_ = now_ms;
  misses_in_row_ = again ? misses_in_row_ + 1 : 0;
  if (!again || size_bytes > kAheadMaxBytes) return 0;
  return misses_in_row_ == 1 ? 8 : 32;
}

Item* ThreadCache::Make(const Spec& spec, const Footprint& footprint, const Lease& lease) noexcept {
  auto* const item = new (std::nothrow) Item(device_, spec, footprint);
  if (item == nullptr) {
    if (lease_table::Return(*lease.slot, lease.word, std::nullopt)) {
      device_->source.Returned(lease);
    }
    return nullptr;
  }
  item->Hold(lease);
  item->counted_bytes = footprint.size_bytes;
  item->owner = this;
  item->SetCounters(tag_);
  return item;
}

absl::StatusOr<Item*> ThreadCache::Ask(const Spec& spec, const Footprint& footprint) {
  SweepStale(kLooksOnAsk);
  device_->depot.Sweep(kLooksOnAsk);
  const std::string text = SpecText(spec);
  absl::StatusOr<std::vector<Lease>> leases =
      device_->source.Acquire(LeaseRequest{.size_bytes = footprint.size_bytes,
                                           .alignment = footprint.alignment,
                                           .thread_tag = tag_,
                                           .ahead = Ahead(spec, footprint.size_bytes),
                                           .spec = text});
  if (!leases.ok()) return leases.status();
  Item* first = nullptr;
  for (const Lease& lease : *leases) {
    Item* const item = Make(spec, footprint, lease);
    if (item == nullptr) continue;
    if (lease.word.state() == lease_table::State::kHeld && first == nullptr) {
      item->WriteSpecText(text);
      first = item;
    } else if (!index_.Push(item)) {
      item->GiveBack();
      delete item;
    }
  }
  if (first == nullptr) {
    return absl::ResourceExhaustedError(
        absl::StrCat("no memory in this process for the record of a ", text));
  }
  if (!first->IsAligned(footprint.alignment)) {
    first->GiveBack();
    const auto address = reinterpret_cast<uintptr_t>(first->data);
    delete first;
    return absl::InternalError(absl::StrCat("asked ", text, " aligned to ", footprint.alignment,
                                            "; found it at 0x", absl::Hex(address)));
  }
  return InUse(first);
}

absl::StatusOr<Item*> ThreadCache::TakeOther(const Spec& spec) {
  const DeviceTraits* traits = device_->traits.load(std::memory_order_acquire);
  if (traits == nullptr) {
    const absl::StatusOr<const DeviceTraits*> asked = AskTraits(*device_);
    if (!asked.ok()) return asked.status();
    traits = *asked;
  }
  const absl::StatusOr<Footprint> footprint = FootprintOf(spec, *traits);
  if (!footprint.ok()) return footprint.status();
  if (footprint->size_bytes == 0) {
    auto* const empty = new Item(device_, spec, *footprint);
    empty->refs.store(1, std::memory_order_relaxed);
    return empty;
  }
  SweepStale(kLooksOnHit);
  if (Item* item = TakeFit(spec, *footprint)) return item;
  if (Item* item = TakeFromDepot(spec, *footprint)) return item;
  return Ask(spec, *footprint);
}

Item* TakeItemOn(DeviceCache& device, const Spec& spec) {
  RefuseInForkedChild();
  ThreadCache& mine = ThreadCache::On(device);
  Item* const item = mine.TakeExact(spec);
  return item != nullptr ? item : ValueOrThrow(mine.TakeOther(spec));
}

Item* TakeItem(const Spec& spec) {
  RefuseInForkedChild();
  ThreadCache& mine = ThreadCache::Mine();
  Item* const item = mine.TakeExact(spec);
  if (__builtin_expect(item != nullptr, 1)) return item;
  return ValueOrThrow(mine.TakeOther(spec));
}

void DropItem(Item* item) noexcept {
  // One handle left is this one: nobody else can make another from it now.
  if (item->refs.load(std::memory_order_acquire) != 1 &&
      item->refs.fetch_sub(1, std::memory_order_acq_rel) != 1) {
    return;
  }
  if (IsForkedChild()) return;
  ThreadCache::Drop(item);
}

Device DeviceOf(const Item& item) {
  RefuseInForkedChild();
  return ValueOrThrow(item.device->source.CurrentDevice());
}

std::optional<uint32_t> MyThreadTag() {
  const ThreadCache* const mine = ThreadCache::MineIfAny();
  if (mine == nullptr) return std::nullopt;
  return mine->tag();
}

}  // namespace nvcv_cached::client
