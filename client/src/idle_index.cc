#include "client/src/idle_index.h"

#include <algorithm>
#include <bit>
#include <new>
#include <utility>

namespace nvcv_cached::client {

int IdleIndex::SizeClass(uint64_t bytes) {
  if (bytes < 512) return 0;
  const int log2 = 63 - std::countl_zero(bytes);
  const int step = static_cast<int>(bytes >> (log2 - 3) & 7);
  return std::min((log2 - 9) * 8 + step, kClasses - 1);
}

Item* IdleIndex::PopFit(uint64_t size_bytes, uint64_t alignment) noexcept {
  if (size_ == 0) return nullptr;
  const uint64_t most = size_bytes + size_bytes / 4;
  const int last = SizeClass(most);
  for (int c = NextFilled(SizeClass(size_bytes)); c <= last; c = NextFilled(c + 1)) {
    Item* item = rings_[c];
    for (int looks = kFitLooks; looks > 0; --looks) {
      if (item->block_bytes >= size_bytes && item->block_bytes <= most &&
          item->IsAligned(alignment)) {
        Remove(item);
        return item;
      }
      item = item->fit_next;
      if (item == rings_[c]) break;
    }
  }
  return nullptr;
}

Item* IdleIndex::PopAny() noexcept {
  if (size_ == 0) return nullptr;
  Item* const item = rings_[NextFilled(0)]->fit_prev;
  Remove(item);
  return item;
}

Item* IdleIndex::SweepStale(int* looks) noexcept {
  for (; size_ > 0 && *looks > 0; --*looks) {
    int c = NextFilled(sweep_);
    if (c == kClasses) c = NextFilled(0);
    Item* const oldest = rings_[c]->fit_prev;
    if (oldest->IsStale()) {
      sweep_ = c;  // where one was taken there are others
      Remove(oldest);
      --*looks;
      return oldest;
    }
    rings_[c] = oldest;  // the ring turns: next time another one is looked at
    sweep_ = c + 1;
  }
  return nullptr;
}

void IdleIndex::FreeTable() noexcept {
  lists_.reset();
  rings_.reset();
  capacity_ = used_ = 0;
}

int IdleIndex::NextFilled(int from) const noexcept {
  for (auto i = static_cast<size_t>(from) / 64; i < filled_.size(); ++i) {
    const int below = i == static_cast<size_t>(from) / 64 ? from % 64 : 0;
    const uint64_t bits = filled_[i] >> below << below;
    if (bits != 0) return static_cast<int>(i) * 64 + std::countr_zero(bits);
  }
  return kClasses;
}

bool IdleIndex::Rebuild() noexcept {
  size_t filled = 0;
  for (size_t i = 0; i < capacity_; ++i) filled += lists_[i].head != nullptr;
  const size_t capacity = std::max(kFirstCapacity, std::bit_ceil(2 * (filled + 1)));
  std::unique_ptr<List[]> fresh(new (std::nothrow) List[capacity]);
  if (rings_ == nullptr) rings_.reset(new (std::nothrow) Item* [kClasses] {});
  if (fresh == nullptr || rings_ == nullptr) return false;
  std::swap(lists_, fresh);
  const size_t old_capacity = std::exchange(capacity_, capacity);
  used_ = filled;
  for (size_t i = 0; i < old_capacity; ++i) {
    if (fresh[i].head != nullptr) lists_[Find(fresh[i].hash)] = fresh[i];
  }
  return true;
}

}  // namespace nvcv_cached::client
