// Idle items, found by exact spec and by size. A thread cache has one without a lock, the depot one
// behind its mutex.
//
// By spec: an open-addressing table of lists, keyed by the spec's hash, last in first out. A list
// stays in the table when it empties (the same spec comes back in a moment) until the table would
// have to grow: then empty lists are dropped, so specs that never come again do not make it grow.
// By size: a ring per size class, eight classes to a power of two, with a bitmap of those that are
// not empty.
//
// Invariant: every item is in exactly one list and one ring. Push, the Pops and Remove are O(1)
// (Push amortised) and only a Push may allocate. Not thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "client/src/item.h"

namespace nvcv_cached::client {

class IdleIndex {
 public:
  IdleIndex() = default;
  IdleIndex(const IdleIndex&) = delete;
  IdleIndex& operator=(const IdleIndex&) = delete;

  // False, and nothing changed: no memory for the table.
  bool Push(Item* item) noexcept {
    if (lists_ == nullptr && !Rebuild()) return false;
    size_t at = Find(item->spec.hash);
    if (lists_[at].hash == 0) {
      if (used_ + 1 > capacity_ / 4 * 3) {
        if (!Rebuild() && used_ + 1 >= capacity_) return false;
        at = Find(item->spec.hash);
      }
      lists_[at].hash = item->spec.hash;
      ++used_;
    }
    Item* const head = lists_[at].head;
    item->next = head;
    item->prev = nullptr;
    if (head != nullptr) head->prev = item;
    lists_[at].head = item;
    PushFit(item);
    ++size_;
    return true;
  }

  // The item of this spec that was pushed last, or null.
  Item* PopExact(const Spec& spec) noexcept {
    if (size_ == 0) return nullptr;
    const size_t at = Find(spec.hash);
    Item* item = lists_[at].head;
    while (item != nullptr && item->spec != spec) item = item->next;  // two specs of one hash
    if (item == nullptr) return nullptr;
    Unlink(item, at);
    return item;
  }

  // An item whose block holds `size_bytes` at `alignment` and is at most a quarter larger, or null.
  Item* PopFit(uint64_t size_bytes, uint64_t alignment) noexcept;

  // Any item, the oldest of some size class, or null.
  Item* PopAny() noexcept;

  void Remove(Item* item) noexcept { Unlink(item, Find(item->spec.hash)); }

  // Looks at up to `looks` items, going round; takes out one that the daemon has taken, or null.
  // Call it until it gives null.
  Item* SweepStale(int* looks) noexcept;

  size_t size() const { return size_; }
  size_t table_capacity() const { return capacity_; }

  void FreeTable() noexcept;  // empty

  static constexpr int kClasses = 320;  // up to 2^49 bytes
  static int SizeClass(uint64_t bytes);

 private:
  struct List {
    uint64_t hash = 0;  // 0: never used
    Item* head = nullptr;
  };
  static constexpr size_t kFirstCapacity = 64;
  static constexpr int kFitLooks = 8;

  // Where the list of this hash is, or where it would be. The table exists and is never full.
  size_t Find(uint64_t hash) const noexcept {
    const size_t mask = capacity_ - 1;
    size_t at = hash & mask;
    while (lists_[at].hash != hash && lists_[at].hash != 0) at = (at + 1) & mask;
    return at;
  }

  void Unlink(Item* item, size_t at) noexcept {
    if (item->prev != nullptr) {
      item->prev->next = item->next;
    } else {
      lists_[at].head = item->next;
    }
    if (item->next != nullptr) item->next->prev = item->prev;
    UnlinkFit(item);
    --size_;
  }

  void PushFit(Item* item) noexcept {
    const unsigned c = item->size_class;
    Item* const head = rings_[c];
    if (head == nullptr) {
      item->fit_next = item->fit_prev = item;
      filled_[c / 64] |= uint64_t{1} << (c % 64);
    } else {
      item->fit_next = head;
      item->fit_prev = head->fit_prev;
      head->fit_prev->fit_next = item;
      head->fit_prev = item;
    }
    rings_[c] = item;
  }

  void UnlinkFit(Item* item) noexcept {
    const unsigned c = item->size_class;
    if (item->fit_next == item) {
      rings_[c] = nullptr;
      filled_[c / 64] &= ~(uint64_t{1} << (c % 64));
      return;
    }
    item->fit_prev->fit_next = item->fit_next;
    item->fit_next->fit_prev = item->fit_prev;
    if (rings_[c] == item) rings_[c] = item->fit_next;
  }

  int NextFilled(int from) const noexcept;  // kClasses: none
  bool Rebuild() noexcept;                  // drops empty lists; makes room for one more

  std::unique_ptr<List[]> lists_;
  std::unique_ptr<Item*[]> rings_;
  size_t capacity_ = 0;  // a power of two
  size_t used_ = 0;      // lists in the table, empty ones too
  size_t size_ = 0;
  int sweep_ = 0;  // the size class that SweepStale looks at next
  std::array<uint64_t, kClasses / 64> filled_{};
};

}  // namespace nvcv_cached::client
